"""Spherical harmonics: orthonormal, and in the order and signs of gsplat."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from talksplat.geometry.spherical_harmonics import evaluate_sh, num_sh_bases, sh_basis


def sphere_quadrature() -> tuple[torch.Tensor, torch.Tensor]:
    """Directions and weights that integrate polynomials up to degree 7 over the sphere exactly."""
    z, weights = np.polynomial.legendre.leggauss(8)
    turn = 2 * np.pi * np.arange(16) / 16
    radius = np.sqrt(1 - z**2)[:, None]
    points = np.stack([radius * np.cos(turn), radius * np.sin(turn), z[:, None].repeat(16, 1)], -1)
    return torch.from_numpy(points.reshape(-1, 3)), torch.from_numpy(weights.repeat(16) * 2 * np.pi / 16)


def test_basis_is_orthonormal():
    directions, weights = sphere_quadrature()
    basis = sh_basis(directions, 3)
    assert basis.shape[1] == num_sh_bases(3) == 16
    np.testing.assert_allclose((basis * weights[:, None]).T @ basis, np.eye(16), atol=1e-12)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_basis_matches_gsplat(degree: int):
    reference = pytest.importorskip("gsplat.cuda._torch_impl")
    directions, _ = sphere_quadrature()
    expected = reference._eval_sh_bases_fast(num_sh_bases(degree), directions)
    np.testing.assert_allclose(sh_basis(directions, degree), expected, atol=1e-6)


def test_lower_degrees_use_the_first_coefficients_only():
    generator = torch.Generator().manual_seed(0)
    directions, _ = sphere_quadrature()
    coefficients = torch.randn(len(directions), 16, 3, dtype=torch.float64, generator=generator)
    grey = torch.zeros(len(directions), 16, 3, dtype=torch.float64)
    grey[:, :4] = coefficients[:, :4]
    low = evaluate_sh(coefficients, directions, 1)
    np.testing.assert_allclose(low, evaluate_sh(grey, directions, 3), atol=1e-12)
    np.testing.assert_allclose(evaluate_sh(0 * grey, directions, 3), np.full((len(directions), 3), 0.5))


def test_unknown_degree_is_refused():
    with pytest.raises(ValueError, match="degrees 0 to 3"):
        sh_basis(torch.zeros(1, 3), 4)
