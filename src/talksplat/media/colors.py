"""Decoded pictures as RGB of an ordinary display, whatever their tags say about range, matrix, primaries and transfer."""

from __future__ import annotations

from functools import cache

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from jaxtyping import Float, UInt8, UInt16

from talksplat.errors import UserError
from talksplat.media.tracks import Say

UNKNOWN, BT2020, PQ, HLG = 2, 9, 16, 18  # numbers of H.273
# Read as they are, these look the same on an ordinary display up to what cameras differ by.
ORDINARY_TRANSFERS = {0, 1, UNKNOWN, 3, 4, 5, 6, 7, 11, 12, 13, 14, 15}  # BT.709, BT.601, sRGB, BT.2020 SDR
ORDINARY_PRIMARIES = {0, 1, UNKNOWN, 3, 4, 5, 6, 7, 8, 22}
WHITE, PEAK, GAMMA = 203.0, 1000.0, 2.4  # nits of SDR white (BT.2408), of HLG's display; of the SDR display (BT.1886)
STEPS, BAND = 65535, 32
FROM_2020 = [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]
FROM_P3 = [[1.224940, -0.224940, 0.0], [-0.042057, 1.042057, 0.0], [-0.019638, -0.078636, 1.098274]]
TO_BT709 = {BT2020: FROM_2020, 11: FROM_P3, 12: FROM_P3}  # linear light, by primaries
LUMINANCE = [[0.2627, 0.6780, 0.0593]]


class RgbReader:
    """Makes RGB of the frames of one track.

    HDR and wide gamuts are converted to BT.709: SDR white becomes white, what is brighter or of no BT.709 colour is cut off.
    FFmpeg's own conversion goes through a coarse table, which was 5 to 7 grey levels off in a studio with a blue wall.
    """

    def __init__(self, path: str, say: Say) -> None:
        self._path, self._say = path, say
        self._reformatter = VideoReformatter()
        self._said: set[str] = set()

    def __call__(self, frame: av.VideoFrame, width: int, height: int) -> UInt8[np.ndarray, "height width 3"]:
        """A frame scaled to width and height. Raises UserError for colours that cannot be converted."""
        transfer, primaries = frame.color_trc, frame.color_primaries
        if frame.interlaced_frame:
            self._once(
                "the picture is interlaced, and edges that move are combed: deinterlace it first (ffmpeg -vf bwdif)"
            )
        try:
            if transfer in ORDINARY_TRANSFERS and primaries in ORDINARY_PRIMARIES:
                return self._reformatter.reformat(frame, width, height, "rgb24").to_ndarray()
            hdr = transfer in (PQ, HLG)
            if hdr and primaries in (0, UNKNOWN):
                primaries = BT2020
            if (hdr or transfer in ORDINARY_TRANSFERS) and (primaries in TO_BT709 or primaries in ORDINARY_PRIMARIES):
                name = "HDR" if hdr else "of wide colours"
                self._once(
                    f"the picture is {name} and is converted to BT.709" + f", with SDR white at {WHITE:.0f} nits" * hdr
                )
                matrix = BT2020 if frame.colorspace == UNKNOWN and primaries == BT2020 else None
                deep = self._reformatter.reformat(frame, width, height, "rgb48le", src_colorspace=matrix)
                bands = np.array_split(deep.to_ndarray(), height // BAND + 1)  # that stay in the processor's cache
                return np.concatenate([to_bt709(band, transfer, primaries) for band in bands])
            error: Exception | str = "unknown"
        except av.FFmpegError as problem:
            error = problem
        raise UserError(
            f"{self._path}: its colours (matrix {frame.colorspace}, primaries {primaries}, transfer {transfer}) cannot be "
            f"converted ({error}): write it again as BT.709"
        )

    def _once(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            self._say(sentence)


def to_bt709(
    signal: UInt16[np.ndarray, "height width 3"], transfer: int, primaries: int
) -> UInt8[np.ndarray, "height width 3"]:
    """Picture of an SDR display for R'G'B' of a transfer and primaries (numbers of H.273)."""
    light = np.take(_linear(transfer), signal, mode="clip")  # four times as fast as without a mode
    if transfer == HLG:  # scene light; a display's grows with the scene's luminance (BT.2100, system gamma 1.2)
        light *= (PEAK / WHITE) * cv2.pow(cv2.transform(light, np.array(LUMINANCE, np.float32)), 0.2)[..., None]
    if primaries in TO_BT709:
        light = cv2.transform(light, np.array(TO_BT709[primaries], np.float32))
    # The square root gives dark colours as many steps of the table as bright ones.
    steps = (STEPS * cv2.sqrt(light.clip(0, 1)) + 0.5).astype(np.uint16)
    return np.take(_encoded(), steps, mode="clip")


@cache
def _linear(transfer: int) -> Float[np.ndarray, " step"]:
    """Light of each value of a signal, 1 for SDR white; of HLG the scene's."""
    signal = np.arange(STEPS + 1) / STEPS
    if transfer == PQ:  # EOTF of SMPTE ST 2084
        power = signal ** (1 / 78.84375)
        light = (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
        return (10000 / WHITE * light).astype(np.float32)
    if transfer == HLG:  # inverse OETF of BT.2100
        bright = (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
        return np.where(signal <= 0.5, signal**2 / 3, bright).astype(np.float32)
    return (signal**GAMMA).astype(np.float32)


@cache
def _encoded() -> UInt8[np.ndarray, " step"]:
    """Grey level of each square root of light."""
    return np.round(255 * (np.arange(STEPS + 1) / STEPS) ** (2 / GAMMA)).astype(np.uint8)
