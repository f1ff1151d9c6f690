"""What a comparison says, as titled sections."""

from __future__ import annotations

from dataclasses import dataclass, field

from talksplat.compare.table import ComparisonTable

Part = str | list[str] | ComparisonTable


@dataclass
class Section:
    """A title and its parts in their order: a paragraph (text), a list (of texts) or a table. Texts are plain but for
    `code` in backticks."""

    title: str
    parts: list[Part] = field(default_factory=list)
