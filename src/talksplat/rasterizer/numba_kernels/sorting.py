"""Order of the visible Gaussians by depth: a stable radix sort of the bits of the (positive) depths."""

from __future__ import annotations

import numpy as np

from talksplat.rasterizer.numba_kernels.runtime import serial_kernel

RADIX_BITS = 11


@serial_kernel
def depth_order(depth_bits, radii):
    """Indices int32[V] of Gaussians with radius > 0, nearest first; of equal depths the first in the list is first.

    `depth_bits` are float32 depths > 0 read as uint32: their order is that of the numbers. Only bits in which the
    visible depths differ are sorted; a head seen from a distance needs two passes.
    """
    visible = 0
    low, high = np.uint32(0xFFFFFFFF), np.uint32(0)
    indices = np.empty(depth_bits.size, np.int32)
    for n in range(depth_bits.size):
        if radii[n, 0] > 0:
            indices[visible] = n
            visible += 1
            low, high = min(low, depth_bits[n]), max(high, depth_bits[n])
    indices = indices[:visible]
    keys = np.empty(visible, np.uint32)
    for v in range(visible):
        keys[v] = depth_bits[indices[v]] - low
    other_keys, other_indices = np.empty_like(keys), np.empty_like(indices)
    shift, span = 0, np.int64(high) - np.int64(low)  # negative where nothing is visible
    while span >> shift > 0:
        _radix_pass(keys, indices, other_keys, other_indices, shift)
        keys, other_keys = other_keys, keys
        indices, other_indices = other_indices, indices
        shift += RADIX_BITS
    return indices


@serial_kernel
def _radix_pass(keys, indices, out_keys, out_indices, shift):
    """Stable counting sort by RADIX_BITS bits of the keys from `shift` on."""
    mask = np.uint32((1 << RADIX_BITS) - 1)
    shift = np.uint32(shift)
    positions = np.zeros((1 << RADIX_BITS) + 1, np.int64)
    for v in range(keys.size):
        positions[((keys[v] >> shift) & mask) + 1] += 1
    for digit in range(1, positions.size):
        positions[digit] += positions[digit - 1]
    for v in range(keys.size):
        digit = (keys[v] >> shift) & mask
        place = positions[digit]
        positions[digit] = place + 1
        out_keys[place] = keys[v]
        out_indices[place] = indices[v]
