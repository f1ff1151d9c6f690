"""Optuna's distributions of settings."""

from __future__ import annotations

from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from talksplat.errors import UserError


def distribution(override: Override) -> BaseDistribution:
    """Distribution of a setting in Hydra's syntax. Raises UserError: an empty range, or a logarithm of zero."""
    try:
        return _distribution(override)
    except ValueError as error:
        raise UserError(f"{override.input_line} cannot be searched: {error}") from error


def _distribution(override: Override) -> BaseDistribution:
    values = override.value()
    if isinstance(values, RangeSweep):
        start, stop, step = values.start, values.stop, values.step
        if all(isinstance(number, int) for number in (start, stop, step)):
            return IntDistribution(start, start + (stop - 1 - start) // step * step, step=step)
        return FloatDistribution(float(start), float(stop), step=float(step))
    if isinstance(values, IntervalSweep):
        log = "log" in values.tags
        if isinstance(values.start, int) and isinstance(values.end, int):
            return IntDistribution(values.start, values.end, log=log)
        return FloatDistribution(float(values.start), float(values.end), log=log)
    return CategoricalDistribution([text for text in override.sweep_string_iterator()])


def first_value(values: BaseDistribution) -> Any:
    """A value that a setting may take."""
    return values.choices[0] if isinstance(values, CategoricalDistribution) else values.low
