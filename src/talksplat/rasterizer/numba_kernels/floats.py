"""Float32 building blocks that LLVM can vectorise (pip's llvmlite has no vector `exp`)."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from talksplat.rasterizer.numba_kernels.runtime import function

F32 = np.float32
LOG2_E = F32(1.4426950408889634)

# Minimax fit of 2^f - 1 on [-1/2, 1/2], relative error 2e-9; found by reweighted least squares on Chebyshev nodes.
_C1, _C2, _C3 = F32(0.6931472028551284), F32(0.24022647913619638), F32(0.05550332471026546)
_C4, _C5, _C6 = F32(0.009618437358302671), F32(0.0013398874445526227), F32(0.0001535336181379948)


@intrinsic
def _bits_to_float(typing_context, bits):
    """Reinterpret an int32 as the float32 with the same bits."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@function
def exp2_nonpositive(x):
    """2^x for float32 x <= 0 to about 1e-7 relative; 2^-126 below -126 and for NaN, 1 above 0."""
    x = x if x > F32(-126.0) else F32(-126.0)
    x = x if x < F32(0.0) else F32(0.0)
    whole = np.int32(x - F32(0.5))  # truncation of a negative number: rounds x to the nearest integer
    f = x - F32(whole)
    power = F32(1.0) + f * (_C1 + f * (_C2 + f * (_C3 + f * (_C4 + f * (_C5 + f * _C6)))))
    return power * _bits_to_float(np.int32((whole + np.int32(127)) << np.int32(23)))
