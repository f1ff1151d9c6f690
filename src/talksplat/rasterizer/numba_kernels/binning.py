"""Lists of Gaussians for each 16x16 tile, in depth order: a counting sort by tile of (tile, Gaussian) pairs.

Every array below is indexed by rank, the place of a Gaussian in depth order. The Gaussians are split into as many
contiguous parts as there are threads; the result does not depend on their number.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from talksplat.rasterizer.numba_kernels.floats import LOG2_E
from talksplat.rasterizer.numba_kernels.footprint import HALF, TILE, pixel_range, reach, rows_in_tile
from talksplat.rasterizer.numba_kernels.runtime import parallel_kernel, serial_kernel

TABLE_COLUMNS = 6  # x, y, -A/2 log2 e, -B log2 e, -C/2 log2 e, opacity; the colours follow


@parallel_kernel
def gather(order, means2d, conics, opacities, colors, radii, width, height, threads):
    """Depth-ordered table of what the tile loops read, and each Gaussian's reach and box of tiles.

    Returns table[V, 6+K], reaches[V, 3], boxes int32[V, 4] (x, x end, y, y end) and their sizes int64[V+1] (index 0
    is 0, so that the running sum gives each Gaussian's first pair).
    """
    count, channels = order.size, colors.shape[1]
    table = np.empty((count, TABLE_COLUMNS + channels), np.float32)
    reaches = np.empty((count, 3), np.float32)
    boxes = np.empty((count, 4), np.int32)
    sizes = np.zeros(count + 1, np.int64)
    for part in prange(threads):
        for j in range(np.int64(part) * count // threads, (np.int64(part) + 1) * count // threads):
            n = order[j]
            x, y, a, b, c = means2d[n, 0], means2d[n, 1], conics[n, 0], conics[n, 1], conics[n, 2]
            table[j, 0], table[j, 1] = x, y
            table[j, 2], table[j, 3], table[j, 4] = -HALF * LOG2_E * a, -LOG2_E * b, -HALF * LOG2_E * c
            table[j, 5] = opacities[n]
            for k in range(channels):
                table[j, TABLE_COLUMNS + k] = colors[n, k]
            limit, half_width, half_height = reach(
                a, b, c, opacities[n], np.float32(radii[n, 0]), np.float32(radii[n, 1])
            )
            reaches[j, 0], reaches[j, 1], reaches[j, 2] = limit, half_width, half_height
            first, end = pixel_range(x, half_width, width)
            top, bottom = pixel_range(y, half_height, height)
            if first < end and top < bottom:
                boxes[j, 0], boxes[j, 1] = first // TILE, (end - 1) // TILE + 1
                boxes[j, 2], boxes[j, 3] = top // TILE, (bottom - 1) // TILE + 1
            else:
                boxes[j, :] = 0
            sizes[j + 1] = np.int64(boxes[j, 1] - boxes[j, 0]) * np.int64(boxes[j, 3] - boxes[j, 2])
    return table, reaches, boxes, sizes


@parallel_kernel
def bin_tiles(order, means2d, conics, reaches, boxes, first_pair, tiles_x, tiles_y, height, threads):
    """Distribute the Gaussians to the tiles that their ellipses cross.

    `first_pair` int64[V+1] holds the running sum of the box sizes. Returns
    tile_start int64[tiles+1], ranks int32[pairs] and rows uint8[pairs, 2] (first row, end) of each tile's list,
    origins int32[pairs] (the number of the pair, first_pair[j] + i for the i-th of Gaussian j) and
    pair_counts int32[V] (pairs of each Gaussian that exist).
    """
    count, tiles, capacity = order.size, tiles_x * tiles_y, first_pair[order.size]
    pair_tile, pair_rows = np.empty(capacity, np.int32), np.empty((capacity, 2), np.uint8)
    pair_counts = np.empty(count, np.int32)
    offsets = np.zeros((threads, tiles), np.int64)
    for part in prange(threads):
        for j in range(np.int64(part) * count // threads, (np.int64(part) + 1) * count // threads):
            n, p = order[j], first_pair[j]
            for tile_y in range(boxes[j, 2], boxes[j, 3]):
                for tile_x in range(boxes[j, 0], boxes[j, 1]):
                    first, end = rows_in_tile(
                        means2d[n, 0], means2d[n, 1], conics[n, 0], conics[n, 1], conics[n, 2],
                        reaches[j, 0], reaches[j, 1], reaches[j, 2], tile_x, tile_y, height,
                    )  # fmt: skip
                    if first < end:
                        tile = np.int64(tile_y) * tiles_x + tile_x
                        pair_tile[p], pair_rows[p, 0], pair_rows[p, 1] = tile, first, end
                        offsets[part, tile] += 1
                        p += 1
            pair_counts[j] = p - first_pair[j]

    tile_start = _exclusive_sum(offsets)
    ranks, rows = np.empty(tile_start[tiles], np.int32), np.empty((tile_start[tiles], 2), np.uint8)
    origins = np.empty(tile_start[tiles], np.int32)
    for part in prange(threads):
        for j in range(np.int64(part) * count // threads, (np.int64(part) + 1) * count // threads):
            for p in range(first_pair[j], first_pair[j] + pair_counts[j]):
                place = offsets[part, pair_tile[p]]
                offsets[part, pair_tile[p]] = place + 1
                ranks[place], rows[place, 0], rows[place, 1] = j, pair_rows[p, 0], pair_rows[p, 1]
                origins[place] = p
    return tile_start, ranks, rows, origins, pair_counts


@serial_kernel
def _exclusive_sum(offsets):
    """Turn counts [part, tile] into places in the lists, in order of tile, then part; return where each tile starts."""
    parts, tiles = offsets.shape
    tile_start = np.empty(tiles + 1, np.int64)
    total = 0
    for tile in range(tiles):
        tile_start[tile] = total
        for part in range(parts):
            number = offsets[part, tile]
            offsets[part, tile] = total
            total += number
    tile_start[tiles] = total
    return tile_start
