"""TalkSplat: audio-driven talking heads made of 3D Gaussians."""

__version__ = "0.1.0"
