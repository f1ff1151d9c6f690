"""What is measured on rendered frames, each metric with its definition in words."""

from talksplat.metrics.suite import MetricSuite

__all__ = ["MetricSuite"]
