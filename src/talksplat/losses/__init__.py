"""Training losses: small classes with a weight, a time at which they count, and nothing else in common."""

from talksplat.losses.base import Loss, total_loss
from talksplat.losses.dssim import DSSIMLoss
from talksplat.losses.perceptual import LPIPSLoss, PerceptualVGGLoss
from talksplat.losses.pixel import L1Loss, LipLoss, MaskLoss

__all__ = ["DSSIMLoss", "L1Loss", "LPIPSLoss", "LipLoss", "Loss", "MaskLoss", "PerceptualVGGLoss", "total_loss"]
