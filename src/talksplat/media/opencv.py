"""OpenCV as this project needs it: with the modules of opencv-contrib."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from talksplat.errors import UserError

CONTRIB = "opencv-contrib-python"
PACKAGES = tuple(name + kind for kind in ("", "-headless") for name in ("opencv-python", CONTRIB))


def check_opencv() -> str:
    """OpenCV's version. Raises UserError where its guided filter is missing: all its packages write into one folder, and
    which was installed last decides what is there."""
    import cv2

    if not hasattr(getattr(cv2, "ximgproc", None), "createGuidedFilter"):
        there = " ".join(filter(_is_installed, PACKAGES))
        raise UserError(
            f"OpenCV is here without its module ximgproc (installed: {there or 'none of its packages'}): pip uninstall -y "
            f"{there or CONTRIB} && pip install {CONTRIB}"
        )
    return cv2.__version__


def _is_installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False
