"""On a GPU a training step waits for nothing but gsplat's own sizes, and a bad number is found without waiting for it."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.helpers.runs import small_config

from talksplat.data.frame_store import FrameStore
from talksplat.errors import UserError
from talksplat.training.density.layers import LayerDensity
from talksplat.training.module import TalkingHeadModule
from talksplat.training.nan_guard import NanGuard, NonFiniteError
from talksplat.training.run import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]


def place_of_wait() -> str:
    """File and line of the innermost call of this package."""
    frames = [f for f in traceback.extract_stack() if "talksplat/" in f.filename]
    return (
        f"{frames[-1].filename}:{frames[-1].lineno} {frames[-1].line}" if frames else "".join(traceback.format_stack())
    )


def watch(function: Callable, waits: list[str]) -> Callable:
    """The function, noting where it makes the host wait for the device."""

    def watched(*args, **kwargs):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = lambda message, *_, **__: (
                waits.append(place_of_wait()) if "synchronizing" in str(message) else None
            )
            torch.cuda.set_sync_debug_mode("warn")
            try:
                return function(*args, **kwargs)
            finally:
                torch.cuda.set_sync_debug_mode("default")

    return watched


def unwatched(function: Callable) -> Callable:
    """The function, free to wait."""

    def free(*args, **kwargs):
        mode = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("default")
        try:
            return function(*args, **kwargs)
        finally:
            torch.cuda.set_sync_debug_mode(mode)

    return free


@pytest.mark.parametrize("model", ["gaussiantalker", "egstalker", "static"])
def test_a_training_step_waits_for_gsplats_sizes_only(
    model: str, tiny_subject: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    waits: list[list[str]] = []
    step = TalkingHeadModule.training_step

    def one_step(self, batch, index):
        waits.append([])
        return watch(step, waits[-1])(self, batch, index)

    batches: list[list[str]] = []
    batch_of = FrameStore.batch

    def one_batch(self, positions, device):
        waits_of_batch: list[str] = []
        if torch.device(device).type == "cuda":
            batches.append(waits_of_batch)
        return watch(batch_of, waits_of_batch)(self, positions, device)

    monkeypatch.setattr(TalkingHeadModule, "training_step", one_step)
    monkeypatch.setattr(FrameStore, "batch", one_batch)
    monkeypatch.setattr(LayerDensity, "act", unwatched(LayerDensity.act))  # now and then, and changes sizes
    config = small_config(tiny_subject, f"model={model}", "trainer=gpu", "dataset.cache=device")
    train(config, tmp_path / "run")
    assert len(waits) == 20
    steady = waits[3:12] + waits[14:]  # the first steps of a stage set up what all later ones use
    assert not any(steady), "\n".join(sorted({place for places in steady for place in places}))
    # gsplat's own extension has no handler for torch's warnings, which then go to stderr: one wait for a size per step.
    assert capfd.readouterr().err.count("called a synchronizing CUDA operation") == len(waits)
    assert len(batches) > 20 and not any(batches[1:]), batches[1:]  # the first one copies the whole clip


def test_a_bad_gradient_holds_the_optimisers_back_and_raises_a_step_later() -> None:
    parameter = torch.nn.Parameter(torch.ones(3, device="cuda"))
    optimizer = torch.optim.Adam([parameter], lr=0.1, fused=True)
    guard, term, seen = NanGuard(), torch.tensor(0.5, device="cuda"), []
    for step, gradient in enumerate([1.0, float("nan"), 1.0]):
        parameter.grad = torch.full((3,), gradient, device="cuda")
        if step == 2:
            with pytest.raises(NonFiniteError, match="the gradient of means became NaN or infinite at step 1"):
                guard.check(step, {"l1": term}, {"means": [parameter]}, [optimizer])
            break
        guard.check(step, {"l1": term}, {"means": [parameter]}, [optimizer])
        assert guard.without_bad({"sum": term})["sum"] == (0.5 if step == 0 else 0)
        optimizer.step()
        seen.append(parameter.detach().clone())
    assert seen[0].isfinite().all() and torch.equal(seen[0], seen[1])
    assert optimizer.state[parameter]["step"] == 1 and optimizer.state[parameter]["exp_avg"].isfinite().all()
    guard.read()  # said once


def test_a_run_keeps_its_last_good_state(tiny_subject: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = TalkingHeadModule._penalized

    def spoiled(self, loss):
        return original(self, loss) * (float("nan") if self.global_step == 5 else 1.0)

    monkeypatch.setattr(TalkingHeadModule, "_penalized", spoiled)
    with pytest.raises(UserError, match="at step 5 of stage coarse"):
        train(small_config(tiny_subject, "trainer=gpu"), tmp_path / "run")
    (path,) = (tmp_path / "run").rglob("last_good.ckpt")
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values())
    moments = [s for o in checkpoint["training"]["gaussian_optimizers"].values() for s in o["state"].values()]
    assert moments and all(value.isfinite().all() for state in moments for value in state.values())
