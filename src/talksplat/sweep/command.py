"""`python train.py -m ...` and `python train.py sweep=NAME ...`."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from talksplat.command_line import setting
from talksplat.config import instantiate
from talksplat.config.compose import compose_unchecked
from talksplat.config.overrides import literal_overrides
from talksplat.errors import Interrupted, UserError
from talksplat.files import now
from talksplat.provenance import git_state
from talksplat.sweep.engine import Sweep
from talksplat.sweep.expand import parse_overrides
from talksplat.sweep.folder import SweepFolder, SweepSpec
from talksplat.sweep.hydra_launcher import HydraLauncher
from talksplat.sweep.state import DONE, ENDED
from talksplat.training.console import log_to_console

logger = logging.getLogger(__name__)
PLUGINS = "hydra_plugins."
NOT_KEPT = ("hydra.sweep.dir", "hydra.sweeper.rerun")  # of one command alone
EXTRAS = {"submitit_local": "submitit", "submitit_slurm": "submitit", "ray": "ray", "joblib": "joblib"}


def is_sweep(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for a sweep, and for nothing else of Hydra's (such as --cfg or --help)."""
    flags = {argument for argument in arguments if argument.startswith("-")}
    if not flags <= {"-m", "--multirun"}:
        return False
    return bool(flags) or any(a.lstrip("+").startswith(("sweep=", "hydra.mode=MULTIRUN")) for a in arguments)


def run_sweep(arguments: Sequence[str]) -> bool:
    """Start a sweep, or resume one.

    Returns:
        whether all jobs came to their end.

    Raises:
        UserError: anything that is wrong before the first job starts.
        Interrupted: by Ctrl-C; says how to resume.
    """
    log_to_console()
    given = [argument for argument in arguments if not argument.startswith("-")]
    overrides = parse_overrides(literal_overrides("train", given, sweep=True))
    of_hydra = [one for one in overrides if one.key_or_group.startswith("hydra")]
    flags = {one.key_or_group: bool(one.value()) for one in overrides if one.key_or_group in ("resume", "dry_run")}
    settings = [one.input_line for one in overrides if one not in of_hydra and one.key_or_group not in flags]
    resume = flags.get("resume", False)
    hydra = _hydra_node(_with_kept(overrides) if resume else overrides, of_hydra)
    folder = SweepFolder(Path(hydra.sweep.dir))
    sweeper = _build_sweeper(hydra.sweeper)
    if sweeper.rerun and not resume:
        raise UserError("hydra.sweeper.rerun goes with resume=true and hydra.sweep.dir=FOLDER of the sweep")
    if flags.get("dry_run"):
        if resume:
            raise UserError("dry_run=true checks a new sweep: leave resume=true out")
        jobs = sweeper.dry_run(settings)
        for number, job in enumerate(jobs):
            print(f"{number:02d}  {shlex.join(job)}")
        print(f"dry run: {len(jobs)} jobs are checked, none is started")
        return True
    launcher = _build_launcher(hydra.launcher)
    with folder.held():
        spec = _resumed(folder, settings) if resume else _new(folder, settings, of_hydra)
        logger.info("sweep folder %s", folder.path)
        try:
            with _ended_by_sigterm():
                sweeper.run(Sweep(folder, spec, launcher))
        except (Interrupted, KeyboardInterrupt) as interruption:
            again = f"; resume with: python train.py -m resume=true {setting('hydra.sweep.dir', folder.path)}"
            raise Interrupted(f"{str(interruption) or 'interrupted'}{again if folder.has_sweep() else ''}") from None
        finally:
            if folder.has_sweep():
                folder.write_status(spec.jobs)
    return _summarize(folder, spec)


def _hydra_node(overrides: Sequence[Override], of_hydra: Sequence[Override]) -> DictConfig:
    """Hydra's own settings: those of the command line and of the sweep's file."""
    if any(one.key_or_group == "hydra.run.dir" for one in of_hydra):
        raise UserError("hydra.run.dir is the folder of one run: give a sweep hydra.sweep.dir=FOLDER")
    single = [one.input_line for one in overrides if not one.is_sweep_override() and one.key_or_group != "resume"]
    try:
        return compose_unchecked("train", single).hydra
    except UserError as error:
        for one in of_hydra:
            if one.key_or_group == "hydra/launcher" and one.value() in EXTRAS and "hydra/launcher" in str(error):
                raise UserError(
                    f"hydra/launcher={one.value()} is not installed: pip install -e '.[{EXTRAS[one.value()]}]'"
                ) from error
        raise


def _with_kept(overrides: Sequence[Override]) -> list[Override]:
    """Overrides of the sweep that is resumed, and those given now, which count more."""
    given = {one.get_key_element(): one for one in overrides}
    if "hydra.sweep.dir" in given:
        folder = SweepFolder(Path(str(given["hydra.sweep.dir"].value())))
        if folder.has_sweep():
            spec = folder.read_spec()
            kept = {one.get_key_element(): one for one in parse_overrides([*spec.hydra, *spec.overrides])}
            return list((kept | given).values())
    return list(overrides)


def _build_sweeper(node: DictConfig) -> Any:
    if not node["_target_"].startswith("talksplat."):
        kind = "a plugin" if node["_target_"].startswith(PLUGINS) else "basic"
        raise UserError(f"hydra/sweeper is {kind}, which cannot resume after an interruption: choose grid or optuna")
    try:
        return instantiate(node)
    except UserError as error:
        if "optuna" in str(error) and "No module" in str(error):
            raise UserError("hydra/sweeper=optuna is not installed: pip install -e '.[search]'") from error
        raise


def _build_launcher(node: DictConfig) -> Any:
    if node["_target_"].startswith(PLUGINS):
        return HydraLauncher(node)
    if not node["_target_"].startswith("talksplat."):
        raise UserError(
            "hydra/launcher=basic runs all jobs in one process, where none has a log or an end of its own: leave it at "
            "processes, or choose submitit_local, submitit_slurm, ray or joblib"
        )
    return instantiate(node)


def _new(folder: SweepFolder, settings: list[str], of_hydra: Sequence[Override]) -> SweepSpec:
    if folder.has_sweep():
        raise UserError(
            f"{folder.path} already holds a sweep: give resume=true to resume it, or another hydra.sweep.dir"
        )
    if (folder.path / "config.yaml").exists():
        raise UserError(f"{folder.path} holds a run: give a sweep another hydra.sweep.dir")
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    kept = [one.input_line for one in of_hydra if one.key_or_group not in NOT_KEPT]
    return SweepSpec(command, settings, os.getcwd(), git_state(), now(), kept)


def _resumed(folder: SweepFolder, settings: list[str]) -> SweepSpec:
    if not folder.has_sweep():
        raise UserError(
            f"resume=true, but {folder.path} holds no sweep; give hydra.sweep.dir=FOLDER of the one to resume"
        )
    spec = folder.read_spec()
    if settings and settings != spec.overrides:
        raise UserError(
            f"the sweep in {folder.path} was asked for with {shlex.join(spec.overrides)}, not {shlex.join(settings)}: repeat "
            "that, or give only resume=true and hydra.sweep.dir"
        )
    commit = git_state()["commit"]
    if commit != spec.git["commit"]:
        logger.warning(
            "the code is at commit %s, the sweep began at %s: its runs may not compare", commit, spec.git["commit"]
        )
    return spec


def _summarize(folder: SweepFolder, spec: SweepSpec) -> bool:
    states = {job.name: folder.state(job.name).state for job in spec.jobs}
    open_jobs = [name for name, state in states.items() if state not in ENDED]
    done = list(states.values()).count(DONE)
    print(f"{done} of {len(states)} jobs are done: {folder.path / 'status.csv'}")
    if done:
        print(f"compare them: python -m talksplat.compare {setting('runs', folder.path)}")
    if open_jobs:
        print(f"not done: {', '.join(open_jobs)}")
        print(f"try these again: python train.py -m resume=true {setting('hydra.sweep.dir', folder.path)}")
    return not open_jobs


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM, as cluster managers and `kill` send it, ends a sweep as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
