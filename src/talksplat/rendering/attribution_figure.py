"""Figure of attribution maps: one row per frame, one column per panel, with captions and colour scales."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from talksplat.rendering.panels import Panel
from talksplat.rendering.renderer import to_uint8

NUM_FRAMES = 4
CELL = 256  # pixels, height of a picture
GAP, LEFT, TOP, BOTTOM = 8, 108, 52, 44
DPI = 100


class AttributionFigure:
    """Collects its frames while the video is rendered.

    Args:
        panels: of the columns.
        numbers: number of each frame of the video, for its label.
        fps: of the video.
        width, height: pixels of one panel.
    """

    def __init__(self, panels: Sequence[Panel], numbers: Sequence[int], fps: float, width: int, height: int) -> None:
        self.panels, self.numbers, self.fps = list(panels), numbers, fps
        rows = min(NUM_FRAMES, len(numbers))
        self.frames = [int((i + 0.5) * len(numbers) / rows) for i in range(rows)]
        self.cell_width = round(width * CELL / height)
        self._size = (TOP + rows * (CELL + GAP) + BOTTOM, LEFT + len(self.panels) * (self.cell_width + GAP))
        self._cells: dict[tuple[int, int], np.ndarray] = {}

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Row and column of the pixel in the upper left corner of a cell."""
        return TOP + row * (CELL + GAP), LEFT + column * (self.cell_width + GAP)

    def keep(self, chunk: slice, pictures: Sequence[Tensor]) -> None:
        """Keep the panels [B, H, W, 3] of those frames of `chunk` that the figure shows."""
        for row, frame in enumerate(self.frames):
            if chunk.start <= frame < chunk.stop:
                for column, picture in enumerate(pictures):
                    pixels = to_uint8(picture[frame - chunk.start]).cpu().numpy()
                    way = cv2.INTER_AREA if len(pixels) > CELL else cv2.INTER_LINEAR
                    self._cells[row, column] = cv2.resize(pixels, (self.cell_width, CELL), interpolation=way)

    def write(self, path: Path) -> None:
        """Write the picture as PNG.

        Raises:
            UserError: the folder cannot be written.
        """
        from talksplat.metrics.picture import save_picture  # seconds to import, and most videos have no such picture

        image = self._furniture()
        for (row, column), cell in self._cells.items():
            top, left = self.corner(row, column)
            image[top : top + CELL, left : left + self.cell_width] = cell
        save_picture(path, image)

    def _furniture(self) -> UInt8[np.ndarray, "height width 3"]:
        """Captions, labels and colour scales, without the pictures."""
        height, width = self._size
        figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
        for column, panel in enumerate(self.panels):
            left = self.corner(0, column)[1]
            middle = (left + self.cell_width / 2) / width
            for text, top, weight in ((panel.name, 22, "bold"), (panel.meaning, 44, "normal")):
                points = min(13, self.cell_width / (0.95 * max(len(text), 1)))  # a letter is up to 0.95 points wide
                figure.text(middle, 1 - top / height, text, ha="center", fontsize=points, weight=weight)
            if panel.scale is not None:
                box = (left / width, (BOTTOM - 16) / height, self.cell_width / width, 14 / height)
                axes = figure.add_axes(box)
                axes.imshow(panel.scale.table[None], aspect="auto", extent=(0, panel.scale.high, 0, 1))
                axes.set_yticks([])
                axes.set_xticks([0, panel.scale.high], ["0", panel.scale.high_label], fontsize=11)
                first, last = axes.get_xticklabels()
                first.set_ha("left")
                last.set_ha("right")
        for row, frame in enumerate(self.frames):
            middle = 1 - (self.corner(row, 0)[0] + CELL / 2) / height
            text = f"frame {self.numbers[frame]}\n{frame / self.fps:.2f} s"
            figure.text(LEFT / 2 / width, middle, text, ha="center", va="center", fontsize=11)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()
