from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from talksplat.compare.tables.differences import difference_section, differences, differences_csv
from talksplat.errors import UserError
from tests.compare.made_runs import chosen, data_of, markdown_page, seeded

COUNT = 120


def run(seed, name, gain, noise=0.01, count=COUNT, experiments=(), lmd=None):
    """A run whose PSNR is that of a clip all runs share, plus a gain and its own noise."""
    rng = np.random.default_rng((seed, len(name)))
    clip = 20 + np.sin(np.arange(count) / 9)
    values = clip + gain + noise * rng.standard_normal(count)
    frames = [{"frame_id": i, "psnr": float(value), "lmd": lmd} for i, value in enumerate(values)]
    made = {"config__chosen": chosen(name, *experiments), "config__model": {"of": name + str(experiments)}}
    return seeded(seed, metrics__frames=frames, metrics__mean={"psnr": float(values.mean()), "lmd": lmd}, **made)


def found_for(tmp_path, *changes):
    """The differences, and what the page says of them."""
    data = data_of(tmp_path, *changes)
    found = differences(data)
    return found, markdown_page(difference_section(data, found))


def test_three_seeds_that_agree(tmp_path):
    changes = [run(seed, "base", 0.0) for seed in (0, 1, 2)]
    changes += [run(seed, "other", gain) for seed, gain in enumerate((0.1, 0.12, 0.11))]
    found, page = found_for(tmp_path, *changes)
    (psnr,) = [one for one in found if one.column.metric == "psnr"]
    assert psnr.verdict == "better" and psnr.agreeing == 3 and psnr.beyond_seeds
    assert psnr.over_frames.mean == pytest.approx(0.11, abs=0.005) and psnr.frames == COUNT
    assert "better on these 120 frames by more than chance over frames: PSNR +0.11 (3 of 3 seeds)" in page
    assert "Larger than chance over seeds as well: PSNR." in page
    rows = list(csv.DictReader(io.StringIO(differences_csv(found))))
    assert rows[0]["group"] == "other" and rows[0]["verdict"].endswith("larger than chance over seeds")
    assert float(rows[0]["low"]) < 0.11 < float(rows[0]["high"]) and rows[0]["seeds"] == "3"


def test_seeds_that_disagree_are_said_so_though_the_frames_are_certain(tmp_path):
    changes = [run(seed, "base", 0.0) for seed in (0, 1, 2)]
    changes += [run(seed, "other", gain) for seed, gain in enumerate((0.6, -0.2, 0.1))]
    (psnr,), page = found_for(tmp_path, *changes)
    assert psnr.verdict == "better" and psnr.agreeing == 2 and psnr.beyond_seeds is False
    assert "None of it is larger than chance over 3 seeds as well." in page


def test_one_seed_and_no_difference(tmp_path):
    (psnr,), page = found_for(tmp_path, run(0, "base", 0.0, 0.5), run(0, "other", 0.0, 0.5))
    assert psnr.verdict == "equal" and psnr.beyond_seeds is None
    assert (
        "no difference can be told on these 120 frames: PSNR" in page and "nothing is known about other seeds" in page
    )


def test_only_common_seeds_are_paired(tmp_path):
    changes = [run(0, "base", 0.0), run(1, "base", 9.0), run(0, "other", 0.5), run(7, "other", 0.5)]
    (psnr,), _ = found_for(tmp_path, *changes)
    assert psnr.per_seed == (pytest.approx(0.5, abs=0.01),)
    (psnr,), page = found_for(tmp_path / "none", run(0, "base", 0.0), run(1, "other", 0.5))
    assert psnr.per_seed == () and psnr.verdict == "better"
    assert "no seed in common" in page


def test_less_is_better_for_some_and_few_frames_claim_nothing(tmp_path):
    base, other = run(0, "base", 0.0, count=8, lmd=2.0), run(0, "other", -0.5, count=8, lmd=1.0)
    found, page = found_for(tmp_path, base, other)
    psnr, lmd = found
    assert lmd.column.metric == "lmd" and lmd.gain == pytest.approx(1.0) and psnr.gain < 0
    assert psnr.verdict == lmd.verdict == "unknown"
    assert "too few frames to tell a difference from chance" in page and "−1.000 ?" in page


def test_many_groups_need_stronger_evidence(tmp_path):
    changes = [run(0, "base", 0.0, 0.3)] + [run(0, "other" + "x" * i, 0.08, 0.3) for i in range(8)]
    found, _ = found_for(tmp_path, *changes)
    assert all(one.corrected >= one.over_frames.p for one in found)
    assert any(one.corrected > 0.05 > one.over_frames.p for one in found)


def test_the_reference_is_the_whole_model_of_an_ablation_or_what_is_named(tmp_path):
    part = run(0, "egstalker", 0.0, experiments=("egstalker/no_ppe",))
    whole = run(0, "egstalker", 0.0, experiments=("egstalker/full",))
    data = data_of(tmp_path, part, whole)
    assert data.reference.name == "egstalker/full"
    for name in ("egstalker/no_ppe", "r0"):
        assert replace(data, named=name).reference.name == "egstalker/no_ppe", "by the name of a group or a run"
    with pytest.raises(UserError, match="reference=nobody: .*'egstalker/no_ppe', 'egstalker/full'"):
        _ = replace(data, named="nobody").reference


def test_a_foreign_video_is_compared_with_each_seed(tmp_path):
    foreign = run(0, "video", -1.0) | {"config": {"foreign": {"name": "Wav2Lip"}}, "info": {}}
    foreign = {key: value for key, value in foreign.items() if "__seed" not in key and not key.startswith("config__")}
    changes = [run(seed, "base", 0.0) for seed in (0, 1, 2)]
    (psnr,), _ = found_for(tmp_path, *changes, foreign)
    assert (psnr.reference, psnr.group) == ("base", "Wav2Lip")
    assert psnr.verdict == "worse" and psnr.agreeing == 3


def test_two_groups_are_needed(tmp_path):
    assert differences(data_of(tmp_path, run(0, "base", 0.0))) == []
