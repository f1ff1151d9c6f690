"""The numba kernels as differentiable torch functions. Importing this module needs numba."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from talksplat.rasterizer.base import TILE_SIZE
from talksplat.rasterizer.numba_kernels.backward import rasterize_vjp
from talksplat.rasterizer.numba_kernels.binning import bin_tiles, gather
from talksplat.rasterizer.numba_kernels.forward import rasterize
from talksplat.rasterizer.numba_kernels.projection import project
from talksplat.rasterizer.numba_kernels.projection_backward import project_vjp
from talksplat.rasterizer.numba_kernels.reduction import reduce_pairs
from talksplat.rasterizer.numba_kernels.runtime import launch, start_thread_pool
from talksplat.rasterizer.numba_kernels.sorting import depth_order

start_thread_pool()


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    """Contiguous float32 arrays; the kernels are compiled for these alone."""
    return [tensor.detach().to(torch.float32).contiguous().numpy() for tensor in tensors]


class ProjectFunction(torch.autograd.Function):
    """Projection of B frames: means2d and conics (differentiable), depths and radii (not)."""

    @staticmethod
    def forward(ctx, means, quats, scales, opacities, colors, viewmats, Ks, width, height, near_plane, eps2d, threads):
        arrays = _arrays(means, quats, scales, opacities, colors, viewmats, Ks)
        frames, count = opacities.shape
        means2d, conics = torch.empty(frames, count, 2), torch.empty(frames, count, 3)
        depths, radii = torch.empty(frames, count), torch.empty(frames, count, 2, dtype=torch.int32)
        outputs = [tensor.numpy() for tensor in (means2d, conics, depths, radii)]
        settings = (width, height, np.float32(near_plane), np.float32(eps2d))
        with launch(threads):
            for frame in range(frames):
                project(*(array[frame] for array in arrays), *settings, tuple(output[frame] for output in outputs))
        ctx.save_for_backward(means, quats, scales, viewmats, Ks, radii)
        ctx.settings, ctx.threads = (width, height, np.float32(eps2d)), threads
        ctx.mark_non_differentiable(depths, radii)
        return means2d, conics, depths, radii

    @staticmethod
    @once_differentiable
    def backward(ctx, v_means2d, v_conics, _v_depths, _v_radii):
        means, quats, scales, viewmats, Ks, radii = ctx.saved_tensors
        inputs = _arrays(means, quats, scales, viewmats, Ks)
        radii = radii.numpy()
        v_means2d, v_conics = _arrays(v_means2d, v_conics)
        gradients = [torch.empty(tensor.shape) for tensor in (means, quats, scales)]
        outputs = [gradient.numpy() for gradient in gradients]
        v_viewmats = torch.zeros(viewmats.shape)
        with launch(ctx.threads):
            for frame in range(len(viewmats)):
                partial = project_vjp(
                    *(array[frame] for array in inputs), *ctx.settings, radii[frame],
                    v_means2d[frame], v_conics[frame], tuple(output[frame] for output in outputs),
                )  # fmt: skip
                v_viewmats[frame, :3] = torch.from_numpy(partial.sum(0, dtype=np.float64))
        return *gradients, None, None, v_viewmats, None, None, None, None, None, None


class RasterizeFunction(torch.autograd.Function):
    """Compositing of one frame: (means2d, conics, opacities, colors) to (image without background, transmittance).

    The transmittance, not alpha, is returned: 1 - alpha would have lost its digits where little is left.
    """

    @staticmethod
    def forward(ctx, means2d, conics, opacities, colors, depths, radii, width, height, threads):
        arrays = _arrays(means2d, conics, opacities, colors)
        image, transmittance = torch.empty(height, width, colors.shape[-1]), torch.empty(height, width)
        with launch(threads) as count:
            order = depth_order(depths.numpy().view(np.uint32), radii.numpy())
            table, reaches, boxes, sizes = gather(order, *arrays, radii.numpy(), width, height, count)
            first_pair = np.cumsum(sizes)
            tiles_x, tiles_y = -(-width // TILE_SIZE), -(-height // TILE_SIZE)
            tile_start, ranks, rows, origins, pair_counts = bin_tiles(
                order, arrays[0], arrays[1], reaches, boxes, first_pair, tiles_x, tiles_y, height, count
            )
            tile_order = np.argsort(tile_start[:-1] - tile_start[1:], kind="stable")
            used = rasterize(
                table, tile_start, ranks, rows, tile_order, tiles_x, image.numpy(), transmittance.numpy(), count
            )
        ctx.save_for_backward(conics, opacities, image, transmittance)
        ctx.tiles = (table, (tile_start, ranks, rows, origins, used), tile_order, tiles_x, first_pair[-1])
        ctx.pairs = (first_pair, pair_counts, order)
        ctx.threads = threads
        return image, transmittance

    @staticmethod
    @once_differentiable
    def backward(ctx, v_image, v_transmittance):
        conics, opacities, image, transmittance = _arrays(*ctx.saved_tensors)
        v_image, v_transmittance = _arrays(v_image, v_transmittance)
        count, channels = opacities.shape[0], image.shape[-1]
        gradients = [torch.zeros(count, *shape) for shape in ((2,), (3,), (), (channels,))]
        outputs = tuple(gradient.numpy() for gradient in gradients)
        with launch(ctx.threads) as threads:
            pairs = rasterize_vjp(*ctx.tiles, image, transmittance, (v_image, v_transmittance), threads)
            reduce_pairs(pairs, *ctx.pairs, conics, opacities, outputs, threads)
        return *gradients, None, None, None, None, None
