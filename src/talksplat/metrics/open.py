"""Metrics of a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from talksplat.config import CONF_DIR, instantiate
from talksplat.config.targets import check_targets
from talksplat.errors import UserError
from talksplat.metrics.base import ClipMetric, FrameMetric, Metric
from talksplat.metrics.frames import Clip
from talksplat.metrics.suite import MetricSuite
from talksplat.subject_format.subject import Subject

SHIPPED = CONF_DIR / "metric" / "default.yaml"


def build_metrics(nodes: Mapping[str, Any]) -> dict[str, Metric]:
    """The metrics of `evaluation.metrics` that are not null.

    Raises:
        UserError: none is left, no such class, a wrong argument, or a class that is no metric.
    """
    nodes = OmegaConf.create({"evaluation": {"metrics": dict(nodes)}})
    check_targets(nodes)
    metrics = {name: instantiate(node) for name, node in nodes.evaluation.metrics.items() if node is not None}
    for name, metric in metrics.items():
        if not isinstance(metric, FrameMetric | ClipMetric):
            raise UserError(
                f"evaluation.metrics.{name}: a {type(metric).__name__} is no metric: derive it from "
                "talksplat.metrics.FrameMetric or ClipMetric"
            )
        lacking = [key for key in ("title", "definition") if not getattr(metric, key, "")]
        if lacking:
            raise UserError(f"evaluation.metrics.{name}: {type(metric).__name__} has no {' and no '.join(lacking)}")
    if not metrics:
        raise UserError("evaluation.metrics names nothing to measure")
    return metrics


def open_suite(
    nodes: Mapping[str, Any],
    assets: str | Path | None,
    device: torch.device | str = "cpu",
    subject: Subject | None = None,
    training_frames: bool = False,
) -> MetricSuite:
    """The metrics of these nodes, ready for the frames of a subject; for training frames without what is too slow for them."""
    metrics = build_metrics(nodes)
    if training_frames:
        metrics = {name: metric for name, metric in metrics.items() if metric.on_training_frames}
    return MetricSuite(metrics, Clip(None if assets is None else Path(assets), torch.device(device), subject))


def nodes_of_run(config: Mapping[str, Any]) -> dict[str, Any]:
    """`evaluation.metrics` of a run; those of `conf/metric/default.yaml` where an older version composed its configuration."""
    evaluation = dict(config.get("evaluation") or {})
    if not evaluation.get("metrics"):
        evaluation = {"lpips_net": evaluation.get("lpips_net"), "metrics": OmegaConf.load(SHIPPED)}
    resolved = OmegaConf.to_container(OmegaConf.create({"evaluation": evaluation}), resolve=True)
    return resolved["evaluation"]["metrics"]


def nodes_to_measure(trained: DictConfig, asked: DictConfig, chosen: Sequence[str] | None = None) -> dict[str, Any]:
    """Metrics of a command that measures a finished run: those of its own configuration, and what only the run names.

    Args:
        trained, asked: configuration of the run and of the command.
        chosen: names of those that are wanted; None: all.

    Raises:
        UserError: there is no metric of such a name.
    """
    runs = OmegaConf.select(trained, "evaluation.metrics") or {}
    nodes = {**asked.evaluation.metrics, **{k: v for k, v in runs.items() if k not in asked.evaluation.metrics}}
    if chosen is None:
        return nodes
    unknown = [name for name in chosen if nodes.get(name) is None]
    if unknown or not chosen:
        known = ", ".join(name for name, node in nodes.items() if node is not None)
        raise UserError(f"metrics=[{','.join(chosen)}]: choose of {known}")
    return {name: nodes[name] for name in nodes if name in chosen}
