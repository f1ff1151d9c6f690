"""The guard against NaN names what went wrong."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from talksplat.training.nan_guard import NanGuard, NonFiniteError


def parameters(gradient: float) -> dict[str, list[nn.Parameter]]:
    parameter = nn.Parameter(torch.ones(3))
    parameter.grad = torch.tensor([0.0, gradient, 0.0])
    return {"means": [parameter], "networks": [nn.Parameter(torch.ones(1))]}


def test_good_numbers_pass() -> None:
    NanGuard().check(3, {"l1": torch.tensor(0.5)}, parameters(1.0))


def test_a_bad_loss_term_is_named() -> None:
    with pytest.raises(NonFiniteError, match="loss term 'dssim' became NaN or infinite at step 3") as error:
        NanGuard().check(3, {"l1": torch.tensor(0.5), "dssim": torch.tensor(float("nan"))}, parameters(float("nan")))
    assert "l1" not in str(error.value)
    assert "gradient" not in str(error.value)


def test_a_bad_gradient_is_named() -> None:
    with pytest.raises(NonFiniteError, match="the gradient of means"):
        NanGuard().check(3, {"l1": torch.tensor(0.5)}, parameters(float("inf")))
