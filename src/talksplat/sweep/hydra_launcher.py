"""Runs jobs through a launcher of Hydra: submitit (SLURM), Ray, joblib."""

from __future__ import annotations

from collections.abc import Sequence

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import setup_globals
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, open_dict

from talksplat.config import CONF_DIR
from talksplat.errors import Interrupted, UserError
from talksplat.sweep.folder import SweepFolder
from talksplat.sweep.supervise import run_in_worker

JOB_CONFIG = "sweep_job"


class HydraLauncher:
    """A launcher plugin that is told nothing but which job of which sweep a worker shall run.

    The worker reads the job's settings from the sweep's folder, which it must see: plugins compose configurations when a
    worker begins, from whatever the files say by then.

    Args:
        node: `hydra.launcher` of the composed configuration.
    """

    def __init__(self, node: DictConfig) -> None:
        self.node = node

    def run(self, folder: SweepFolder, jobs: Sequence[str], cwd: str, gpus_wanted: int | None) -> None:
        """Run the jobs to their ends, good or bad.

        Raises:
            UserError: the plugin cannot start them.
            Interrupted: by Ctrl-C; jobs that a cluster runs by then go on there.
        """
        setup_globals()
        loader = ConfigLoaderImpl(create_config_search_path(str(CONF_DIR)))
        config = loader.load_configuration(
            JOB_CONFIG, [f"hydra.sweep.dir={_quoted(str(folder.path))}"], run_mode=RunMode.MULTIRUN
        )
        with open_dict(config):
            config.hydra.launcher = _with_gpus(self.node, gpus_wanted)
            config.hydra.job.name = folder.path.name
        HydraConfig.instance().set_config(config)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=HydraContext(config_loader=loader, callbacks=Callbacks()),
            task_function=run_in_worker,
            config=config,
        )
        overrides = [[f"folder={_quoted(str(folder.path))}", f"job={_quoted(job)}"] for job in jobs]
        try:
            returned = launcher.launch(overrides, initial_job_idx=0)
            for one in returned:
                _ = one.return_value  # raises what kept a worker from its job; what a job raises is noted in its folder
        except KeyboardInterrupt as error:
            raise Interrupted("interrupted; jobs that were handed over may go on") from error
        except Exception as error:
            kind = self.node["_target_"].rsplit(".", 1)[-1]
            raise UserError(
                f"{kind} failed ({type(error).__name__}: {error}); other jobs may go on: once they have ended (status.csv), "
                f"python train.py -m resume=true hydra.sweep.dir={folder.path}"
            ) from error


def _with_gpus(node: DictConfig, wanted: int | None) -> DictConfig:
    """The launcher asks for the GPUs that a job needs, where it says nothing of them: submitit and Ray hide all others."""
    node = node.copy()
    if wanted:
        with open_dict(node):
            if "gpus_per_node" in node and node.gpus_per_node is None:
                node.gpus_per_node = wanted
            if "ray" in node:
                node.ray.remote.setdefault("num_gpus", wanted)
    return node


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
