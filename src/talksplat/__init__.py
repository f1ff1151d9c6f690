"""TalkSplat: audio-driven talking heads made of 3D Gaussians."""

import os

# torch and the rasteriser's kernels each have OpenMP threads. Beside other work, threads that spin while they wait take the
# cores from the threads they wait for, which slowed training several times (experiments/LOG.md); on an idle machine the
# policy makes no difference. OpenMP reads this once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"
