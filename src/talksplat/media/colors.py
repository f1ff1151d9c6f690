"""Decoded pictures as RGB of an ordinary display, whatever their tags say about range, matrix, primaries and transfer."""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorTrc, VideoReformatter
from jaxtyping import UInt8

from talksplat.errors import UserError
from talksplat.media.tracks import Say

# Read as they are, these look the same on an ordinary display up to what cameras differ by.
ORDINARY_TRANSFERS = {0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14, 15}  # BT.709, BT.601, sRGB, BT.2020 SDR, unknown
ORDINARY_PRIMARIES = {0, 1, 2, 3, 4, 5, 6, 7, 8, 22}
HDR = {int(ColorTrc.SMPTE2084): "HDR (PQ)", int(ColorTrc.ARIB_STD_B67): "HDR (HLG)"}
BT2020, UNKNOWN = 9, 2  # numbers of primaries and of matrices


class RgbReader:
    """Makes RGB of the frames of one track.

    HDR and wide gamuts are converted to BT.709 by FFmpeg's swscale: SDR white (203 nits, BT.2408) becomes white and what
    is brighter is cut off, the display's gamma is 2.4 (BT.1886), HLG is shown at 1,000 nits.
    """

    def __init__(self, path: str, say: Say) -> None:
        self._path, self._say = path, say
        self._plain, self._wide = VideoReformatter(), VideoReformatter()
        self._said: set[str] = set()

    def __call__(self, frame: av.VideoFrame, width: int, height: int) -> UInt8[np.ndarray, "height width 3"]:
        """A frame scaled to width and height. Raises UserError for colours that FFmpeg cannot convert."""
        transfer, primaries = frame.color_trc, frame.color_primaries
        if frame.interlaced_frame:
            self._once(
                "the picture is interlaced, and edges that move are combed: deinterlace it first (ffmpeg -vf bwdif)"
            )
        wide = transfer not in ORDINARY_TRANSFERS or primaries not in ORDINARY_PRIMARIES
        try:
            if wide:
                return self._converted(frame, width, height, transfer, primaries)
            return self._plain.reformat(frame, width, height, "rgb24").to_ndarray()
        except av.FFmpegError as error:
            raise UserError(
                f"{self._path}: its colours (matrix {frame.colorspace}, primaries {primaries}, transfer {transfer}) cannot be "
                f"converted ({error}): write it again as BT.709"
            ) from error

    def _converted(self, frame: av.VideoFrame, width: int, height: int, transfer: int, primaries: int) -> np.ndarray:
        # A copy carries none of the frame's other tags: those of dynamic HDR would have the tables made anew each time.
        matrix = BT2020 if frame.colorspace == UNKNOWN and primaries in (BT2020, UNKNOWN) else None
        plain = self._plain.reformat(frame, width, height, "rgb48le", src_colorspace=matrix)
        deep = av.VideoFrame.from_ndarray(plain.to_ndarray(), "rgb48le")
        same = transfer in ORDINARY_TRANSFERS
        deep.color_trc = ColorTrc.BT709 if same else transfer
        deep.color_primaries = BT2020 if primaries in (0, UNKNOWN) else primaries
        if same:
            self._once(f"wide colours (primaries {primaries}) are converted to BT.709")
        else:
            kind = HDR.get(transfer, f"of transfer {transfer}")
            self._once(f"the picture is {kind} and is converted to BT.709, with SDR white at 203 nits")
        target = {"dst_color_trc": ColorTrc.BT709, "dst_color_primaries": ColorPrimaries.BT709}
        return self._wide.reformat(deep, format="rgb24", **target).to_ndarray()

    def _once(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            self._say(sentence)
