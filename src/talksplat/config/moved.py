"""Class paths and settings of older versions, in configurations and checkpoints that people have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOVED = {  # old class, module or package: its present name; the first that fits counts; kept for one version
    "talksplat.preprocess.audio_features": "talksplat.audio",
    "talksplat.models.agents": "talksplat.models.conditioning.agents",
    "talksplat.models.attention": "talksplat.models.conditioning.attention",
    "talksplat.models.audio_encoder": "talksplat.models.conditioning.audio_encoder",
    "talksplat.models.expression.ExpressionOffsets": "talksplat.models.deformation.expression_offsets.ExpressionOffsets",
    "talksplat.models.expression": "talksplat.models.conditioning.expression",
    "talksplat.models.fusion": "talksplat.models.conditioning.linear_fusion",
    "talksplat.models.lip_token": "talksplat.models.conditioning.lip_token",
    "talksplat.models.multi_head": "talksplat.models.conditioning.multi_head",
    "talksplat.models.position_code": "talksplat.models.conditioning.position_code",
    "talksplat.models.reach.AudioReach": "talksplat.models.conditioning.audio_attention_prior.AudioAttentionPrior",
    "talksplat.models.speech_encoder": "talksplat.models.conditioning.speech_encoder",
    "talksplat.models.tokens": "talksplat.models.conditioning.tokens",
    "talksplat.models.attention_deformation": "talksplat.models.deformation.attention_deformation",
    "talksplat.models.deformation.Deformation": "talksplat.models.deformation.base.Deformation",
    "talksplat.models.deformation.DeformationHeads": "talksplat.models.deformation.base.DeformationHeads",
    "talksplat.models.motion": "talksplat.models.deformation.motion",
    "talksplat.models.canonical": "talksplat.models.gaussians.canonical",
    "talksplat.models.gaussians.GaussianParameters": "talksplat.models.gaussians.parameters.GaussianParameters",
    "talksplat.models.hash_triplane": "talksplat.models.gaussians.hash_triplane",
    "talksplat.models.triplane": "talksplat.models.gaussians.triplane",
}


def present_name(target: str) -> str:
    """A dotted name as it is today."""
    for old, new in MOVED.items():
        if target == old or target.startswith(f"{old}."):
            return new + target[len(old) :]
    return target


def follow_moves(value: Any, changed: dict[str, str] | None = None) -> Any:
    """A configuration (plain dictionaries and lists) with every `_target_` as it is today; `changed` receives old and new names."""
    if isinstance(value, list):
        return [follow_moves(item, changed) for item in value]
    if not isinstance(value, dict):
        return value
    moved = {key: follow_moves(item, changed) for key, item in value.items()}
    target = moved.get("_target_")
    if isinstance(target, str) and present_name(target) != target:
        moved["_target_"] = present_name(target)
        if changed is not None:
            changed[target] = moved["_target_"]
    return moved


def without_paper_split(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by full path without those of dataset.split where that is "paper", the only one that older versions had."""
    if str(settings.get("dataset.split", "paper")).strip('"') != "paper":
        return dict(settings)
    keys = {f"dataset.{loader}{key}" for loader in ("", "loader.") for key in ("split", "val_share", "val_gap")}
    return {key: value for key, value in settings.items() if key not in keys}
