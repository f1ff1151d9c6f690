"""The law behind synthetic people is found, without those who are left out, whatever their sound's offset."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from talksplat.errors import UserError
from talksplat.lips import Recipe, lip_numbers
from talksplat.lips import fit as fitting
from talksplat.lips import learn as learning
from talksplat.lips.learn import learn
from tests.lips.people import FIRST, LAST, RECIPE, World


def test_weights_are_found():
    world = World()
    prior = learn(world.people(noise=0.05), RECIPE, "card")
    for number in range(3):
        found, true = prior.weights[number].ravel(), world.weights[number].ravel()
        assert found @ true / np.linalg.norm(found) / np.linalg.norm(true) > 0.98
    assert prior.first_row == FIRST and prior.weights.shape == (9, LAST - FIRST + 1, world.width)
    assert prior.people == ("a", "b", "c") and prior.card == "card"
    for scores in prior.scores.values():
        assert all(scores["correlation"][name] > 0.97 for name in ("gap", "width", "jaw", "shape1", "shape2"))
        assert scores["seconds"] == pytest.approx(11.9)


@pytest.mark.parametrize("width", [6, 80])
@pytest.mark.parametrize("per_clip", [False, True])
def test_the_folded_map_is_projection_pairs_and_ridge(width, per_clip):
    people = World(width).people()
    recipe = replace(RECIPE, per_clip=per_clip)
    prior = fitting.fit(people, recipe)
    center, matrix = fitting._projection(people, per_clip)
    assert matrix.shape == (width, min(width, 48))
    basis = fitting._lip_basis(people)
    moments = {n: fitting._moments(clips, recipe, basis, center, matrix) for n, clips in people.items()}
    weights, bias = fitting._ridge(moments)
    rows = people["a"][0].rows
    parts = ((fitting.standardized(rows) if per_clip else rows) - center) @ matrix
    seen = np.clip(2 * np.arange(100)[:, None] + np.arange(FIRST, LAST + 1), 0, len(rows) - 1)
    pairs = (parts[seen[:, 0::2]] + parts[seen[:, 1::2]]) / 2
    np.testing.assert_allclose(prior.predict(rows, 100), pairs.reshape(100, -1) @ weights + bias, atol=1e-5)


def test_who_is_left_out_does_not_count(monkeypatch):
    world = World()
    people = world.people()
    used = []
    real = learning.score

    def score(prior, clips, moved):
        used.append((clips[0].name, prior))
        return real(prior, clips, moved)

    monkeypatch.setattr(learning, "score", score)
    honest = learn(people, RECIPE, "")
    first = dict(used[:3])
    assert all(name not in first[name].people and len(first[name].people) == 2 for name in "abc")
    used.clear()
    spoilt = [replace(clip, measures=world.random.normal(size=clip.measures.shape)) for clip in people["a"]]
    scores = learn({**people, "a": spoilt}, RECIPE, "").scores
    np.testing.assert_array_equal(dict(used[:3])["a"].weights, first["a"].weights)
    assert honest.scores["a"]["correlation"]["gap"] > 0.9 and abs(scores["a"]["correlation"]["gap"]) < 0.3


def test_long_people_count_as_a_minute():
    world = World()
    long = world.clip("long", seconds=150)
    moments = fitting._moments([long], RECIPE, world.basis, np.zeros(world.width), np.eye(world.width))
    assert moments[-1, -1] == pytest.approx(60 * 25)


@pytest.mark.parametrize("late", [[0, 0, 5, 0], [-4, 6, 0]])
def test_sound_is_moved_before_learning(late):
    world = World()
    people = {name: [world.clip(name, late=rows)] for name, rows in zip("abcd", late)}
    prior = learn(people, RECIPE, "")
    found = np.array([prior.scores[name]["sound_late_ms"][name] for name in people])
    assert all(prior.scores[name]["certain"][name] for name in people)
    differences = found - 20 * np.array(late)
    assert np.ptp(differences) <= 20  # only differences between clips are defined
    assert all(prior.scores[name]["correlation"]["gap"] > 0.8 for name in people)


def test_two_clips_of_a_person_are_one_person():
    world = World()
    people = {"a": [world.clip("a1"), world.clip("a2", late=4)], "b": [world.clip("b")]}
    scores = learn(people, RECIPE, "").scores
    assert scores["a"]["seconds"] == pytest.approx(23.8)
    late = scores["a"]["sound_late_ms"]
    assert late["a2"] - late["a1"] == pytest.approx(80, abs=20)


def test_one_person_is_too_few_but_can_be_fitted():
    world = World()
    people = world.people(1)
    with pytest.raises(UserError, match="at least two people, and there is a: add subjects"):
        learn(people, RECIPE, "")
    prior, clip = fitting.fit(people, RECIPE), people["a"][0]
    lips = lip_numbers(clip.measures, prior.lip_basis)
    assert np.corrcoef(prior.at_rows(clip.rows, 2 * clip.frames)[:, 0], lips[:, 0])[0, 1] > 0.9


def test_rows_that_make_no_pairs_are_refused():
    with pytest.raises(UserError, match="even number of rows"):
        Recipe("mel", np.zeros(1), False, -2, 2)
