"""TalkSplat: audio-driven talking heads made of 3D Gaussians."""

import os

# torch and the rasteriser's kernels each have OpenMP threads. On a machine with other work, threads that spin while they
# wait take the cores from the threads they wait for: measured 7 to 10 times slower training beside one busy process,
# and no slower on an idle machine. OpenMP reads this once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"
