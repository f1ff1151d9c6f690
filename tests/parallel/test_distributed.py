"""What processes share: gradients, numbers, statistics, decisions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import Adam

from talksplat.losses.pixel import LipLoss, box_mask
from talksplat.parallel.distributed import (
    all_reduce,
    check_equal,
    gather,
    mean_over_processes,
    take_from_first,
    world_size,
)
from talksplat.training.density.adaptive import AdaptiveDensity
from talksplat.training.density.base import DensityControl
from talksplat.training.density.gsplat_default import GsplatDensity
from talksplat.training.density.mcmc import MCMCDensity
from talksplat.training.nan_guard import NanGuard, NonFiniteError
from talksplat.training.random_state import drawn_alike
from talksplat.types import FrameBatch, RenderOutput
from tests.helpers.processes import WORLD, together
from tests.models.building import make_conditions

N = 60


def test_gradients_are_averaged_and_absent_ones_count_as_zero(tmp_path: Path) -> None:
    def work(rank: int) -> list:
        both, one, none = (nn.Parameter(torch.zeros(2, 3)) for _ in range(3))
        both.grad = torch.full((2, 3), 1.0 + rank)
        if rank == 1:
            one.grad = torch.full((2, 3), 8.0)
        means, sums = {"loss": torch.tensor(2.0 * rank)}, {"count": torch.arange(4.0) + rank}
        shared = all_reduce([both, one, none], means, sums, stop=rank == 1)
        numbers = [shared.means["loss"].item(), shared.sums["count"].tolist(), shared.stop]
        return [both.grad.unique().tolist(), one.grad.unique().tolist(), none.grad, *numbers]

    first, second = together(work, tmp_path)
    assert first == second == [[1.5], [4.0], None, 1.0, [1.0, 3.0, 5.0, 7.0], True]


def test_nobody_stops_unasked(tmp_path: Path) -> None:
    parameter = nn.Parameter(torch.zeros(1))
    assert together(lambda rank: all_reduce([parameter], {}, {}, False).stop, tmp_path) == [False, False]


def test_a_bad_term_of_one_process_is_named_in_all(tmp_path: Path) -> None:
    def work(rank: int) -> str:
        parameter = nn.Parameter(torch.zeros(3))
        parameter.grad = torch.full((3,), torch.nan if rank == 1 else 1.0)
        terms = {"l1": torch.tensor(0.5), "dssim": torch.tensor(torch.nan if rank == 1 else 0.1)}
        shared = all_reduce([parameter], terms, {}, stop=False)
        try:
            NanGuard().check(7, shared.means, {"means": [parameter]})
        except NonFiniteError as error:
            return str(error)
        return "nothing"

    assert together(work, tmp_path) == ["loss term 'dssim' became NaN or infinite at step 7"] * WORLD


def test_small_helpers(tmp_path: Path) -> None:
    def work(rank: int) -> list:
        tensor = torch.full((2,), float(rank + 5))
        mean = mean_over_processes(tensor)
        take_from_first([tensor])
        return [mean.tolist(), tensor.tolist(), gather({"rank": rank})]

    expected = [[5.5, 5.5], [5.0, 5.0], [{"rank": 0}, {"rank": 1}]]
    assert together(work, tmp_path) == [expected, expected]


def test_processes_that_differ_are_found_out(tmp_path: Path) -> None:
    def work(rank: int) -> None:
        same, other = torch.ones(3), torch.ones(3 + rank)
        check_equal({"means": same}, "at first")
        check_equal({"means": same, "opacities": other}, "at step 5")

    message = "RuntimeError: the processes of this run hold different opacities at step 5: results would be wrong"
    assert together(work, tmp_path) == [message, message]


def test_lip_loss_weighs_all_boxes_alike(tmp_path: Path) -> None:
    """One process has the large box, the other a small one or none."""
    generator = torch.Generator().manual_seed(3)
    image, frames = torch.rand(2, 8, 8, 3, generator=generator), torch.zeros(2, 8, 8, 3, dtype=torch.uint8)
    for boxes in ([[1, 1, 7, 7], [2, 2, 4, 5]], [[1, 1, 7, 7], [0, 0, 0, 0]]):
        boxes = torch.tensor(boxes)

        def loss(chosen: slice, boxes: torch.Tensor = boxes) -> np.ndarray:
            part = image[chosen].clone().requires_grad_()
            pixels = box_mask(boxes[chosen], 8, 8).sum().float()
            batch = FrameBatch(
                lip_pixels=mean_over_processes(pixels),  # as a training step does
                frame_ids=torch.arange(len(part)),
                original_u8=frames[chosen],
                background_u8=frames[chosen],
                head_mask=torch.ones(len(part), 8, 8, dtype=torch.bool),
                head_alpha_u8=None,
                lip_boxes=boxes[chosen],
                conditions=make_conditions(len(part)),
            )
            output = RenderOutput(
                part,
                torch.zeros(len(part), 8, 8),
                torch.zeros(len(part), 0, 2),
                torch.zeros(len(part), 0, 2, dtype=torch.int32),
            )
            value = LipLoss(1.0)(output, batch)
            value.backward()
            return torch.cat([value.detach().reshape(1), part.grad.flatten()]).numpy()

        (tmp_path / str(boxes[1, 2].item())).mkdir()
        whole = loss(slice(None))
        parts = together(lambda rank, loss=loss: loss(slice(rank, rank + 1)), tmp_path / str(boxes[1, 2].item()))
        assert np.mean([part[0] for part in parts]) == pytest.approx(whole[0], rel=1e-6)
        joined = np.concatenate([part[1:] for part in parts]) / WORLD
        np.testing.assert_allclose(joined, whole[1:], rtol=1e-5, atol=1e-9)


def scene() -> tuple[nn.ParameterDict, dict[str, Adam]]:
    """The same in every process: small and large Gaussians, with Adam states."""
    torch.manual_seed(0)
    shapes = {"means": (3,), "scales": (3,), "quats": (4,), "opacities": (), "sh0": (1, 3), "shN": (3, 3)}
    params = nn.ParameterDict({name: nn.Parameter(torch.randn(N, *shape)) for name, shape in shapes.items()})
    params["scales"].data[: N // 2] -= 8
    optimizers = {name: Adam([params[name]], lr=1e-3) for name in params}
    sum(parameter.square().sum() for parameter in params.values()).backward()
    for optimizer in optimizers.values():
        optimizer.step()
    return params, optimizers


def frame(number: int) -> RenderOutput:
    """What is seen in a frame: some of the Gaussians, with gradients of their own."""
    generator = torch.Generator().manual_seed(100 + number)
    means2d = torch.zeros(1, N, 2, requires_grad=True)
    means2d.grad = 1e-4 * torch.randn(1, N, 2, generator=generator)
    radii = (torch.rand(1, N, generator=generator) > 0.3).int()[..., None].expand(1, N, 2)
    return RenderOutput(torch.zeros(1, 8, 8, 3), torch.zeros(1, 8, 8), means2d, radii)


def both_frames() -> RenderOutput:
    """The frames 0 and 1 as one batch, whose mean loss has gradients half as large."""
    first, second = frame(0), frame(1)
    means2d = torch.zeros(2, N, 2, requires_grad=True)
    means2d.grad = torch.cat([first.means2d.grad, second.means2d.grad]) / 2
    return RenderOutput(torch.zeros(2, 8, 8, 3), torch.zeros(2, 8, 8), means2d, torch.cat([first.radii, second.radii]))


def refined(control: DensityControl, output: RenderOutput, rank: int) -> dict[str, np.ndarray]:
    """Gaussians and their optimisers after three steps of observing and one refinement."""
    params, optimizers = scene()
    control.initialize(1.0)
    torch.manual_seed(rank)  # what was drawn before differs
    for _ in range(3):
        statistics = control.statistics(output, 8, 8)
        if world_size() > 1:
            statistics = all_reduce([params["means"]], {}, statistics, False).sums
        control.observe(params, statistics)
    with drawn_alike(5, 10, torch.device("cpu")):
        control.refine(params, optimizers, 10)
        control.after_step(params, optimizers, 10, {"means": 1e-3})
    states = {name: optimizer.state[params[name]]["exp_avg"] for name, optimizer in optimizers.items()}
    return {
        **{name: parameter.detach().numpy() for name, parameter in params.items()},
        **{f"{name}.exp_avg": value.numpy() for name, value in states.items()},
    }


@pytest.mark.parametrize("strategy", [AdaptiveDensity, GsplatDensity])
def test_density_control_is_alike_and_as_in_one_process(strategy: type, tmp_path: Path) -> None:
    def control() -> DensityControl:
        extra = {"max_scale": None, "prune_start": 0} if strategy is AdaptiveDensity else {}
        return strategy(grad_threshold=5e-4, start=0, every=10, **extra)

    first, second = together(lambda rank: refined(control(), frame(rank), rank), tmp_path)
    whole = refined(control(), both_frames(), rank=7)
    assert len(whole["means"]) > N, "nothing grew"
    assert not np.isin(whole["means"], scene()[0]["means"].detach().numpy()).all(), "nothing was split"
    for name, value in whole.items():
        np.testing.assert_array_equal(first[name], value, err_msg=name)
        np.testing.assert_array_equal(second[name], value, err_msg=name)


def test_mcmc_moves_and_adds_alike(tmp_path: Path) -> None:
    def control() -> DensityControl:
        return MCMCDensity(start=0, every=10, growth=0.2, min_opacity=0.3)

    first, second = together(lambda rank: refined(control(), frame(rank), rank), tmp_path)
    assert len(first["means"]) == 1.2 * N
    assert not np.isin(first["means"], scene()[0]["means"].detach().numpy()).all(), "nothing was moved"
    for name, value in first.items():
        np.testing.assert_array_equal(second[name], value, err_msg=name)
