"""Rotations against SciPy's, which were written by others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from talksplat.geometry.rotations import matrix_to_quat, quat_to_matrix, rotvec_to_matrix, slerp


def random_quats(count: int, seed: int = 0) -> torch.Tensor:
    quats = Rotation.random(count, random_state=seed).as_quat(scalar_first=True)
    return torch.from_numpy(quats * np.sign(quats[:, :1]))


def as_matrix(quats: torch.Tensor) -> np.ndarray:
    return Rotation.from_quat(quats.numpy(), scalar_first=True).as_matrix()


def test_quat_to_matrix_matches_scipy_for_any_length():
    quats = random_quats(50)
    np.testing.assert_allclose(quat_to_matrix(quats * 3.7).numpy(), as_matrix(quats), atol=1e-12)


def test_matrix_to_quat_inverts_also_at_half_turns():
    half_turns = torch.tensor([[0.0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0.6, 0.8, 0], [1e-7, 0.6, 0, 0.8]])
    quats = torch.cat([random_quats(50), half_turns.double()])
    found = matrix_to_quat(torch.from_numpy(as_matrix(quats)))
    assert (found[:, 0] >= 0).all()
    np.testing.assert_allclose(quat_to_matrix(found).numpy(), as_matrix(quats), atol=1e-7)


def test_rotvec_to_matrix_matches_scipy_and_has_a_gradient_at_zero():
    vectors = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = Rotation.from_rotvec(vectors.numpy()).as_matrix()
    np.testing.assert_allclose(rotvec_to_matrix(vectors).numpy(), expected, atol=1e-12)
    zero = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    rotvec_to_matrix(zero)[0, 1, 0].backward()  # +z turn moves x to y
    np.testing.assert_allclose(zero.grad.numpy(), [[0, 0, 1]], atol=1e-12)


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 1.0])
def test_slerp_matches_scipy_on_the_shorter_arc(fraction: float):
    start, end = random_quats(30, 1), random_quats(30, 2)
    end[::2] *= -1  # the same rotations, on the far side of the sphere
    found = slerp(start, end, torch.full((30,), fraction, dtype=torch.float64))
    for i in range(30):
        pair = Rotation.from_quat(torch.stack([start[i], end[i]]).numpy(), scalar_first=True)
        expected = Slerp([0, 1], pair)(fraction).as_matrix()
        np.testing.assert_allclose(quat_to_matrix(found[i]).numpy(), expected, atol=1e-7)


def test_slerp_of_equal_quats_is_finite():
    quats = random_quats(5)
    found = slerp(quats, quats, torch.full((5,), 0.3, dtype=torch.float64))
    np.testing.assert_allclose(found.numpy(), quats.numpy(), atol=1e-7)
