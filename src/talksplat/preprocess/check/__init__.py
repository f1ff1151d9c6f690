"""`python -m talksplat.preprocess check=FOLDER`: what a subject folder has, lacks, and which traps are in it."""

from talksplat.preprocess.check.command import check_folder
from talksplat.preprocess.check.findings import Finding, Level

__all__ = ["Finding", "Level", "check_folder"]
