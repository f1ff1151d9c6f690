"""The still portrait behind the sample: its annotation, a cut-out of the head, and what lies behind the head.

Lengths are "photo pixels": pixels of scikit-image's 512 x 512 `astronaut`, centres at +0.5. The sample shows a square
crop of it; textures have `TEXTURE_SCALE` pixels for each photo pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import cv2
import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8

from talksplat.subject_format.labels import Label

CROP_LEFT, CROP_TOP, CROP_SIZE = 94, -8, 264  # head and shoulders; a strip of backdrop is added above the photograph
TEXTURE_SCALE = 2
HEAD_EDGE = 1.5  # texture pixels, softness of the head's outline (the photograph's own blur)
TORSO_MARGIN = 4  # texture pixels of backdrop kept with the torso: its edge pixels are mixtures
JAW_SHADOW = 0.985  # the neck behind the jaw darkens by this factor for each texture pixel upward
LIP_SEAM = 0.35  # darkening of the edges of the lips
LIP_MIXED, LIP_EDGE = 0.9, 0.8  # photo pixels: strip of mixed colours, softness of the edge
BACKDROP_MARGIN = 7  # texture pixels around the head that still carry stray hair


@dataclass(frozen=True)
class Annotation:
    """Annotation stored by `annotate.py`. Polylines and landmarks in photo pixels; landmark z grows away from the viewer."""

    landmarks: Float[np.ndarray, "478 3"]
    rotation: Float[np.ndarray, "3 3"]  # head to camera in OpenGL axes
    upper_lip_edge: Float[np.ndarray, "_ 2"]
    lower_lip_edge: Float[np.ndarray, "_ 2"]
    teeth: Float[np.ndarray, "_ 2"]
    neck: Float[np.ndarray, "_ 2"]
    labels: UInt8[np.ndarray, "height width"]  # of the crop at texture scale


@dataclass(frozen=True)
class Portrait:
    """Textures of the crop at texture scale, all RGB."""

    annotation: Annotation
    photo: UInt8[np.ndarray, "height width 3"]
    head: Float[np.ndarray, "height width 4"]  # straight colour 0..255 carried on past the outline, alpha 0..1
    backdrop: UInt8[np.ndarray, "height width 3"]  # behind everybody
    torso: UInt8[np.ndarray, "height width 3"]  # with a neck that continues behind the jaw
    torso_mask: Bool[np.ndarray, "height width"]


def to_texture(points: Float[np.ndarray, "*batch 2"]) -> Float[np.ndarray, "*batch 2"]:
    """Photo pixels to texture pixels (centres at +0.5 in both)."""
    return (np.asarray(points) - (CROP_LEFT, CROP_TOP)) * TEXTURE_SCALE


def load_annotation() -> Annotation:
    """The annotation shipped with the package."""
    with np.load(str(files(__package__) / "astronaut_landmarks.npz")) as stored:
        bits = np.unpackbits(stored["label_bits"], axis=-1)
        arrays = {
            name: stored[name].astype(np.float64)
            for name in ("landmarks", "rotation", "upper_lip_edge", "lower_lip_edge", "teeth", "neck")
        }
    labels = np.pad(bits[0] | bits[1] << 1, ((-CROP_TOP * TEXTURE_SCALE, 0), (0, 0)))  # 0 is Label.BACKGROUND
    left, size = CROP_LEFT * TEXTURE_SCALE, CROP_SIZE * TEXTURE_SCALE
    return Annotation(labels=np.ascontiguousarray(labels[:size, left : left + size]), **arrays)


def fill(image: Shaped[np.ndarray, "h w c"], known: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w c"]:
    """Smooth continuation of the known pixels into the unknown ones (pull-push pyramid, then harmonic relaxation)."""
    weight = known.astype(np.float32)
    levels = [(image.astype(np.float32) * weight[..., None], weight)]
    while min(levels[-1][1].shape) > 2:
        colour, weight = levels[-1]
        levels.append((cv2.pyrDown(colour), cv2.pyrDown(weight)))
    result = levels[-1][0] / np.maximum(levels[-1][1], 1e-6)[..., None]
    for colour, weight in levels[-2::-1]:
        result = cv2.pyrUp(result, dstsize=weight.shape[::-1])
        share = np.clip(weight * 4, 0, 1)[..., None]
        result = share * colour / np.maximum(weight, 1e-6)[..., None] + (1 - share) * result
    keep = known[..., None]
    for width in (31, 15, 7, 3) * 3:
        result = np.where(keep, image, cv2.blur(result, (width, width)))
    return result.astype(np.float32)


def _backdrop(photo: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The studio backdrop behind the person, with the photograph's own mottling."""
    person = labels != Label.BACKGROUND
    near_head = cv2.dilate((labels == Label.HEAD).astype(np.uint8), np.ones((BACKDROP_MARGIN * 2 + 1,) * 2)) > 0
    near_person = cv2.dilate(person.astype(np.uint8), np.ones((TORSO_MARGIN * 2 + 1,) * 2)) > 0
    smooth = fill(photo, ~(near_person | near_head))
    # Grain of a plain patch, mirrored over the frame: without it the filled area looks like plastic.
    patch = photo[20:220, 10:110].astype(np.float32)
    grain = patch - cv2.GaussianBlur(patch, (0, 0), 7)
    tile = np.concatenate([grain, grain[::-1]])
    tile = np.concatenate([tile, tile[:, ::-1]], 1)
    repeats = [-(-size // side) for size, side in zip(photo.shape[:2], tile.shape[:2])]
    grain = np.tile(tile, (*repeats, 1))[: photo.shape[0], : photo.shape[1]]
    hidden = (near_person | near_head).astype(np.float32)
    share = cv2.GaussianBlur(hidden, (0, 0), 2)[..., None] * hidden[..., None]
    mixed = np.where(hidden[..., None] > 0, smooth + grain * share, photo)
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8)


def _torso(photo: np.ndarray, annotation: Annotation) -> tuple[np.ndarray, np.ndarray]:
    """Suit and neck without the head: colours, with the neck carried on behind the jaw, and mask."""
    labels = annotation.labels
    neck = np.zeros(labels.shape, np.uint8)
    cv2.fillPoly(neck, [np.round(to_texture(annotation.neck) * 16).astype(np.int32)], 1, shift=4)
    head = (labels == Label.HEAD).astype(np.uint8)
    clear = cv2.dilate(head, np.ones((5, 5))) == 0  # beyond the strip where jaw and neck are mixed
    behind = (neck > 0) & ~clear
    depth = cv2.distanceTransform(behind.astype(np.uint8), cv2.DIST_L2, 5)
    shaded = fill(photo, (labels == Label.NECK) & clear) * np.maximum(JAW_SHADOW**depth, 0.55)[..., None]
    colour = np.where(behind[..., None], shaded, photo)
    visible = (((labels == Label.TORSO) | (labels == Label.NECK)) & clear).astype(np.uint8)
    visible = cv2.morphologyEx(visible, cv2.MORPH_OPEN, np.ones((5, 5)))
    _, parts, stats, _ = cv2.connectedComponentsWithStats(visible)
    largest = (parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    wide = cv2.dilate(largest, np.ones((TORSO_MARGIN * 2 + 1,) * 2)) > 0
    mask = (largest > 0) | (wide & clear) | behind | (wide & (labels == Label.NECK))
    return np.clip(np.round(colour), 0, 255).astype(np.uint8), mask


def _distance_to_mouth(annotation: Annotation) -> np.ndarray:
    """Distance (photo pixels) of each texture pixel centre from the open mouth; zero inside."""
    side = annotation.labels.shape[0]
    steps = (np.arange(side) + 0.5) / TEXTURE_SCALE
    x, y = (CROP_LEFT + steps)[None], (CROP_TOP + steps)[:, None]
    distances = []
    for line, sign in ((annotation.upper_lip_edge, 1), (annotation.lower_lip_edge, -1)):
        row = np.interp(x, *line.T)
        slope = np.gradient(row[0], 1 / TEXTURE_SCALE)
        distances.append(sign * (row - y) / np.hypot(1, slope))
    left, right = annotation.upper_lip_edge[[0, -1], 0]
    beside = np.maximum(left - x, x - right)
    nearest = np.maximum(distances[0], distances[1])
    return np.where(beside > 0, np.hypot(beside, nearest), np.clip(nearest, 0, None)).astype(np.float32)


def load_portrait() -> Portrait:
    """Cut the photograph into head, torso and backdrop; deterministic."""
    from skimage import data  # slow import, needed only here

    annotation = load_annotation()
    image = data.astronaut()[: CROP_TOP + CROP_SIZE, CROP_LEFT : CROP_LEFT + CROP_SIZE]
    image = cv2.copyMakeBorder(image, -CROP_TOP, 0, 0, 0, cv2.BORDER_REFLECT_101)
    photo = cv2.resize(image, annotation.labels.shape[::-1], interpolation=cv2.INTER_CUBIC)
    mask = (annotation.labels == Label.HEAD).astype(np.uint8)
    core = cv2.erode(mask, np.ones((5, 5), np.uint8)) > 0
    # Lip pixels next to the open mouth are mixed with teeth; lips that meet show a line, which open lips hide.
    mouth = _distance_to_mouth(annotation)
    colour = fill(photo, core & (mouth > LIP_MIXED))
    colour *= 1 - LIP_SEAM * np.exp(-((mouth / 0.7) ** 2))[..., None]
    alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), HEAD_EDGE) * np.clip(mouth / LIP_EDGE, 0, 1)
    torso, torso_mask = _torso(photo, annotation)
    return Portrait(
        annotation=annotation,
        photo=photo,
        head=np.concatenate([np.clip(colour, 0, 255), alpha[..., None]], -1).astype(np.float32),
        backdrop=_backdrop(photo, annotation.labels),
        torso=torso,
        torso_mask=torso_mask,
    )
