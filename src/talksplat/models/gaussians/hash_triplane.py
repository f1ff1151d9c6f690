"""Hash tri-plane: planes as multi-resolution hash grids, which EGSTalker's paper describes and its code lacks.

Own code, since the packages with such grids (tiny-cuda-nn, torch-ngp) are CUDA extensions built from source.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.models.gaussians.spatial_encoding import SpatialEncoding
from talksplat.models.gaussians.triplane import sample_product, smooth_noise
from talksplat.models.heads import without_autocast

PRIME = 2_654_435_761  # of the second axis; that of the first is 1 (Mueller et al. 2022, equation 4)


class HashTriPlane(SpatialEncoding):
    """Three axis-aligned planes, each a 2-D multi-resolution hash grid (Mueller et al. 2022); the three planes' bilinear
    samples are multiplied in each level and the levels concatenated, as in `TriPlane`.

    A level whose vertices fit into a table is a dense plane, another one a table in which vertices share entries by a
    spatial hash. Dense planes start with smooth noise as in `TriPlane`; in a table neighbours are unrelated, so its noise
    is smaller the finer the level, which keeps the features' slope the same.

    Args:
        levels, features: of each plane, and features per level.
        base_resolution, growth: vertices per side of the coarsest level, and factor from one level to the next.
        log2_table_size: T; a table has 2^T entries.
        margin: see `SpatialEncoding`.
        init_range, init_resolution: see `smooth_noise`.

    Raises:
        UserError: a value out of range.
    """

    resolutions: Int[Tensor, " level"]  # of the hashed levels

    def __init__(
        self,
        levels: int = 8,
        features: int = 8,
        base_resolution: int = 16,
        growth: float = 1.64,
        log2_table_size: int = 14,
        margin: float = 1.2,
        init_range: Sequence[float] = (0.1, 0.5),
        init_resolution: int | None = 16,
    ):
        super().__init__(margin, levels * features)
        if min(levels, features) < 1 or base_resolution < 2 or growth < 1 or not 1 <= log2_table_size <= 24:
            raise UserError(
                f"triplane: levels={levels} and features={features} must be positive, base_resolution="
                f"{base_resolution} at least 2, growth={growth} at least 1, log2_table_size={log2_table_size} 1 to 24"
            )
        sides = [int(base_resolution * growth**level) for level in range(levels)]
        self.table_size = 2**log2_table_size
        self.planes = nn.ParameterList(
            nn.Parameter(smooth_noise(features, side, init_range, init_resolution))
            for side in sides
            if side**2 <= self.table_size
        )
        hashed = sides[len(self.planes) :]
        self.register_buffer("resolutions", torch.tensor(hashed, dtype=torch.int64), persistent=False)
        low, high = init_range
        tables = [torch.empty(features, 3, 1, self.table_size).uniform_(low, high) for _ in hashed]
        if init_resolution is not None:
            middle = (low + high) / 2
            tables = [middle + (table - middle) * init_resolution / side for table, side in zip(tables, hashed)]
        self.tables = nn.Parameter(torch.cat(tables, dim=2)) if hashed else None

    def forward(self, means: Float[Tensor, "gaussian 3"]) -> Float[Tensor, "gaussian feature"]:
        """Features of positions in dm, always in float32. Gradients reach planes, tables and positions."""
        with without_autocast(means):
            coordinates = self.on_planes(means)
            sampled = [sample_product(planes, coordinates) for planes in self.planes]
            if self.tables is not None:
                sampled.append(self._sample_tables(coordinates))
            return torch.cat(sampled).T

    def _sample_tables(self, coordinates: Float[Tensor, "3 gaussian 2"]) -> Float[Tensor, "feature gaussian"]:
        """All hashed levels of all planes at once, with one gather per corner of the cells."""
        last = (self.resolutions - 1)[:, None, None]
        place = (coordinates.clamp(-1, 1)[:, None] + 1) / 2 * last
        cell = place.detach().floor().minimum(last - 1)
        right, down = (place - cell).unbind(-1)
        left, up = 1 - right, 1 - down
        tables = self.tables.flatten(1)
        sampled = 0.0
        for entries, weight in zip(self._entries(cell.long()), (left * up, right * up, left * down, right * down)):
            values = tables.gather(1, entries.flatten().expand(len(tables), -1)).unflatten(1, weight.shape)
            sampled = sampled + values * weight
        xy, xz, yz = sampled.unbind(1)
        return (xy * xz * yz).transpose(0, 1).flatten(0, 1)

    def _entries(self, cell: Int[Tensor, "3 level gaussian 2"]) -> Int[Tensor, "4 3 level gaussian"]:
        """Indices of the four corners of each cell in the concatenated tables."""
        column, row = cell.unbind(-1)
        below = row * PRIME
        above = below + PRIME
        hashed = torch.stack([column ^ below, (column + 1) ^ below, column ^ above, (column + 1) ^ above])
        first = torch.arange(0, 3 * len(self.resolutions) * self.table_size, self.table_size, device=cell.device)
        return (hashed & (self.table_size - 1)) + first.view(3, -1, 1)
