"""Lips from sound by a prior that is learned from other people: a small linear map, fixed afterwards.

It predicts lips from new sound independently of a person's short clip, and estimates the offset of a clip's sound. Rows of audio
features come at 50 a second, frames at 25; this package computes neither, and imports nothing that does.
"""

from talksplat.lips.fit import LipClip, Recipe, fit_person
from talksplat.lips.measures import TARGETS, lip_measures, lip_numbers
from talksplat.lips.prior import LipPrior
from talksplat.lips.sync import SoundOffset, find_offset

__all__ = [
    "TARGETS",
    "LipClip",
    "LipPrior",
    "Recipe",
    "SoundOffset",
    "find_offset",
    "fit_person",
    "lip_measures",
    "lip_numbers",
]
