"""On a GPU the losses take other ways than on a CPU: the same values, and no waiting for the device."""

from __future__ import annotations

import pytest
import torch

from talksplat.losses import DSSIMLoss, L1Loss, LipLoss, LPIPSLoss, MaskLoss, PerceptualVGGLoss, total_loss
from tests.helpers.metrics import shipped_suite
from tests.losses.bundles import make_batch, make_output
from tests.losses.fake_weights import write_fake_weights

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU"),
]


@pytest.fixture(scope="module")
def assets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("assets")
    write_fake_weights(folder, "vgg")
    write_fake_weights(folder, "alex")
    return folder


def gradient_on(device: str, loss, batch):
    image, transmittance = torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(3)), torch.rand(2, 64, 64)
    image, transmittance = image.to(device).requires_grad_(), torch.full_like(transmittance, 0.3, device=device)
    transmittance.requires_grad_()
    value = loss.to(device)(make_output(image, transmittance), batch.to(device))
    value.backward()
    leaf = image if image.grad is not None else transmittance
    return value.item(), leaf.grad.cpu()


@pytest.mark.parametrize("name", ["l1", "dssim", "lip", "mask", "lpips", "vgg"])
def test_values_and_gradients_equal_the_cpus(name, assets):
    loss = {
        "l1": L1Loss(1.0),
        "dssim": DSSIMLoss(1.0),
        "lip": LipLoss(1.0),
        "mask": MaskLoss(1.0, kind="bce"),
        "lpips": LPIPSLoss(1.0, assets=str(assets)),
        "vgg": PerceptualVGGLoss(1.0, assets=str(assets)),
    }[name]
    batch = make_batch(size=64)
    value, gradient = gradient_on("cpu", loss, batch)
    cuda_value, cuda_gradient = gradient_on("cuda", loss, batch)
    tolerance = 3e-2 if name in ("vgg", "lpips") else 1e-4  # bfloat16 and TF32 convolutions
    assert cuda_value == pytest.approx(value, rel=tolerance)
    difference = (cuda_gradient - gradient).norm() / gradient.norm()
    assert difference < (0.2 if name in ("vgg", "lpips") else 1e-3)


def test_nothing_waits_for_the_gpu(assets):
    losses = {
        "l1": L1Loss(1.0),
        "dssim": DSSIMLoss(1.0, crop=True),
        "lip": LipLoss(1.0),
        "mask": MaskLoss(1.0),
        "vgg": PerceptualVGGLoss(1.0, assets=str(assets)),
    }
    batch = make_batch(size=64).to("cuda")
    image = torch.rand(2, 64, 64, 3, device="cuda", requires_grad=True)
    output = make_output(image, torch.rand(2, 64, 64, device="cuda"))
    modules = torch.nn.ModuleDict(losses).to("cuda")
    total_loss(modules, output, batch, "fine", 0)[0].backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        total_loss(modules, output, batch, "fine", 1)[0].backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_metrics_equal_the_cpus(assets):
    batch, image = make_batch(size=64), torch.rand(2, 64, 64, 3)
    results = []
    for device in ("cpu", "cuda"):
        suite = shipped_suite("alex", assets, device)
        suite.update(image.to(device), batch.to(device))
        results.append(suite.compute()["mean"])
    for name, value in results[0].items():
        assert results[1][name] == (None if value is None else pytest.approx(value, rel=1e-2)), name
