"""What is measured on rendered frames, each metric with its definition in words."""

from talksplat.metrics.base import ClipMetric, FrameMetric, Metric
from talksplat.metrics.frames import Clip, MeasuredFrames
from talksplat.metrics.suite import MetricSuite

__all__ = ["Clip", "ClipMetric", "FrameMetric", "MeasuredFrames", "Metric", "MetricSuite"]
