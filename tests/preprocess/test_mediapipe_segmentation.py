"""Classes of the multiclass selfie segmenter become head, neck and torso; the model file is checked. No model needed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from talksplat.errors import UserError
from talksplat.media import assets
from talksplat.preprocess.segmentation import mediapipe
from talksplat.preprocess.segmentation.base import ClipImages
from talksplat.preprocess.segmentation.choose import BestSegmenter
from talksplat.preprocess.segmentation.keyframes import view_of
from talksplat.preprocess.segmentation.mediapipe import Category, MediapipeSegmenter, confidences_of, label_scores
from talksplat.subject_format.labels import Label
from tests.preprocess.face_fixtures import landmarks_of, make_track

SIZE, COUNT = 128, 3


@pytest.fixture(scope="module")
def clip() -> ClipImages:
    track = make_track(COUNT, SIZE)
    images = np.random.default_rng(0).integers(90, 110, (COUNT, SIZE, SIZE, 3)).astype(np.uint8)
    return ClipImages(lambda i: images[i], track, landmarks_of(track, SIZE)[..., :2], SIZE, SIZE)


@pytest.fixture(scope="module")
def view(clip):
    return view_of(clip, 0, SIZE)


def label_of(view, category: Category, across: float, up: float) -> Label:
    """Label of a pixel of that class, at a place given in dm from the head's centre."""
    confidences = np.zeros((*view.size, len(Category)), np.float32)
    confidences[..., category] = 1.0
    place = np.hypot(view.shape.across - across, view.shape.up - up)
    row, column = np.unravel_index(place.argmin(), place.shape)
    assert place[row, column] < 0.1, "the place lies outside the picture"
    return Label(label_scores(confidences, view)[row, column].argmax())


@pytest.mark.parametrize(
    ("category", "across", "up", "label"),
    [
        (Category.BACKGROUND, 0.0, 0.0, Label.BACKGROUND),
        (Category.HAIR, 0.0, 1.4, Label.HEAD),
        (Category.HAIR, 0.9, -1.5, Label.HEAD),  # long hair over the shoulder
        (Category.FACE_SKIN, 0.0, 0.0, Label.HEAD),
        (Category.BODY_SKIN, 0.0, -1.2, Label.NECK),
        (Category.BODY_SKIN, 0.8, 0.1, Label.HEAD),  # an ear
        (Category.BODY_SKIN, 1.3, -1.4, Label.TORSO),  # a shoulder
        (Category.CLOTHES, 0.0, -1.5, Label.TORSO),
        (Category.CLOTHES, 0.0, 1.3, Label.HEAD),  # a hat
        (Category.OTHERS, 0.5, 0.2, Label.HEAD),  # glasses
        (Category.OTHERS, 0.2, -1.5, Label.TORSO),  # a necklace over the cloth
    ],
)
def test_each_class_goes_where_it_belongs(view, category, across, up, label):
    assert label_of(view, category, across, up) == label


def test_doubt_between_classes_is_kept(view):
    confidences = np.zeros((*view.size, len(Category)), np.float32)
    confidences[..., Category.BACKGROUND], confidences[..., Category.HAIR] = 0.4, 0.6
    scores = label_scores(confidences, view)
    np.testing.assert_allclose(scores[..., Label.HEAD] - scores[..., Label.BACKGROUND], np.log(1.5), rtol=1e-4)


def network_of(masks: np.ndarray):
    """Stands in for MediaPipe's segmenter: always these masks [category, height, width]."""
    views = [SimpleNamespace(numpy_view=lambda mask=mask: mask[..., None]) for mask in masks]
    return SimpleNamespace(segment=lambda picture: SimpleNamespace(confidence_masks=views))


@pytest.mark.mediapipe
def test_a_whole_frame(clip, monkeypatch):
    masks = np.zeros((len(Category), SIZE, SIZE), np.float32)
    masks[Category.BACKGROUND] = 1.0
    shape = view_of(clip, 0, SIZE).shape
    for category, where in (
        (Category.HAIR, (np.abs(shape.across) < 1.1) & (np.abs(shape.up - 0.2) < 1.3)),
        (Category.FACE_SKIN, (np.abs(shape.across) < 0.7) & (np.abs(shape.up) < 0.8)),
        (Category.BODY_SKIN, (np.abs(shape.across) < 0.5) & (shape.up < -1.1)),
    ):
        masks[:, where] = 0
        masks[category, where] = 1.0
    monkeypatch.setattr(mediapipe, "multiclass_segmenter_path", lambda folder: folder)
    monkeypatch.setattr(mediapipe, "open_network", lambda path: network_of(masks))
    segmenter = MediapipeSegmenter(assets="somewhere", size=SIZE, neighbours=1)
    segmenter.fit(clip)
    labels = segmenter(clip, 0)
    assert labels.shape == (SIZE, SIZE)
    assert labels[SIZE // 2, SIZE // 2] == Label.HEAD and labels[2, 2] == Label.BACKGROUND
    neck = (np.abs(shape.across) < 0.3) & (shape.up < -1.25) & (shape.up > -1.5)
    assert (labels[neck] == Label.NECK).mean() > 0.9


@pytest.mark.mediapipe
def test_a_model_of_other_classes_is_refused():
    with pytest.raises(UserError, match="2 classes instead of 6"):
        confidences_of(network_of(np.zeros((2, 8, 8), np.float32)), np.zeros((8, 8, 3), np.uint8))


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A machine without the model."""
    monkeypatch.setenv("TALKSPLAT_ASSETS", str(tmp_path))
    monkeypatch.setattr(assets.pooch, "os_cache", lambda name: tmp_path / "cache")
    return tmp_path


def test_auto_takes_the_model_where_it_is(empty, monkeypatch):
    path = empty / "selfie_multiclass_256x256.tflite"
    path.write_bytes(b"something else")
    with pytest.raises(UserError, match="is not the multiclass selfie segmenter"):
        BestSegmenter("mediapipe", "colour", str(empty)).ready()
    monkeypatch.setattr(assets, "_check_hash", lambda path, model: None)
    monkeypatch.setattr(assets.pooch, "retrieve", None)  # nothing is downloaded
    assert BestSegmenter("mediapipe", "colour", str(empty)).ready() == "mediapipe"


def test_auto_downloads_the_model_once_and_says_what_is_lost_without(empty, monkeypatch, caplog):
    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append((url, known_hash))
        if len(asked) == 1:
            raise ConnectionError
        path.mkdir()
        (path / fname).write_bytes(b"the model")
        return str(path / fname)

    monkeypatch.setattr(assets.pooch, "retrieve", retrieve)
    monkeypatch.setattr(assets, "_check_hash", lambda path, model: None)
    best = BestSegmenter("mediapipe", "colour")
    assert best.ready() == "colour"
    assert len(caplog.messages) == 1 and "selfie_multiclass_256x256.tflite and put it into" in caplog.messages[0]
    assert best.ready() == "mediapipe" and best.ready() == "mediapipe"
    assert len(asked) == 2 and asked[0][1] == f"sha256:{assets.SEGMENTER_SHA256}"


def test_a_missing_model_is_named_with_its_address(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise ConnectionError

    monkeypatch.setattr(assets.pooch, "retrieve", offline)
    monkeypatch.setattr(assets.pooch, "os_cache", lambda name: tmp_path / "none")
    monkeypatch.delenv("TALKSPLAT_ASSETS", raising=False)
    with pytest.raises(UserError, match=r"get https://.*selfie_multiclass_256x256.tflite and put it into .*TALKSPLAT"):
        assets.multiclass_segmenter_path()


@pytest.mark.mediapipe
def test_a_file_that_is_no_model_is_refused(tmp_path):
    pytest.importorskip("mediapipe")
    path = tmp_path / "selfie_multiclass_256x256.tflite"
    path.write_bytes(b"no model")
    with pytest.raises(UserError, match="cannot be opened as an image segmentation model"):
        mediapipe.open_network(path)
