"""Progress of a whole run: on the console, and in `RUN/progress.json` for programs."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console

from talksplat.callbacks.progress_display import LiveBars, PlainLines, View
from talksplat.callbacks.time_left import Left, Part, TimeLeft
from talksplat.errors import UserError
from talksplat.files import now as utc_now
from talksplat.files import write_json

logger = logging.getLogger(__name__)
FILE_SECONDS = 2.0  # between writes of the file, more where a write is slow
FILE_SHARE = 0.01  # of the time may go into writing it
ABOUT = 0.1  # where more than this share of the time left is guessed, it is called a guess
NUMBERS = {  # of the file, and as they are shown
    "loss": "loss {:.4f}",
    "psnr": "psnr {:.2f}",
    "num_gaussians": "{:,.0f} Gaussians",
    "images_per_second": "{:.1f} images/s",
    "memory_gib": "{:.1f} GiB",
}


class RunProgress:
    """Context manager around a run.

    Args:
        parts: stages, then measurements, in their order.
        num_stages: how many of the parts are stages.
        run_dir: folder for `progress.json`; None: none is written.
        console: where to show it; None: the standard output.
        clock: seconds.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        num_stages: int,
        run_dir: Path | None,
        console: Console | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.time_left = TimeLeft(parts)
        self.num_stages = num_stages
        self._path = None if run_dir is None else run_dir / "progress.json"
        self._clock = clock
        console = console or Console()
        self._display = LiveBars(console) if console.is_terminal else PlainLines()
        self._label, self._state, self._images = "", "training", 1
        self._numbers: dict[str, float | None] = dict.fromkeys(NUMBERS)
        self._show_at = self._write_at = 0.0

    def __enter__(self) -> RunProgress:
        self._display.start()
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self._state = "stopped" if kind else "finished"
        try:
            if self.time_left.current is not None:
                if not kind:
                    self.time_left.finish()
                self._refresh(self._clock(), show=True, write=True)
        finally:
            self._display.stop()

    def begin(self, name: str, done: int = 0, images: int = 1) -> None:
        """A part begins.

        Args:
            name: of the part.
            done: steps or frames of it that are done already.
            images: in a step.
        """
        part = self.time_left.begin(name, done)
        index, self._images = self._index, images
        if index < self.num_stages:
            self._state, self._label = "training", f"stage {index + 1}/{self.num_stages} {name}"
        else:
            self._state, self._label = "measuring", f"measuring {part.total} {name}"
        self._numbers |= {"loss": None, "psnr": None}
        now = self._clock()
        self._show_at, self._write_at = now if self._display.at_once else now + self._display.every, now
        self.update(done)

    def update(self, done: int, numbers: Callable[[], Mapping[str, float]] | None = None) -> None:
        """So many steps or frames of the part are done.

        Args:
            done: counted from the beginning of the part.
            numbers: gives those of `NUMBERS` that it has; called only where something is shown or written, since reading
                a loss waits for the GPU.
        """
        now, left = self._clock(), self.time_left
        left.update(now, done)
        last = done >= left.current.total
        show, write = last or now >= self._show_at, last or now >= self._write_at
        if show or write:
            if numbers is not None:
                self._numbers |= numbers()
            self._refresh(now, show, write)

    def advance(self, units: int) -> None:
        """`units` more are done."""
        self.update(self.time_left.current.done + units)

    @property
    def _index(self) -> int:
        return self.time_left.parts.index(self.time_left.current)

    def _refresh(self, now: float, show: bool, write: bool) -> None:
        left, part = self.time_left.measure(now), self.time_left.current
        self._numbers["images_per_second"] = self._images / part.seconds if part.seconds else None
        self._numbers["memory_gib"] = peak_memory_gib()
        if show:
            self._show_at = now + self._display.every
            known = [text.format(value) for name, text in NUMBERS.items() if (value := self._numbers[name]) is not None]
            fraction = self.time_left.fraction
            self._display.show(View(self._label, part.done, part.total, fraction, "  ".join(known), _left_text(left)))
        if write and self._path is not None:
            began = self._clock()
            self._write(left)
            self._write_at = now + max(FILE_SECONDS, (self._clock() - began) / FILE_SHARE)

    def _write(self, left: Left) -> None:
        part = self.time_left.current
        numbers = {n: v if v is not None and math.isfinite(v) else None for n, v in self._numbers.items()}
        content = {
            "state": self._state,
            "stage": part.name,
            "stage_index": min(self._index + 1, self.num_stages),
            "num_stages": self.num_stages,
            "step": part.done,
            "steps": part.total,
            "fraction": round(self.time_left.fraction, 4),
            "seconds_left": None if left.seconds is None else round(left.seconds, 1),
            **numbers,
            "updated": utc_now(),
        }
        try:
            write_json(self._path, content)
        except UserError as error:
            logger.warning("%s; this run cannot be watched from outside", error)
            self._path = None


def _left_text(left: Left) -> str:
    if left.seconds is None:
        return "unknown yet"
    minutes, seconds = divmod(round(left.seconds), 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
    return f"about {text}" if left.guessed > ABOUT else text


def peak_memory_gib() -> float | None:
    """Most that was in use at once, in GiB: on the GPU where this process uses one, otherwise of the process itself; None
    where the system does not tell."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**30
    try:
        import resource
    except ImportError:  # no POSIX
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2 ** (30 if sys.platform == "darwin" else 20)


class StageProgress(pl.Callback):
    """Keeps a run's progress up to date during a stage of a name."""

    def __init__(self, progress: RunProgress, name: str) -> None:
        self.progress = progress
        self.name = name

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.progress.begin(self.name, trainer.global_step, module.stage.batch_size * trainer.world_size)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        def numbers() -> dict[str, float]:
            count = module.model.num_gaussians
            return {"loss": float(outputs["loss"]), "psnr": float(outputs["psnr"]), "num_gaussians": count}

        self.progress.update(trainer.global_step, numbers)
