"""Compiled CPU kernels on numpy arrays; imported only where numba is installed."""
