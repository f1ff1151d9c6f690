"""What a comparison says, as titled sections; Markdown, and any other page, are written from them."""

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

    def markdown(self, level: int = 2) -> str:
        """The section under a heading of this level."""
        return "\n".join([f"{'#' * level} {self.title}\n", *(_markdown(part) for part in self.parts)])


def _markdown(part: Part) -> str:
    if isinstance(part, ComparisonTable):
        return part.markdown()
    if isinstance(part, list):
        return "".join(f"- {line}\n" for line in part)
    return f"{part}\n"


def page_markdown(sections: list[Section]) -> str:
    """The whole page: the first section's title is that of the page."""
    return "\n".join(section.markdown(2 if index else 1) for index, section in enumerate(sections))
