"""Copies of an SDR picture in other colours are read as the picture itself."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from talksplat.errors import UserError
from talksplat.media.video import read_frames
from tests.media.made_files import write_file

# BT.709 to BT.2020 and to Display P3, linear light (BT.2087; SMPTE EG 432-1).
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
TO_P3 = np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]])
WHITE = 203.0  # nits of SDR white (BT.2408)
PQ, HLG, BT709, BT2020_10 = 16, 18, 1, 14


def pq(nits: np.ndarray) -> np.ndarray:
    """Inverse EOTF of SMPTE ST 2084."""
    y = np.clip(nits / 10000, 0, 1) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def hlg(nits: np.ndarray) -> np.ndarray:
    """Signal that a display of 1,000 nits shows so (ITU-R BT.2100: inverse OOTF of gamma 1.2, then the OETF)."""
    light = nits / 1000
    luminance = light @ np.array([0.2627, 0.6780, 0.0593])
    scene = light * np.maximum(luminance, 1e-9)[..., None] ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


KINDS = {  # transfer, primaries, matrix, signal of linear SDR light in BT.709
    "pq": (PQ, 9, 9, lambda light: pq(WHITE * light @ TO_2020.T)),
    "hlg": (HLG, 9, 9, lambda light: hlg(WHITE * light @ TO_2020.T)),
    "bt2020": (BT2020_10, 9, 9, lambda light: (light @ TO_2020.T).clip(0) ** (1 / 2.4)),
    "display p3": (BT709, 12, 1, lambda light: (light @ TO_P3.T).clip(0) ** (1 / 2.4)),
}


def picture() -> np.ndarray:
    """Skin, hair, coats, greys and strong colours, smooth enough for 4:2:0."""
    colors = np.random.default_rng(0).uniform(0.02, 0.98, (5, 6, 3))
    colors[0], colors[1, :3] = np.linspace(0, 1, 6)[:, None], ([0.85, 0.65, 0.55], [0.35, 0.2, 0.14], [0.02, 0.2, 0.6])
    return np.repeat(np.repeat(colors, 32, 0), 32, 1)


QUALITY = {
    "libx265": {"crf": "4", "preset": "ultrafast", "x265-params": "log-level=none"},
    "libsvtav1": {"crf": "10", "preset": "10"},
    "prores_ks": {},
}


def write_copy(
    path, signal: np.ndarray, transfer: int, primaries: int, matrix: int, codec="libx265", full=False, tagged=None
) -> None:
    """Three pictures of 10 bits of this R'G'B' signal."""
    pixels = "yuv422p10le" if codec == "prores_ks" else "yuv420p10le"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=QUALITY[codec])
        stream.height, stream.width = signal.shape[:2]
        stream.pix_fmt = pixels
        context = stream.codec_context
        context.color_trc, context.color_primaries = transfer, primaries
        context.colorspace, context.color_range = tagged or matrix, 2 if full else 1
        deep = av.VideoFrame.from_ndarray(np.round(signal.clip(0, 1) * 65535).astype(np.uint16), "rgb48le")
        for index in range(3):
            frame = deep.reformat(format=pixels, dst_colorspace=matrix, dst_color_range=2 if full else 1)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            frame.color_trc, frame.color_primaries = transfer, primaries
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def rms(path, wanted: np.ndarray) -> float:
    """Root mean square of the difference in grey levels, away from edges, which 4:2:0 blurs."""
    difference = next(read_frames(path)).astype(float) - 255 * wanted
    return float(np.sqrt(np.mean(np.square(difference.reshape(5, 32, 6, 32, 3)[:, 6:26, :, 6:26]))))


CASES = [
    ("pq", "a.mp4", "libx265", False),
    ("pq", "a.mkv", "libsvtav1", False),
    ("hlg", "a.mov", "libx265", False),
    ("hlg", "a.ts", "libx265", True),
    ("bt2020", "a.webm", "libsvtav1", False),
    ("display p3", "a.mov", "prores_ks", False),
]


@pytest.mark.parametrize("kind, name, codec, full", CASES)
def test_hdr_and_wide_colours_are_those_of_the_sdr_picture(tmp_path, caplog, kind, name, codec, full):
    transfer, primaries, matrix, signal = KINDS[kind]
    write_copy(tmp_path / name, signal(picture() ** 2.4), transfer, primaries, matrix, codec, full)
    assert rms(tmp_path / name, picture()) < 3
    assert len(caplog.records) == 1 and "converted to BT.709" in caplog.text


def test_hdr_without_other_tags_is_bt2020(tmp_path):
    write_copy(tmp_path / "a.mkv", KINDS["pq"][3](picture() ** 2.4), PQ, 2, 9, tagged=2)
    assert rms(tmp_path / "a.mkv", picture()) < 3


def test_highlights_are_cut_off_at_white(tmp_path):
    light = np.full((64, 64, 3), 1.0)
    light[:, :32] = 0.5
    light[:32] *= 4.0  # 812 and 406 nits
    write_copy(tmp_path / "a.mp4", pq(WHITE * light), PQ, 9, 9)
    frame = next(read_frames(tmp_path / "a.mp4"))
    assert frame[:28].min() > 250 and abs(int(frame[48, 16, 1]) - 255 * 0.5 ** (1 / 2.4)) < 3


def test_ordinary_tags_change_nothing_and_are_not_worth_a_word(tmp_path, caplog):
    for transfer, primaries, matrix in ((1, 1, 1), (6, 6, 6), (13, 1, 1), (2, 2, 2), (6, 5, 5)):
        write_copy(tmp_path / "a.mkv", picture(), transfer, primaries, 5 if matrix == 2 else matrix, tagged=matrix)
        assert rms(tmp_path / "a.mkv", picture()) < 3
    assert not caplog.records


def test_a_matrix_that_cannot_be_converted_is_refused(tmp_path):
    write_copy(tmp_path / "a.mp4", picture(), PQ, 9, 9, tagged=14)  # ICtCp
    with pytest.raises(UserError, match=r"a.mp4: its colours \(matrix 14.* write it again as BT.709"):
        list(read_frames(tmp_path / "a.mp4"))


def test_interlaced_pictures_are_said(tmp_path, caplog):
    images = [(k / 25, np.zeros((64, 64, 3), np.uint8)) for k in range(5)]
    write_file(tmp_path / "a.mkv", images, options={"x264-params": "tff=1"})
    list(read_frames(tmp_path / "a.mkv"))
    assert [record.getMessage().count("is interlaced") for record in caplog.records] == [1]
