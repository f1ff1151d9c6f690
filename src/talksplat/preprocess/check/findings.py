"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How much a finding matters."""

    GOOD = "ok"
    NOTE = "note"  # handled, or of interest to other projects only
    WARN = "warning"  # trains, and the result may suffer
    BAD = "error"  # cannot be trained on


@dataclass(frozen=True)
class Finding:
    """One line of a report."""

    level: Level
    topic: str
    text: str
