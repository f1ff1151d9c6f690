"""A head without audio, the floor of comparisons."""

from __future__ import annotations

from talksplat.models.talking_head import TalkingHead


class StaticHead(TalkingHead):
    """The canonical head in both modes: predicted factors in "canonical", explicit parameters in "deform"; only the
    camera moves. What a driven model gains over it, it gains by deformation."""
