"""What each metric means, in words: written into `metrics.json`, and compared before runs are compared."""

from __future__ import annotations

from talksplat.losses.pretrained import BACKBONES
from talksplat.metrics.regions import MOUTH_SCALE

ORIGINAL = "rendering against the video's own frame"
MEAN = "per frame, then the mean over frames"


def metric_definitions(lpips_net: str | None) -> dict[str, str]:
    """Text of each metric of `MetricSuite`, by name."""
    net = "not measured" if lpips_net is None else f"{BACKBONES[lpips_net].title} (lpips v0.1, images in [0, 1])"
    ratio = f"-10 log10(MSE) in dB over RGB, at most 100; {MEAN}"
    return {
        "psnr": f"{ORIGINAL}, full frame; {ratio}",
        "ssim": f"{ORIGINAL}, full frame; Gaussian window 11x11, sigma 1.5, data range 1, mirrored margins, mean over "
        f"RGB; {MEAN}",
        "lpips": f"{ORIGINAL}, full frame, own resolution; backbone: {net}; {MEAN}",
        "psnr_head": f"{ORIGINAL}, pixels of the head mask only; {ratio}",
        "psnr_mouth": f"{ORIGINAL}, the box of the outer lip enlarged {MOUTH_SCALE:g} times only; {ratio}",
        "psnr_composite": f"rendering against the training target (head of the frame over the made backdrop); {ratio}",
        "lmd": f"mouth landmarks 48-67 by MediaPipe, {ORIGINAL}: each set centred on its mean, mean Euclidean distance "
        f"in pixels; {MEAN} where a face is found in both",
        "lip_gap_correlation": "Pearson correlation over frames of the inner-lip gap (MediaPipe, in units of the outer "
        "eye distance) in the renderings with that in the video's own frames",
    }
