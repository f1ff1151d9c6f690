"""Launchers of Hydra: submitit (SLURM), Ray, joblib."""

from __future__ import annotations

from collections.abc import Sequence

from hydra._internal.callbacks import Callbacks
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import setup_globals
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, open_dict

from talksplat.command_line import literal, setting
from talksplat.errors import Interrupted, UserError
from talksplat.sweep.expand import config_loader
from talksplat.sweep.folder import SweepFolder
from talksplat.sweep.supervise import run_in_worker


class HydraLauncher:
    """A launcher plugin; its workers get a sweep's folder and a job's name, and read the settings there.

    They must see the folder: plugins compose configurations when a worker begins, from what the files are by then.
    `node` is `hydra.launcher` of the composed configuration.
    """

    runs_here = False

    def __init__(self, node: DictConfig) -> None:
        self.node = node

    def slots(self, gpus_wanted: int | None) -> list[dict[str, str]]:
        """One: how many jobs run at the same time is not known here."""
        return [{}]

    def run(self, folder: SweepFolder, jobs: Sequence[str], cwd: str, gpus_wanted: int | None) -> None:
        """Run the jobs to their ends, good or bad.

        Raises:
            UserError: the plugin cannot start them.
            Interrupted: by Ctrl-C; jobs that a cluster runs by then continue there.
        """
        setup_globals()
        loader, sweep = config_loader(), literal(str(folder.path))
        config = loader.load_configuration("sweep_job", [f"hydra.sweep.dir={sweep}"], run_mode=RunMode.MULTIRUN)
        with open_dict(config):
            config.hydra.launcher = _with_gpus(self.node, gpus_wanted)
            config.hydra.job.name = folder.path.name
        HydraConfig.instance().set_config(config)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=HydraContext(config_loader=loader, callbacks=Callbacks()),
            task_function=run_in_worker,
            config=config,
        )
        try:
            for one in launcher.launch([[f"folder={sweep}", f"job={literal(job)}"] for job in jobs], initial_job_idx=0):
                _ = one.return_value  # raises what kept a worker from its job; what a job raises is noted in its folder
        except KeyboardInterrupt as error:
            raise Interrupted("interrupted; jobs that were handed over may continue") from error
        except Exception as error:
            kind = self.node["_target_"].rsplit(".", 1)[-1]
            raise UserError(
                f"{kind} failed ({type(error).__name__}: {error}); other jobs may continue: once they have ended "
                f"(status.csv), python train.py -m resume=true {setting('hydra.sweep.dir', folder.path)}"
            ) from error


def _with_gpus(node: DictConfig, wanted: int | None) -> DictConfig:
    """The launcher asks for the GPUs that a job needs, where it does not set them: submitit and Ray hide all others."""
    node = node.copy()
    if wanted:
        with open_dict(node):
            if "gpus_per_node" in node and node.gpus_per_node is None:
                node.gpus_per_node = wanted
            if "ray" in node:
                node.ray.remote.setdefault("num_gpus", wanted)
    return node
