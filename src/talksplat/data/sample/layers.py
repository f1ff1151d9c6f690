"""The parts of the face that the photograph does not show: inside of the mouth and closed eyelids.

Each is a small textured grid, drawn behind the lips or over the eyes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int

from talksplat.data.sample.expression import JAW_DROP, MEETING
from talksplat.data.sample.head_mesh import FLIP, PIXELS_PER_DM, DepthField, lip_opening, unproject
from talksplat.data.sample.mesh_raster import grid_triangles
from talksplat.data.sample.portrait import Portrait, to_texture

MOUTH_LEFT, MOUTH_TOP, MOUTH_WIDTH, MOUTH_HEIGHT = 192.0, 126.0, 64.0, 48.0  # photo pixels
MOUTH_SCALE = 4  # texture pixels for each photo pixel
CAVITY_RADII = (26.0, 18.0)  # photo pixels: covers the open mouth, stays inside the face
SEAM = (96.0, 50.0, 46.0)  # between shut lips
CAVITY = (34.0, 13.0, 12.0)
TONGUE = (142.0, 72.0, 68.0)
TEETH_APPEAR = 0.1  # opening up to which teeth lie in the shadow of the lips
LID_APPEARS = 0.25  # blink at which the moving lid is fully opaque
LASHES = (52.0, 34.0, 28.0)
EYES = (  # upper lid and lower lid of each eye, left to right in the image, as landmark numbers
    ((33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133)),
    ((362, 398, 384, 385, 386, 387, 388, 466, 263), (362, 382, 381, 380, 374, 373, 390, 249, 263)),
)
LID_TINT = (1.0, 0.95, 0.92)  # lids are redder than the brow above them
LID_ROWS, LID_COLUMNS = 12, 32
LID_HEIGHT = 5.2  # photo pixels of skin above the lashes that come down with the lid


@dataclass(frozen=True)
class Layer:
    """A textured surface: world vertices `base + signal * motion` (dm), texture premultiplied RGBA, colour 0..255."""

    base: Float[np.ndarray, "vertex 3"]
    motion: Float[np.ndarray, "vertex 3"]
    uvs: Float[np.ndarray, "vertex 2"]
    triangles: Int[np.ndarray, "triangle 3"]
    texture: Float[np.ndarray, "height width 4"]
    appears: float = 0.0  # signal up to which the layer fades in

    def weight(self, signal: float) -> float:
        """Opacity of the layer."""
        return min(max(signal / self.appears, 0.0), 1.0) if self.appears else 1.0


def _smoothstep(value: np.ndarray, low: float, high: float) -> np.ndarray:
    share = np.clip((value - low) / (high - low), 0, 1)
    return share**2 * (3 - 2 * share)


def _mouth_grid(
    depth: np.ndarray, photo: np.ndarray, motion_down: float, texture, rotation, shape, appears=0.0
) -> Layer:
    base = unproject(photo, depth, rotation)
    down = np.array([0.0, motion_down, 0.25 * motion_down]) * FLIP / PIXELS_PER_DM @ rotation
    uvs = (photo - (MOUTH_LEFT, MOUTH_TOP)) * MOUTH_SCALE
    premultiplied = texture.astype(np.float32)
    premultiplied[..., :3] *= premultiplied[..., 3:]
    return Layer(base, np.broadcast_to(down, base.shape), uvs, grid_triangles(*shape), premultiplied, appears)


def _teeth_texture(portrait: Portrait, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The portrait's upper teeth; their hidden upper ends repeat the last visible row."""
    upper, _ = lip_opening(portrait.annotation, x)
    edge = np.interp(x, *portrait.annotation.teeth.T)
    row = np.clip(y, np.minimum(upper + 1.2, edge - 0.6), edge - 0.5)
    where = to_texture(np.stack([x, row], -1)).astype(np.float32) - np.float32(0.5)
    colour = cv2.remap(portrait.photo, where, None, cv2.INTER_CUBIC).astype(np.float32)
    left, right = portrait.annotation.teeth[[0, -1], 0]
    alpha = (1 - _smoothstep(y, edge - 0.5, edge + 0.4)) * _smoothstep(x, left, left + 2)
    alpha = alpha * (1 - _smoothstep(x, right - 1.5, right + 0.5))
    shade = 0.93 - 0.25 * np.abs((x - 222) / 15) ** 3  # the arch turns away from the light
    return np.concatenate([colour * shade[..., None], alpha[..., None]], -1)


def mouth_layers(portrait: Portrait, depth: DepthField) -> list[Layer]:
    """Seam of shut lips, cavity, tongue and upper teeth, back to front; their signal is the opening."""
    annotation = portrait.annotation
    columns, rows = int(MOUTH_WIDTH * MOUTH_SCALE), int(MOUTH_HEIGHT * MOUTH_SCALE)
    x, y = np.meshgrid(
        MOUTH_LEFT + (np.arange(columns) + 0.5) / MOUTH_SCALE, MOUTH_TOP + (np.arange(rows) + 0.5) / MOUTH_SCALE
    )
    grid_x, grid_y = np.linspace(0, MOUTH_WIDTH, 17), np.linspace(0, MOUTH_HEIGHT, 7)
    photo = np.stack(np.meshgrid(MOUTH_LEFT + grid_x, MOUTH_TOP + grid_y), -1).reshape(-1, 2)
    center = annotation.upper_lip_edge[[0, -1], 0].mean()
    upper, lower = (float(row) for row in lip_opening(annotation, np.array(center)))
    lips = float(depth(np.array([[center, upper]]))[0])
    arch = ((photo[:, 0] - center) / 16) ** 2
    meeting = upper + MEETING * (lower - upper)

    side = np.clip(1 - ((x - center) / 24) ** 2, 0.15, 1)[..., None]
    light = 1.0 + 0.5 * _smoothstep(y, meeting + 2, meeting + 12)[..., None]
    extent = ((x - center) / CAVITY_RADII[0]) ** 2 + ((y - meeting - 3) / CAVITY_RADII[1]) ** 2
    cavity = np.concatenate([np.array(CAVITY) * side * light, (extent < 1)[..., None]], -1)
    seam = np.concatenate([np.broadcast_to(SEAM, cavity[..., :3].shape), cavity[..., 3:]], -1)
    distance = np.sqrt(((x - center) / 13) ** 2 + ((y - meeting - 4.2) / 6) ** 2)
    fold = 1 - 0.25 * np.exp(-(((x - center) / 1.2) ** 2))
    shade = np.clip(1.05 - 0.55 * distance**2, 0.2, 1) * fold
    tongue = np.concatenate([np.array(TONGUE) * shade[..., None], 1 - _smoothstep(distance, 0.75, 1.05)[..., None]], -1)
    shape = (len(grid_y), len(grid_x))
    rotation = annotation.rotation
    return [
        _mouth_grid(lips + 18 + 4 * arch, photo, 0.0, seam, rotation, shape),
        _mouth_grid(lips + 16 + 4 * arch, photo, 0.0, cavity, rotation, shape, TEETH_APPEAR),
        _mouth_grid(lips + 12 + 6 * arch, photo, 0.8 * JAW_DROP, tongue, rotation, shape),
        _mouth_grid(lips + 5 + 6 * arch, photo, 0.0, _teeth_texture(portrait, x, y), rotation, shape, TEETH_APPEAR),
    ]


def _lid_texture(skin: np.ndarray) -> np.ndarray:
    """Lid of a shut eye, rows from the crease (faded in) to the lashes; `skin` is its colour for each column."""
    rows, columns = 48, len(skin)
    v = ((np.arange(rows) + 0.5) / rows)[:, None]
    u = ((np.arange(columns) + 0.5) / columns)[None]
    bulge = np.exp(-(((u - 0.5) / 0.3) ** 2) - ((v - 0.45) / 0.35) ** 2)
    shade = 0.82 + 0.13 * bulge - 0.08 * np.exp(-(((v - 0.2) / 0.12) ** 2))
    shade = shade[..., None] * np.array(LID_TINT)
    lash = _smoothstep(v, 0.80, 0.93) * _smoothstep(u, 0.03, 0.16) * (1 - _smoothstep(u, 0.84, 0.97))
    lash = 0.8 * lash
    colour = skin[None] * shade * (1 - lash[..., None]) + np.array(LASHES) * lash[..., None]
    alpha = _smoothstep(v, 0.0, 0.40) * _smoothstep(u, 0.0, 0.12) * (1 - _smoothstep(u, 0.88, 1.0))
    alpha = alpha * (1 - 0.6 * _smoothstep(v, 0.95, 1.0))
    return np.concatenate([colour * alpha[..., None], alpha[..., None]], -1).astype(np.float32)


def lid_layers(portrait: Portrait, depth: DepthField) -> list[Layer]:
    """The two upper eyelids; their signal is the blink (0 open, 1 shut)."""
    annotation = portrait.annotation
    layers = []
    for upper_ids, lower_ids in EYES:
        upper, lower = annotation.landmarks[list(upper_ids), :2], annotation.landmarks[list(lower_ids), :2]
        x = np.linspace(upper[0, 0] - 2.0, upper[-1, 0] + 2.0, LID_COLUMNS)
        u = (x - x[0]) / (x[-1] - x[0])
        top_margin = np.interp(x, *upper.T)
        shut_margin = np.interp(x, *lower.T) + 1.8
        crease = top_margin - LID_HEIGHT * np.sin(np.pi * np.clip(u, 0.02, 0.98)) ** 0.5
        v = np.linspace(0, 1, LID_ROWS)[:, None]
        opened = crease + v * (top_margin - crease)
        shut = crease + v * (shut_margin - crease)
        columns = np.broadcast_to(x, opened.shape)
        photo_open = np.stack([columns, opened], -1).reshape(-1, 2)
        photo_shut = np.stack([columns, shut], -1).reshape(-1, 2)
        base = unproject(photo_open, depth(photo_open) - 1.0, annotation.rotation)
        moved = unproject(photo_shut, depth(photo_shut) - 1.0, annotation.rotation)
        where = to_texture(
            np.stack([np.linspace(x[0], x[-1], 96), np.interp(np.linspace(0, 1, 96), u, crease) - 1], -1)
        )
        soft = cv2.GaussianBlur(portrait.photo, (0, 0), 2.0)
        skin = cv2.remap(soft, where[None].astype(np.float32) - np.float32(0.5), None, cv2.INTER_LINEAR)[0]
        skin = cv2.GaussianBlur(skin.astype(np.float32)[None], (0, 0), 8)[0]
        texture = _lid_texture(skin)
        uvs = np.stack([np.broadcast_to(u, opened.shape) * 96, np.broadcast_to(v, opened.shape) * 48], -1)
        layers.append(
            Layer(base, moved - base, uvs.reshape(-1, 2), grid_triangles(LID_ROWS, LID_COLUMNS), texture, LID_APPEARS)
        )
    return layers
