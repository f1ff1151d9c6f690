"""Compiled CPU kernels on numpy arrays; imported only where numba is at hand. See specs of the CPU rasteriser."""
