"""Time left of a run: measured where a part has begun, guessed in proportion to its cost where it has not."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

WINDOW_SECONDS = (
    60.0  # for the speed, so that previews, checkpoints and growing numbers of Gaussians count as they come
)
SPACING_SECONDS = 0.5  # between samples, so that a window holds few of them
WARM_UP = 2  # units at the beginning that compile kernels and say nothing about speed


@dataclass
class Part:
    """A stage, or a measurement. Its units are steps or frames."""

    name: str  # shown and written
    kind: str  # parts of one kind cost alike
    total: int  # units
    cost: float  # of a unit, relative to units of other parts: the guess before a part is measured
    done: int = 0  # units
    seconds: float | None = None  # of one unit, as measured; None: not yet


class Left(NamedTuple):
    """Seconds to the end of the run (None: unknown), and the share of them that is guessed."""

    seconds: float | None
    guessed: float = 0.0


class TimeLeft:
    """Follows the parts of a run in their order; a resumed run counts from where `begin` says."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = list(parts)
        self.current: Part | None = None
        self._first = 0
        self._samples: deque[tuple[float, int]] = deque()  # time and units done, of the current part

    def begin(self, name: str, done: int) -> Part:
        """A part begins after `done` of its units; all before it are done."""
        index = [part.name for part in self.parts].index(name)
        for part in self.parts[:index]:
            part.done = part.total
        self.current = self.parts[index]
        self.current.done = done
        self._first = done + WARM_UP
        self._samples.clear()
        return self.current

    def finish(self) -> None:
        """Everything is done."""
        for part in self.parts:
            part.done = part.total
        self._samples.clear()  # measured speeds stay

    def update(self, now: float, done: int) -> None:
        """So many units of the current part are done; cheap enough for every step."""
        self.current.done = done
        samples = self._samples
        if done < self._first or (samples and now - samples[-1][0] < SPACING_SECONDS):
            return
        samples.append((now, done))
        while len(samples) > 1 and samples[1][0] <= now - WINDOW_SECONDS:
            samples.popleft()

    def measure(self, now: float) -> Left:
        """Time left in all parts, at the speed of the last minute."""
        if self.current is None:
            return Left(None)
        if self._samples:
            then, before = self._samples[0]
            if self.current.done > before and now > then:
                self.current.seconds = (now - then) / (self.current.done - before)
        measured = [part for part in self.parts if part.seconds is not None]
        known = guessed = 0.0
        for part in self.parts:
            units = part.total - part.done
            if units and part.seconds is not None:
                known += units * part.seconds
            elif units and not measured:
                return Left(None)
            elif units:
                like = ([other for other in measured if other.kind == part.kind] or measured)[-1]
                guessed += units * like.seconds * part.cost / like.cost
        total = known + guessed
        return Left(total, guessed / total if total else 0.0)

    @property
    def fraction(self) -> float:
        """Share of the run's work that is done, 0 to 1; never falls."""
        return sum(part.done * part.cost for part in self.parts) / sum(part.total * part.cost for part in self.parts)
