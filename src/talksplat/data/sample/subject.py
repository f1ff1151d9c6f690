"""The sample subject: a photo-real head that can be posed and made to speak, with everything about it known."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from talksplat.data.sample.expression import MouthMotion
from talksplat.data.sample.head_mesh import (
    FOCAL,
    DepthField,
    reference_translation,
    triangulate,
    unproject,
)
from talksplat.data.sample.layers import Layer, lid_layers, mouth_layers
from talksplat.data.sample.measure import estimate_opening
from talksplat.data.sample.mesh_raster import look_up, sample_surface, texture_map
from talksplat.data.sample.performance import REST_ROUNDING
from talksplat.data.sample.portrait import CROP_SIZE, load_portrait, to_texture
from talksplat.errors import UserError
from talksplat.geometry.cameras import euler_trans_from_viewmat, intrinsics
from talksplat.media.face_landmarker import DLIB68
from talksplat.subject_format.labels import Label

UPPER_LIDS = {37: 41, 38: 40, 43: 47, 44: 46}  # of the 68: upper lid point -> the lower lid point it meets
INTERIOR_RADII = np.array([0.34, 0.17])  # dm, of the points inside the mouth
VISIBLE = 2.5 / 255  # head coverage below this is dropped, so that pixels outside the head are exactly the plate


@dataclass(frozen=True)
class SampleFrame:
    """One rendered frame and its ground truth."""

    image: UInt8[np.ndarray, "height width 3"]
    labels: UInt8[np.ndarray, "height width"]
    torso_rgba: UInt8[np.ndarray, "height width 4"]
    landmarks68: Float[np.ndarray, "68 2"]


class SampleSubject:
    """Astronaut Eileen Collins (NASA, public domain), animated.

    Args:
        resolution: width and height of the frames in pixels, at least 64.
        seed: of the choice of start points.
        supersampling: output pixels are means of this many squared samples.

    Raises:
        UserError: `resolution` below 64 or `supersampling` below 1.
    """

    def __init__(self, resolution: int = 256, seed: int = 0, supersampling: int = 2):
        if resolution < 64 or supersampling < 1:
            raise UserError(f"resolution={resolution} is below 64, or supersampling={supersampling} below 1: raise it")
        self.resolution, self.seed, self._samples = resolution, seed, supersampling
        portrait = load_portrait()
        annotation = portrait.annotation
        rotation = annotation.rotation
        depth = DepthField(annotation)
        motion = MouthMotion(annotation)
        photo, self._triangles = triangulate(annotation)
        self._rest = unproject(photo, depth(photo), rotation)
        self._motion = motion(photo, rotation)
        self._uvs = to_texture(photo)
        head = portrait.head.copy()
        head[..., :3] *= head[..., 3:]
        self._texture = head
        self._mouth, self._lids = mouth_layers(portrait, depth), lid_layers(portrait, depth)
        points = annotation.landmarks[list(DLIB68)]
        self._landmarks = unproject(points[:, :2], points[:, 2], rotation)
        self._landmark_motion = motion(points[:, :2], rotation)
        self.K = intrinsics(FOCAL * resolution / CROP_SIZE, resolution, resolution).numpy().astype(np.float64)
        self.reference_viewmat = np.eye(4)
        self.reference_viewmat[:3, :3] = np.diag([1.0, -1, -1]) @ rotation
        self.reference_viewmat[:3, 3] = reference_translation() * (1, -1, -1)
        self._make_plates(portrait)

    def _make_plates(self, portrait) -> None:
        def shrink(image):
            return cv2.resize(image, (self.resolution,) * 2, interpolation=cv2.INTER_AREA)

        behind = np.where(portrait.torso_mask[..., None], portrait.torso, portrait.backdrop)
        torso = shrink(portrait.torso_mask.astype(np.float32)) > 0.5
        self.background = shrink(portrait.backdrop)
        self._plate = np.where(torso[..., None], shrink(behind), self.background)
        alpha = np.where(torso, 255, 0).astype(np.uint8)[..., None]
        self._torso_rgba = np.concatenate([np.where(torso[..., None], self._plate, 0).astype(np.uint8), alpha], -1)
        neck = shrink((portrait.annotation.labels == Label.NECK).astype(np.float32)) > 0.5
        self._plate_labels = np.where(torso, np.where(neck, Label.NECK, Label.TORSO), Label.BACKGROUND)

    @property
    def euler_trans(self) -> tuple[np.ndarray, np.ndarray]:
        """Pose of the photograph as euler angles (radians) and translation (dm), each [3]."""
        euler, trans = euler_trans_from_viewmat(torch.from_numpy(self.reference_viewmat)[None])
        return euler[0].numpy(), trans[0].numpy()

    def _project(self, points: np.ndarray, viewmat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        camera = points @ viewmat[:3, :3].T + viewmat[:3, 3]
        image = camera @ self.K.T
        return image[:, :2] / camera[:, 2:], camera[:, 2]

    def _draw(self, points, uvs, triangles, texture, viewmat, window) -> np.ndarray:
        pixels, depths = self._project(points, viewmat)
        left, top, width, height = window
        pixels = (pixels - (left, top)) * self._samples
        coordinates = texture_map(pixels, depths, uvs, triangles, width * self._samples, height * self._samples)
        return look_up(texture, coordinates)

    def surface(self, opening: float, rounding: float) -> Float[np.ndarray, "vertex 3"]:
        """World vertices (dm) of the head's skin and hair."""
        rest, opened, rounded = self._motion
        return self._rest + rest + opening * opened + rounding * rounded

    def _cover(self, head, layer: Layer, signal: float, viewmat, window) -> None:
        """Draw `layer` over `head` (supersampled, premultiplied) in place, touching only the pixels it can reach."""
        points = layer.base + signal * layer.motion
        pixels, _ = self._project(points, viewmat)
        low = np.maximum(np.floor(pixels.min(0)).astype(int) - 1, window[:2])
        high = np.minimum(np.ceil(pixels.max(0)).astype(int) + 1, np.add(window[:2], window[2:]))
        if (high <= low).any():
            return
        part = (*low, *(high - low))
        front = layer.weight(signal) * self._draw(points, layer.uvs, layer.triangles, layer.texture, viewmat, part)
        x0, y0, x1, y1 = np.concatenate([low - window[:2], high - window[:2]]) * self._samples
        head[y0:y1, x0:x1] = front + (1 - front[..., 3:]) * head[y0:y1, x0:x1]

    def draw_head(self, opening, rounding, blink, viewmat, window=None) -> Float[np.ndarray, "height width 4"]:
        """Premultiplied head (colour 0..255, alpha 0..1) in `window` (left, top, width, height; default the frame)."""
        window = window or (0, 0, self.resolution, self.resolution)
        skin = self._draw(self.surface(opening, rounding), self._uvs, self._triangles, self._texture, viewmat, window)
        head = np.zeros_like(skin)
        for layer in self._mouth:
            self._cover(head, layer, opening, viewmat, window)
        head *= 1 - skin[..., 3:]
        head += skin
        for layer in self._lids if blink > 0 else ():
            self._cover(head, layer, blink, viewmat, window)
        return cv2.resize(head, (window[2], window[3]), interpolation=cv2.INTER_AREA)

    def render(self, opening: float, rounding: float, blink: float, viewmat: Float[np.ndarray, "4 4"]) -> SampleFrame:
        """Frame with mouth `opening`, lip `rounding` and `blink` in [0, 1], seen by `viewmat` (world to camera, dm)."""
        viewmat = np.asarray(viewmat, np.float64)
        head = self.draw_head(opening, rounding, blink, viewmat)
        alpha = head[..., 3:]
        visible = alpha[..., 0] >= VISIBLE
        image = np.where(visible[..., None], head[..., :3] + (1 - alpha) * self._plate, self._plate)
        return SampleFrame(
            image=np.clip(np.round(image), 0, 255).astype(np.uint8),
            labels=np.where(visible, Label.HEAD, self._plate_labels).astype(np.uint8),
            torso_rgba=self._torso_rgba,
            landmarks68=self.landmarks68(opening, rounding, blink, viewmat),
        )

    def landmarks68(self, opening, rounding, blink, viewmat) -> Float[np.ndarray, "68 2"]:
        """Pixels of the 68 landmarks."""
        rest, opened, rounded = self._landmark_motion
        points = self._landmarks + rest + opening * opened + rounding * rounded
        for upper, lower in UPPER_LIDS.items():
            points[upper] += blink * (points[lower] - points[upper])
        return self._project(points, viewmat)[0]

    def start_points(
        self, count: int = 10000, interior: float = 0.06, opening: float = 0.25
    ) -> tuple[Float[np.ndarray, "point 3"], UInt8[np.ndarray, "point 3"]]:
        """Points (dm) spread evenly over face, ears and hair, and their colours.

        A share `interior` of them lies on teeth, tongue and cavity behind the lips; `opening` is the mouth's, about the
        mean of speech.
        """
        rng = np.random.default_rng(self.seed)
        inner = int(count * interior)
        center = self._landmarks[60:68].mean(0)  # inner lip: keeps interior points to what an open mouth shows
        points, colors = sample_surface(
            self.surface(opening, REST_ROUNDING), self._uvs, self._triangles, self._texture, count - inner, rng
        )
        parts = [(points, colors)]
        for layer in self._mouth[1:]:
            surface = layer.base + opening * layer.motion
            near = np.abs((surface - center)[:, :2][layer.triangles]).max(1) < INTERIOR_RADII
            triangles = layer.triangles[near.all(-1)]
            parts.append(sample_surface(surface, layer.uvs, triangles, layer.texture, inner // 3, rng))
        return tuple(np.concatenate(column) for column in zip(*parts))

    def estimate_opening(self, image: np.ndarray, viewmat: Float[np.ndarray, "4 4"]) -> float:
        """Mouth opening in [0, 1] that `image` (u8 or float in [0, 1], [H, W, 3]) shows at pose `viewmat`."""
        return estimate_opening(self, image, viewmat)

    def mouth_view(
        self, opening: float, rounding: float, viewmat: np.ndarray, window: tuple[int, int, int, int]
    ) -> Float[np.ndarray, "height width 3"]:
        """The part `window` (left, top, width, height) of a frame with open eyes, colours 0..255, unrounded."""
        left, top, width, height = window
        head = self.draw_head(opening, rounding, 0.0, viewmat, window)
        return head[..., :3] + (1 - head[..., 3:]) * self._plate[top : top + height, left : left + width]
