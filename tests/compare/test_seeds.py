from __future__ import annotations

import csv
import io

import pytest

from talksplat.compare.tables.results import seed_table, seeds_csv
from tests.compare.made_runs import chosen, data_of, markdown_of, seeded

LIP = {"config__loss": {"lip": {"weight": 0.8}}}


def cells(table, title):
    return [row[table.titles.index(title)] for row in table.rows]


def test_a_row_for_each_group_with_mean_deviation_and_the_best_mean(tmp_path):
    data = data_of(
        tmp_path,
        seeded(0, metrics__mean__psnr=20.0),
        seeded(0, metrics__mean__psnr=21.5, **LIP),
        seeded(1, metrics__mean__psnr=22.0, metrics__mean__lmd=None, metrics__reasons={"lmd": "no face"}),
    )
    assert [[run.name for run in group.runs] for group in data.groups] == [["r0", "r2"], ["r1"]]
    table = seed_table(data)
    assert [cell.text for cell in cells(table, "seeds")] == ["2 (0, 1)", "1 (0)"]
    assert [cell.text for cell in cells(table, "PSNR")] == ["21.00 ± 1.41", "21.50"]
    assert [cell.mark == "best" for cell in cells(table, "PSNR")] == [True, True], (
        "21.5 is no farther from 21 ± 1.41 than that"
    )
    assert [cell.mark == "best" for cell in cells(table, "head PSNR")] == [True, True], (
        "what looks the same is marked the same"
    )
    assert [cell.text for cell in cells(table, "LMD (px)")] == ["n/a", "2.000"]
    text = markdown_of(table)
    assert f"[{cells(table, 'LMD (px)')[0].note}] LMD (px): no face (r2)" in text
    assert "mouth correlation" not in table.titles and "run" not in table.titles and "seed" not in table.titles
    assert "mouth correlation is left out: no truth for this clip" in text


@pytest.mark.parametrize("setting", [{"devices": 2}, {"precision": "bfloat16"}], ids=["devices", "precision"])
def test_another_batch_or_precision_is_another_group(tmp_path, setting):
    plain = {"devices": 1, "precision": "auto", "log_every": 25}
    other = {**plain, **setting, "log_every": 5}
    text = "trainer." + "".join(f"{name}={value}" for name, value in setting.items())
    data = data_of(
        tmp_path,
        seeded(0, config__trainer=plain, config__chosen=chosen("gaussiantalker")),
        seeded(1, config__trainer={**plain, "log_every": 10}, config__chosen=chosen("gaussiantalker")),
        seeded(1, config__trainer=other, config__chosen=chosen("gaussiantalker", overrides=(text,))),
    )
    assert [[run.name for run in group.runs] for group in data.groups] == [["r0", "r1"], ["r2"]]
    assert text in data.groups[1].name and data.groups[0].name != data.groups[1].name


def test_times_of_different_machines_are_not_averaged(tmp_path):
    data = data_of(tmp_path, seeded(0), seeded(1, info__host="there"), seeded(2, **LIP))
    table = seed_table(data)
    assert [cell.text for cell in cells(table, "FPS")] == ["n/a", "50.0"]
    assert not any(cell.mark == "best" for cell in cells(table, "FPS"))
    assert "FPS: the group's runs had different hardware" in markdown_of(table)


def test_csv_has_means_and_deviations_at_full_precision(tmp_path):
    data = data_of(tmp_path, seeded(3, metrics__mean__psnr=22.0), seeded(0), seeded(0, **LIP))
    rows = list(csv.DictReader(io.StringIO(seeds_csv(data))))
    assert [row["seeds"] for row in rows] == ["0 3", "0"] and [row["runs"] for row in rows] == ["2", "1"]
    assert float(rows[0]["psnr_mean"]) == 21 and float(rows[0]["psnr_std"]) == pytest.approx(2**0.5)
    assert rows[1]["psnr_mean"] == "20.0" and rows[1]["psnr_std"] == ""
    assert rows[0]["mouth_correlation_mean"] == rows[0]["mouth_correlation_std"] == ""


def test_a_run_repeated_with_its_seed_does_not_count_twice(tmp_path):
    values = (20.0, 22.0, 22.0, 22.0)
    data = data_of(tmp_path, *(seeded(min(i, 1), metrics__mean__psnr=value) for i, value in enumerate(values)))
    table = seed_table(data)
    assert [cell.text for cell in cells(table, "seeds")] == ["2 (0, 1)"]
    assert [cell.text for cell in cells(table, "PSNR")] == ["21.00 ± 1.41"]
    assert "left out, as they repeat settings and seed of another run: r2, r3" in markdown_of(table)


def test_only_another_seed_makes_a_table(tmp_path):
    data = data_of(tmp_path, seeded(0), seeded(0), seeded(1, **LIP))
    assert not data.has_repeats
    assert data_of(tmp_path / "more", seeded(0), seeded(0), seeded(1, **LIP), seeded(2)).has_repeats


def names(tmp_path, *changes):
    return [group.name for group in data_of(tmp_path, *changes).groups]


def test_groups_are_named_by_model_and_experiments(tmp_path):
    """A sweep of models, seeds and experiments: its folders are called 0, 1, 2, ..."""
    ablation = {"config__chosen": chosen("egstalker", "demo", "egstalker/no_ppe"), "config__model": {"ppe": False}}
    assert names(
        tmp_path,
        seeded(0, config__chosen=chosen("static", "demo"), config__model={"_target_": "StaticHead"}),
        seeded(0, **ablation),
        seeded(1, **ablation),
    ) == ["static + demo", "demo + egstalker/no_ppe"]


def test_groups_that_share_a_model_are_named_by_their_overrides(tmp_path):
    def run(seed, weight, *overrides):
        given = ("model=gaussiantalker", "evaluation.align_steps=5", f"seed={seed}", "tracker=none", *overrides)
        loss = {"lip": {"weight": weight}, "added": len(overrides)}
        return seeded(seed, config__chosen=chosen("gaussiantalker", overrides=given), config__loss=loss)

    assert names(
        tmp_path,
        run(0, 0.4),
        run(1, 0.4),
        run(0, 0.8, "loss.lip.weight=0.8"),
        run(1, 0.8, "loss.lip.weight=0.8"),
    ) == ["gaussiantalker", "gaussiantalker (loss.lip.weight=0.8)"]


def test_groups_of_older_runs_are_named_by_settings_and_never_alike(tmp_path):
    stage = {"purpose": "paper: long", "order": ["coarse"], "stages": 3}
    assert names(tmp_path / "a", {}, {"config__stage": stage}, LIP) == [
        "GaussianTalker (stage=quick, loss.lip.weight=0.4)",
        "GaussianTalker (stage=paper, loss.lip.weight=0.4)",
        "GaussianTalker (stage=quick, loss.lip.weight=0.8)",
    ]
    many = [{"config__loss": {f"l{i}": 1 for i in range(9)} | {"z": z}} for z in range(3)]
    found = names(tmp_path / "b", {"config__loss": {}}, *many)
    assert len(set(found)) == 4, found


def test_videos_of_other_projects_share_a_footnote_that_names_none(tmp_path):
    foreign = ({"config": {"foreign": {"name": name}}, "info": {}} for name in ("Wav2Lip", "SadTalker"))
    data = data_of(tmp_path, seeded(0), *foreign)
    for run in data.runs[1:]:
        run.name = run.model
    table = seed_table(data)
    assert [cell.note for cell in cells(table, "training (s)")] == [None, 1, 1]
    assert table.notes[:1] == ["a video of another project tells neither how it was trained nor what it costs"]
