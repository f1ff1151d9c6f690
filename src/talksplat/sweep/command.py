"""`python train.py -m ...` and `python train.py sweep=NAME ...`."""

from __future__ import annotations

import logging
import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from talksplat.command_line import setting, train_command
from talksplat.config import CONF_DIR, instantiate
from talksplat.config.compose import compose_unchecked
from talksplat.config.from_files import check_classes
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
KEPT = ("hydra/launcher", "hydra/sweeper", "hydra.sweeper.")  # of Hydra's settings, those that a sweep's file may say
ELSEWHERE = re.compile(r"""\.\.|(^|[\[(,'"\s])/""")  # a path out of conf/
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
    resume = flags.get("resume", False)
    trust = next((one.value() for one in overrides if resume and one.key_or_group == "trust"), [])
    trust = trust if isinstance(trust, list) else [str(trust)]
    apart = {*flags, "trust"} if resume else flags
    settings = [one.input_line for one in overrides if one not in of_hydra and one.key_or_group not in apart]
    config = _composed(_with_kept(overrides) if resume else overrides, of_hydra)
    hydra, folder = config.hydra, SweepFolder(Path(config.hydra.sweep.dir))
    if resume:
        _check_resumed(config, folder, trust)
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
                sweeper.run(Sweep(folder, spec, launcher, trust if resume else None))
        except (Interrupted, KeyboardInterrupt) as interruption:
            again = f"; resume with: {train_command()} -m resume=true {setting('hydra.sweep.dir', folder.path)}"
            raise Interrupted(f"{str(interruption) or 'interrupted'}{again if folder.has_sweep() else ''}") from None
        finally:
            if folder.has_sweep():
                folder.write_status(spec.jobs)
    return _summarize(folder, spec)


def _composed(overrides: Sequence[Override], of_hydra: Sequence[Override]) -> DictConfig:
    """Settings that are not swept, with Hydra's own: those of the command line and of the sweep's file."""
    if any(one.key_or_group == "hydra.run.dir" for one in of_hydra):
        raise UserError("hydra.run.dir is the folder of one run: give a sweep hydra.sweep.dir=FOLDER")
    single = [one.input_line for one in overrides if not one.is_sweep_override() and one.key_or_group != "resume"]
    try:
        return compose_unchecked("train", single)
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
            for key in kept.keys() - given.keys():
                _check_kept(kept[key], folder)
            return list((kept | given).values())
    return list(overrides)


def _check_kept(one: Override, folder: SweepFolder) -> None:
    """Refuse what only a command line may say: files of settings elsewhere, text for a cluster's job script
    (`hydra.launcher.setup` is a list of shell commands), and this machine's environment."""
    key, _, text = one.input_line.lstrip("+~").partition("=")
    group = key.startswith("hydra/") or (CONF_DIR / key.partition("@")[0]).is_dir()
    harmless = key.startswith(KEPT) or not key.startswith("hydra") or isinstance(one.value(), int | float | None)
    if not harmless or "${oc." in text or (group and ELSEWHERE.search(text)):
        raise UserError(
            f"the sweep in {folder.path} was asked for with {one.input_line}, which is not taken from a file: repeat the "
            "command of the sweep (it is in sweep.json) with resume=true, if that is yours"
        )


def _check_resumed(config: DictConfig, folder: SweepFolder, trust: Sequence[str]) -> None:
    """Check what a sweep's files would run. Raises UserError: a class that is neither our own nor trusted."""
    plain = OmegaConf.to_container(config, resolve=False)
    if str(plain["hydra"]["launcher"]["_target_"]).startswith(PLUGINS):  # which Hydra knows by that name
        del plain["hydra"]["launcher"]["_target_"]
    check_classes(plain, folder.spec_file, trust)
    if folder.has_sweep():
        folder.check_trusted(folder.read_spec(), trust)


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
    asked = [text for text in spec.overrides if not text.startswith("trust=")]
    if settings and settings != asked:
        raise UserError(
            f"the sweep in {folder.path} was asked for with {shlex.join(asked)}, not {shlex.join(settings)}: repeat "
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
        print(f"try these again: {train_command()} -m resume=true {setting('hydra.sweep.dir', folder.path)}")
    return not open_jobs


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM, as cluster managers and `kill` send it, ends a sweep as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
