"""`python train.py -m ...` and `python train.py sweep=NAME ...`."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from talksplat.config import instantiate
from talksplat.config.compose import compose_unchecked
from talksplat.errors import Interrupted, UserError
from talksplat.files import now
from talksplat.provenance import git_state
from talksplat.sweep.engine import PLUGINS, Sweep, build_launcher
from talksplat.sweep.expand import parse_overrides
from talksplat.sweep.folder import Plan, SweepFolder
from talksplat.sweep.state import DONE, ENDED
from talksplat.training.console import log_to_console

logger = logging.getLogger(__name__)
NOT_KEPT = ("hydra.sweep.dir", "hydra.sweeper.rerun")  # what each command says for itself
EXTRAS = {"submitit_local": "submitit", "submitit_slurm": "submitit", "ray": "ray", "joblib": "joblib"}


def is_sweep(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for a sweep, and for nothing of Hydra's besides (such as --cfg or --help)."""
    flags = {argument for argument in arguments if argument.startswith("-")}
    if not flags <= {"-m", "--multirun"}:
        return False
    return bool(flags) or any(a.lstrip("+").startswith(("sweep=", "hydra.mode=MULTIRUN")) for a in arguments)


def run_sweep(arguments: Sequence[str]) -> bool:
    """Start a sweep, or go on with one.

    Returns:
        whether all jobs came to their end.

    Raises:
        UserError: anything that is wrong before the first job starts.
        Interrupted: by Ctrl-C; says how to go on.
    """
    log_to_console()
    overrides = parse_overrides([argument for argument in arguments if not argument.startswith("-")])
    of_hydra = [one for one in overrides if one.key_or_group.startswith("hydra")]
    own = {one.key_or_group: one for one in overrides if one.key_or_group in ("resume", "dry_run")}
    settings = [one.input_line for one in overrides if one not in of_hydra and one.key_or_group not in own]
    resume = "resume" in own and bool(own["resume"].value())
    hydra = _hydra_node(_with_kept(overrides) if resume else overrides, of_hydra)
    folder = SweepFolder(Path(hydra.sweep.dir).expanduser())
    sweeper = _build_sweeper(hydra.sweeper)
    if sweeper.rerun and not resume:
        raise UserError("hydra.sweeper.rerun goes with resume=true and hydra.sweep.dir=FOLDER of the sweep")
    if "dry_run" in own and own["dry_run"].value():
        if resume:
            raise UserError("dry_run=true checks a new sweep: leave resume=true out")
        _show(sweeper.dry_run(settings))
        return True
    launcher = build_launcher(hydra.launcher)
    with folder.held():
        plan = _plan(folder, settings, of_hydra, resume)
        logger.info("sweep folder %s", folder.path)
        sweep = Sweep(folder, plan.overrides, launcher, resume, plan)
        try:
            with _ended_by_sigterm():
                sweeper.run(sweep)
        except (Interrupted, KeyboardInterrupt) as interruption:
            again = f"; go on with: python train.py -m resume=true hydra.sweep.dir={folder.path}"
            raise Interrupted(f"{str(interruption) or 'interrupted'}{again if folder.has_plan() else ''}") from None
        finally:
            if folder.has_plan():
                folder.write_status(plan.jobs)
    return _summarize(folder, plan)


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
    """What the sweep that goes on was asked for, and what is said now, which counts more."""
    given = {one.get_key_element(): one for one in overrides}
    folder = (
        SweepFolder(Path(str(given["hydra.sweep.dir"].value())).expanduser()) if "hydra.sweep.dir" in given else None
    )
    if folder is None or not folder.has_plan():
        return list(overrides)
    plan = folder.read_plan()
    kept = {one.get_key_element(): one for one in parse_overrides([*plan.hydra, *plan.overrides])}
    return list((kept | given).values())


def _build_sweeper(node: DictConfig):
    if not node["_target_"].startswith("talksplat."):
        kind = "a plugin" if node["_target_"].startswith(PLUGINS) else "basic"
        raise UserError(f"hydra/sweeper is {kind}, which cannot go on after an interruption: choose grid or optuna")
    try:
        return instantiate(OmegaConf.create(OmegaConf.to_container(node, resolve=True)))
    except UserError as error:
        if "optuna" in str(error) and "No module" in str(error):
            raise UserError("hydra/sweeper=optuna is not installed: pip install -e '.[search]'") from error
        raise


def _plan(folder: SweepFolder, settings: list[str], of_hydra: Sequence[Override], resume: bool) -> Plan:
    if not folder.has_plan():
        if resume:
            raise UserError(
                f"resume=true, but {folder.path} holds no sweep; give hydra.sweep.dir=FOLDER of the one to go on with"
            )
        if (folder.path / "config.yaml").exists():
            raise UserError(f"{folder.path} holds a run: give a sweep another hydra.sweep.dir")
        command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
        kept = [one.input_line for one in of_hydra if one.key_or_group not in NOT_KEPT]
        return Plan(command, settings, os.getcwd(), git_state(), now(), kept)
    plan = folder.read_plan()
    if not resume:
        raise UserError(
            f"{folder.path} already holds a sweep: give resume=true to go on with it, or another hydra.sweep.dir"
        )
    if settings and settings != plan.overrides:
        raise UserError(
            f"the sweep in {folder.path} was asked for with {' '.join(plan.overrides)!r}, not {' '.join(settings)!r}: repeat "
            "that, or give only resume=true and hydra.sweep.dir"
        )
    commit = git_state()["commit"]
    if commit != plan.git["commit"]:
        logger.warning(
            "the code is at commit %s, the sweep began at %s: its runs may not compare", commit, plan.git["commit"]
        )
    return plan


def _summarize(folder: SweepFolder, plan: Plan) -> bool:
    states = [folder.state(job.name) for job in plan.jobs]
    open_jobs = [job.name for job, state in zip(plan.jobs, states) if state.state not in ENDED]
    done = sum(state.state == DONE for state in states)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{done} of {len(plan.jobs)} jobs are done: {folder.path / 'status.csv'}")
    if done:
        console.print(f"compare them: python -m talksplat.compare runs={folder.path}")
    if open_jobs:
        console.print(f"not done: {', '.join(open_jobs)}")
        console.print(f"try these again: python train.py -m resume=true hydra.sweep.dir={folder.path}")
    return not open_jobs


def _show(jobs: Sequence[list[str]]) -> None:
    for number, job in enumerate(jobs):
        print(f"{number:02d}  {' '.join(job)}")
    print(f"dry run: {len(jobs)} jobs are checked, none is started")


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM, as cluster managers and `kill` send it, ends a sweep as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
