"""Sum of the pair rows of each Gaussian, and from its moments the gradients for its 2D parameters."""

from __future__ import annotations

import numpy as np
from numba import prange

from talksplat.rasterizer.numba_kernels.backward import HALF, MOMENTS
from talksplat.rasterizer.numba_kernels.forward import ZERO
from talksplat.rasterizer.numba_kernels.runtime import parallel_kernel


@parallel_kernel
def reduce_pairs(pairs, first_pair, pair_counts, order, conics, opacities, outputs, threads):
    """Fill `outputs` = (v_means2d, v_conics, v_opacities, v_colors) of the visible Gaussians; others are unchanged.

    For sigma = (A dx^2 + C dy^2) / 2 + B dx dy, with moments S of dL/dsigma: v_mean = (A Sx + B Sy, B Sx + C Sy),
    v_conic = (Sxx / 2, Sxy, Syy / 2), v_opacity = -S / o. A visible Gaussian has o >= 1/255.
    """
    v_means2d, v_conics, v_opacities, v_colors = outputs
    count, columns = order.size, pairs.shape[1]
    for part in prange(threads):
        sums = np.empty(columns, np.float32)
        for j in range(np.int64(part) * count // threads, (np.int64(part) + 1) * count // threads):
            sums[:] = ZERO
            for p in range(first_pair[j], first_pair[j] + pair_counts[j]):
                for k in range(columns):
                    sums[k] += pairs[p, k]
            n = order[j]
            a, b, c = conics[n, 0], conics[n, 1], conics[n, 2]
            v_means2d[n, 0], v_means2d[n, 1] = a * sums[1] + b * sums[2], b * sums[1] + c * sums[2]
            v_conics[n, 0], v_conics[n, 1], v_conics[n, 2] = HALF * sums[3], sums[4], HALF * sums[5]
            v_opacities[n] = -sums[0] / opacities[n]
            for k in range(columns - MOMENTS):
                v_colors[n, k] = sums[MOMENTS + k]
