"""Weights & Biases: a view of a run, which training never waits for or dies of."""

from __future__ import annotations

import logging
import os
import shlex
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

from talksplat.errors import UserError
from talksplat.files import write_text
from talksplat.trackers.base import Outcome, TrackedRun, Tracker, flat_results, not_measured
from talksplat.trackers.wandb_checkpoint import SCHEME
from talksplat.trackers.wandb_server import LOGIN, is_logged_in, is_reachable, require_wandb, server

logger = logging.getLogger(__name__)

MODES = ("online", "offline", "disabled")
CHECKPOINTS = ("none", "last", "all")


def never_fatal(what: str) -> Callable[[Callable], Callable]:
    """Decorate a method that sends `what`: a no-op without a run of wandb, and a failure is a warning."""

    def decorate(method: Callable) -> Callable:
        @wraps(method)
        def guarded(self: WandbTracker, *values: Any, **named: Any) -> None:
            try:
                if self._run is not None:
                    method(self, *values, **named)
            except Exception as error:
                self._warn(what, error)

        return guarded

    return decorate


class WandbTracker(Tracker):
    """One run of Weights & Biases per run folder.

    Each stage has an axis of its own, `STAGE/step`; `step` counts over the whole run. The run's id stays in the folder, so
    that a resumed run continues the same one and jobs of a sweep never share one. Settings: `conf/tracker/wandb.yaml`.
    """

    def __init__(
        self,
        project: str = "talksplat",
        entity: str | None = None,
        name: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        notes: str | None = None,
        mode: str | None = None,
        offline: bool = False,
        log_checkpoints: str = "last",
        init_timeout: float = 60.0,
        finish_timeout: float = 300.0,
    ) -> None:
        super().__init__()
        if mode not in (None, *MODES):
            raise UserError(f"tracker.mode={mode} must be {', '.join(MODES)} or null")
        if offline and mode not in (None, "offline"):
            raise UserError(f"tracker.offline=true and tracker.mode={mode} contradict each other: leave one out")
        if log_checkpoints not in CHECKPOINTS:
            raise UserError(f"tracker.log_checkpoints={log_checkpoints} must be {', '.join(CHECKPOINTS)}")
        if init_timeout <= 0 or finish_timeout <= 0:
            raise UserError("tracker.init_timeout and tracker.finish_timeout are seconds: they must be positive")
        self.project, self.entity, self.group, self.tags, self.notes = project, entity, group, tuple(tags), notes
        self.run_name = name
        self.mode = "offline" if offline else mode or os.environ.get("WANDB_MODE") or "online"
        self.log_checkpoints = log_checkpoints
        self.init_timeout, self.finish_timeout = init_timeout, finish_timeout
        self._run: Any = None
        self._failures: set[str] = set()  # what is warned of already

    def check(self) -> None:
        require_wandb("tracker=wandb")
        if self.mode == "online" and not is_logged_in():
            raise UserError(
                f"tracker=wandb is not logged in to {server()} (no API key): {LOGIN}; or give tracker.offline=true, and "
                "upload later with `wandb sync`"
            )

    def open(self, run: TrackedRun) -> None:
        self.run = run
        run_id, resumed = _run_id(run.folder)
        self.already_logged = run.already_logged if resumed else frozenset()
        self._last_logged = max((step for step, _ in self.already_logged), default=0)
        if self.mode == "online" and not is_reachable():
            self._go_offline(f"no connection to {server()}")
        self._begin(run_id)
        self._define_axes()

    def _begin(self, run_id: str) -> None:
        import wandb

        try:
            self._run = wandb.init(
                project=self.project,
                entity=self.entity,
                id=run_id,
                name=self.run_name or self.run.name,
                group=self.group or self.run.group,
                tags=list(dict.fromkeys([*self.run.tags, *self.tags])),
                notes=self.notes,
                config={**self.run.config, "origin": dict(self.run.origin), "folder": str(self.run.folder.resolve())},
                allow_val_change=True,
                dir=self.run.folder,
                mode=self.mode,
                resume="allow",
                reinit="create_new",  # a run that is open in this process, say a notebook's, is not ours
                settings=wandb.Settings(
                    init_timeout=self.init_timeout, finish_timeout=self.finish_timeout, finish_timeout_raises=True
                ),
            )
        except Exception as error:  # whatever wandb raises, training does without it
            if self.mode != "online":
                self._warn("the start", error)
                return
            self._go_offline(_first_line(error))
            with suppress(Exception):
                wandb.teardown()  # its service still holds the id of the run that could not begin
            self._begin(run_id)

    def _go_offline(self, reason: str) -> None:
        logger.warning("wandb: %s; the run is tracked offline", reason)
        self.mode = "offline"

    @never_fatal("the axes")
    def _define_axes(self) -> None:
        self._run.define_metric("step")
        self._run.define_metric("seconds", step_metric="step")
        for stage in self.run.stages:
            self._run.define_metric(f"{stage}/step")
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")

    @never_fatal("a row")
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        new = {name: float(value) for name, value in metrics.items() if (step, name) not in self.already_logged}
        if new:
            self._log_row(new, step)

    def _log_row(self, values: Mapping[str, Any], step: int) -> None:
        # wandb's own step is left alone: it drops rows that come with a lower one than the last.
        stages = {name.partition("/")[0] for name in values} & self.run.stages.keys()
        axes = {f"{stage}/step": step - self.run.stages[stage] for stage in stages}
        self._run.log({**values, **axes, "step": step})

    @never_fatal("a picture")
    def log_picture(self, name: str, path: Path, step: int) -> None:
        import wandb

        if step > self._last_logged:
            self._log_row({name: wandb.Image(str(path), caption=path.stem)}, step)

    @never_fatal("a checkpoint")
    def log_checkpoint(self, path: Path, stage: str, step: int, final: bool) -> None:
        import wandb

        if self.log_checkpoints == "none" or (self.log_checkpoints == "last" and not final):
            return
        # wandb would ask a dead server for longer.
        if self.mode == "online" and not is_reachable():
            raise ConnectionError(f"no connection to {server()}")
        metadata = {"stage": stage, "step": step, "final": final, "run": self._run.name}
        artifact = wandb.Artifact(f"model-{self._run.id}", type="model", metadata=metadata)
        artifact.add_file(str(path), name="last.ckpt")
        self._run.log_artifact(artifact, aliases=["latest", *([stage] if final else [])])

    @never_fatal("the results")
    def log_results(self, metrics: Mapping[str, Any], test_dir: Path, step: int) -> None:
        import wandb

        media = {"test/grid": wandb.Image(str(test_dir / "grid.png"))}
        media["test/render"] = wandb.Video(str(test_dir / "render.mp4"), format="mp4")
        self._run.log({**media, "step": step})
        self._run.summary.update({**flat_results(metrics), **not_measured(metrics)})

    def finish(self, outcome: Outcome) -> None:
        if self._run is None:
            return
        run, self._run = self._run, None
        try:
            run.finish(exit_code=int(outcome))
        except Exception as error:
            self._warn("the end", error)
        folder = shlex.quote(str(self.run.folder / "wandb"))
        if self.mode == "offline":
            # All parts of a run that was interrupted; wandb puts them one after the other.
            logger.info("wandb: tracked offline; upload with: wandb sync %s/offline-run-*-%s", folder, run.id)
        elif self._failures:
            logger.info("wandb: upload what is missing with: wandb sync %s/run-*-%s", folder, run.id)
        elif self.mode == "online" and self.log_checkpoints != "none":
            address = f"{SCHEME}{run.entity}/{run.project}/{run.id}"
            logger.info("wandb: the checkpoints of this run are checkpoint=%s", address)

    def _warn(self, what: str, error: Exception) -> None:
        if what not in self._failures:
            self._failures.add(what)
            text = "wandb failed at %s (%s): the run continues without it; metrics.csv and metrics.json are whole"
            logger.warning(text, what, _first_line(error))


def _run_id(folder: Path) -> tuple[str, bool]:
    """Id of the folder's run, and whether it is an earlier one."""
    path = folder / "wandb_id.txt"
    if path.exists() and path.read_text().strip():
        return path.read_text().strip(), True
    run_id = uuid.uuid4().hex[:12]
    write_text(path, run_id)
    return run_id, False


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
