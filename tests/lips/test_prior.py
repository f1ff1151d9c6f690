"""A prior's file comes back as it was, and what does not fit is refused with a remedy."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from talksplat.errors import UserError
from talksplat.lips import TARGETS, LipPrior


@pytest.fixture
def prior() -> LipPrior:
    random = np.random.default_rng(0)
    return LipPrior(
        feature="mel",
        fingerprint=random.normal(size=32).astype(np.float32),
        first_row=-4,
        weights=random.normal(size=(9, 6, 5)).astype(np.float16).astype(np.float32),
        bias=random.normal(size=9).astype(np.float32),
        per_clip=False,
        targets=TARGETS,
        lip_basis=random.normal(size=(6, 40)).astype(np.float32),
        people=("a", "b"),
        scores={"a": {"correlation": {"gap": 0.5}}},
        card="made of nothing",
    )


def test_a_frame_sees_its_rows_and_ends_repeat(prior):
    rows = np.random.default_rng(1).normal(size=(40, 5)).astype(np.float32)
    found = prior.predict(rows, 25)
    assert found.shape == (25, 9)
    for frame in (0, 10, 24):
        window = np.stack([rows[min(max(2 * frame - 4 + tap, 0), 39)] for tap in range(6)])
        np.testing.assert_allclose(found[frame], np.einsum("ntw,tw->n", prior.weights, window) + prior.bias, atol=1e-4)
    np.testing.assert_allclose(prior.predict(rows, 10, shift=4), prior.predict(rows, 12)[2:], atol=1e-5)


def test_rows_of_a_clip_are_standardised_where_the_prior_wants_it(prior):
    rows = np.random.default_rng(1).normal(size=(40, 5)).astype(np.float32)
    own = replace(prior, per_clip=True)
    np.testing.assert_allclose(own.predict(3 * rows + 7, 10), own.predict(rows, 10), atol=1e-4)
    assert np.isfinite(own.predict(np.zeros_like(rows), 10)).all()


def test_a_file_comes_back(prior, tmp_path):
    path = tmp_path / "new" / "prior.npz"
    prior.save(path)
    again = LipPrior.load(path)
    for name in ("weights", "bias", "fingerprint", "lip_basis"):
        assert getattr(again, name).dtype == np.float32
        np.testing.assert_array_equal(getattr(again, name), getattr(prior, name))
    for name in ("feature", "first_row", "per_clip", "targets", "people", "scores", "card", "width"):
        assert getattr(again, name) == getattr(prior, name)
    assert [file.name for file in path.parent.iterdir()] == ["prior.npz"]


def test_other_features_are_refused(prior):
    prior.check_features("mel", prior.fingerprint * 1.005, 5)
    with pytest.raises(UserError, match="audio=mel features, not audio=whisper.*choose audio=mel"):
        prior.check_features("whisper", prior.fingerprint, 5)
    with pytest.raises(UserError, match="width 5, not 7"):
        prior.check_features("mel", prior.fingerprint, 7)
    for other in (prior.fingerprint * 1.05, prior.fingerprint[:-1]):
        with pytest.raises(UserError, match="another model or setting.*learn_lips audio=mel"):
            prior.check_features("mel", other, 5)


def test_files_that_are_no_priors_are_refused(prior, tmp_path):
    path = tmp_path / "prior.npz"
    with pytest.raises(UserError, match="there is no lip prior"):
        LipPrior.load(path)
    prior.save(path)
    data = path.read_bytes()
    for size in (0, 10, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(UserError, match="damaged, cut short or another kind"):
            LipPrior.load(path)
    middle = data.index(b"weights.npy") + 200
    path.write_bytes(data[:middle] + bytes(20) + data[middle + 20 :])
    with pytest.raises(UserError, match="damaged"):
        LipPrior.load(path)
    np.savez(path, weights=np.zeros(3))
    with pytest.raises(UserError, match="is no lip prior"):
        LipPrior.load(path)
    np.savez(path, lip_prior=np.array(99))
    with pytest.raises(UserError, match="format 99, not 1.*learn it again"):
        LipPrior.load(path)
    np.savez(path, lip_prior=np.array(1), facts=np.array(json.dumps({})))
    with pytest.raises(UserError, match="incomplete"):
        LipPrior.load(path)


def test_a_place_that_cannot_be_written_is_one_line(prior, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write .*file"):
        prior.save(tmp_path / "file" / "prior.npz")
