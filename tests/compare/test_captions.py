from __future__ import annotations

import numpy as np
import pytest

from talksplat.compare.pictures.style import font_size, jpeg, shorten, title_height, title_line


def test_long_names_are_shortened_in_the_middle():
    name = "gaussiantalker (loss.lip.weight=0.4)"
    assert shorten(name) == name
    short = shorten(name, lambda text: len(text) <= 12)
    assert short == "gaussi…=0.4)" and len(short) == 12
    assert shorten(name, lambda text: len(text) <= 2) == "g…"
    assert shorten(name, lambda text: False) == "…"


@pytest.mark.parametrize("width", [48, 512])
def test_titles_fit_and_are_readable(width):
    size = font_size(width)
    line = title_line("Ünïcødé " * 30, width, size)
    assert line.shape == (title_height(size), width, 3) and line.shape[0] % 2 == 0
    lit = np.flatnonzero((line > 200).any((0, 2)))
    assert len(lit) and lit.max() < width - 1 and lit.max() > 0.8 * width - 2 * size
    assert not (title_line("", width, size)).any()


def test_letters_outside_ascii_are_drawn():
    question = title_line("?", 60, 14)
    assert (title_line("é", 60, 14) != question).any() and (title_line("é", 60, 14) != title_line("e", 60, 14)).any()


def test_pictures_become_jpegs():
    assert jpeg(np.zeros((8, 8, 3), np.uint8)).startswith(b"\xff\xd8")
