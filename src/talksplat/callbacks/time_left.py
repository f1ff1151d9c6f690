"""How long the rest of a run takes: measured where a part has begun, guessed in proportion where it has not."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

WINDOW_SECONDS = 60.0  # what the speed is measured over: previews, checkpoints and growing numbers count as they come
SPACING_SECONDS = 0.5  # between samples, so that a window holds few of them
WARM_UP = 2  # units at the beginning that compile kernels and say nothing about speed


@dataclass
class Part:
    """A stage, or something that is measured.

    Args:
        name: shown and written.
        kind: parts of one kind cost alike.
        total: units (steps or frames) in it.
        cost: of a unit, relative to units of other parts: what is not measured yet is guessed by it.
        done: units that are done.
        seconds: of one unit, as measured; None: not yet.
    """

    name: str
    kind: str
    total: int
    cost: float
    done: int = 0
    seconds: float | None = None


class Rate:
    """Seconds for a unit over the last minute, without the first units of this process.

    Args:
        first: units that were done before.
    """

    def __init__(self, first: int) -> None:
        self._first = first
        self._samples: deque[tuple[float, int]] = deque()

    def update(self, now: float, done: int) -> None:
        """Note how far it is; cheap enough for every step."""
        samples = self._samples
        if done < self._first + WARM_UP or (samples and now - samples[-1][0] < SPACING_SECONDS):
            return
        samples.append((now, done))
        while len(samples) > 1 and samples[1][0] <= now - WINDOW_SECONDS:
            samples.popleft()

    def seconds(self, now: float, done: int) -> float | None:
        """Seconds for one unit; None: unknown yet."""
        if not self._samples:
            return None
        then, before = self._samples[0]
        return (now - then) / (done - before) if done > before and now > then else None


@dataclass(frozen=True)
class Left:
    """Seconds to the end of the run (None: unknown), and the share of them that is guessed."""

    seconds: float | None
    guessed: float = 0.0


class TimeLeft:
    """Follows the parts of a run in their order.

    Args:
        parts: all of them; `begin` says where one begins, so a resumed run counts from there.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = list(parts)
        self.current: Part | None = None
        self._rate = Rate(0)

    def begin(self, name: str, done: int) -> Part:
        """A part begins after `done` of its units; all before it are done."""
        index = next(index for index, part in enumerate(self.parts) if part.name == name)
        for part in self.parts[:index]:
            part.done = part.total
        self.current, self._rate = self.parts[index], Rate(done)
        self.current.done = done
        return self.current

    def finish(self) -> None:
        """Everything is done."""
        for part in self.parts:
            part.done = part.total
        self._rate = Rate(0)  # what was measured stays

    def update(self, now: float, done: int) -> None:
        """So many units of the part in hand are done."""
        self.current.done = done
        self._rate.update(now, done)

    def measure(self, now: float) -> Left:
        """Time left in all parts, at the speed of now."""
        if self.current is None:
            return Left(None)
        self.current.seconds = self._rate.seconds(now, self.current.done) or self.current.seconds
        known = guessed = 0.0
        for part in self.parts:
            units = part.total - part.done
            if units and part.seconds is not None:
                known += units * part.seconds
            elif units:
                seconds = self._guess(part)
                if seconds is None:
                    return Left(None)
                guessed += units * seconds
        total = known + guessed
        return Left(total, guessed / total if total else 0.0)

    def _guess(self, part: Part) -> float | None:
        """Seconds of a unit after the latest measured part of its kind, or of any."""
        measured = [other for other in self.parts if other.seconds is not None]
        if not measured:
            return None
        like = [other for other in measured if other.kind == part.kind] or measured
        return like[-1].seconds * part.cost / like[-1].cost

    @property
    def fraction(self) -> float:
        """Share of the run's work that is done, 0 to 1; never falls."""
        return sum(part.done * part.cost for part in self.parts) / sum(part.total * part.cost for part in self.parts)
