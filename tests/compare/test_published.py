from __future__ import annotations

import csv
import io

import pytest
import yaml

from talksplat.compare.external.published import (
    KNOWN,
    fitting_tables,
    published_csv,
    published_section,
    read_published,
)
from talksplat.config import CONF_DIR
from talksplat.errors import UserError
from tests.compare.made_runs import chosen, data_of, markdown_page, seeded


def section(table, tmp_path, *changes):
    """Rows of the Markdown table by their first cell, and the text."""
    text = markdown_page(published_section(read_published(table), data_of(tmp_path, *changes)))
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    titles, rows = lines[0], [line for line in lines[2:]]
    return [dict(zip(titles, row, strict=True)) for row in rows], text


def variant(name, *experiments, seed=0, **changes):
    """A run whose settings are its own."""
    made = {"config__chosen": chosen(name, *experiments), "config__model": {"of": [name, *experiments]}}
    return seeded(seed, **made, **changes)


@pytest.mark.parametrize("name", KNOWN)
def test_every_table_is_whole(name, tmp_path):
    table = read_published(name)
    keys = data_of(tmp_path, {}).columns.keys() | {"training_hours"}
    assert table.title and table.source and table.caveats
    assert {column["measured"] for column in table.columns if "measured" in column} <= keys
    for row in table.rows:
        assert len(row["values"]) == len(table.columns), row
        assert all(value == "" or float(value) >= 0 for value in row["values"])
    names = [row["name"] for row in table.rows]
    assert len(set(names)) == len(names)
    marks = [mark for row in table.rows for mark in [row.get("model"), *row.get("experiment", [])] if mark]
    assert len(set(marks)) == len(marks) and (marks or "foreign=NAME:VIDEO" in " ".join(table.caveats))
    known = {path.stem for path in (CONF_DIR / "model").glob("*.yaml")} | {
        f"{path.parent.name}/{path.name.removesuffix('.yaml')}" for path in (CONF_DIR / "experiment").glob("*/*.yaml")
    }
    assert {name for mark in marks for name in mark.split(" + ")} <= known


def test_rows_stand_beside_their_runs(tmp_path):
    rows, text = section(
        "egstalker_t3",
        tmp_path,
        variant("egstalker", "egstalker/no_ppe", metrics__mean__psnr_composite=30.0),
        variant("egstalker", "egstalker/no_ppe", seed=1, metrics__mean__psnr_composite=32.0),
        variant("egstalker", "demo", metrics__mean__psnr_composite=33.0),
        variant("static"),
    )
    by_name = {row["published as"]: row for row in rows}
    assert len(rows) == 5
    ablated, full = by_name["without PPE (KAN, ESAA)"], by_name["full"]
    assert ablated["PSNR, published"] == "36.104" and ablated["composite PSNR, measured"] == "31.00 ± 1.41"
    assert ablated["measured runs (seeds)"] == "egstalker/no_ppe: 2 (0, 1)" and ablated["LSE-C, published"] == "6.851"
    assert full["composite PSNR, measured"] == "33.00" and full["LPIPS, published"] == ".0223"
    empty = by_name["without ESAA, PPE (KAN only)"]
    assert empty["PSNR, published"] == "36.415" and empty["composite PSNR, measured"] == ""
    assert empty["measured runs (seeds)"] == ""
    assert "secondary transcription" in text and "subject someone, 4 frames of 64x64" in text
    assert "no row of this table: static" in text


def test_a_variant_is_not_the_full_model(tmp_path):
    rows, text = section(
        "egstalker_t1",
        tmp_path,
        variant("egstalker", "egstalker/no_ppe"),
        variant("gaussiantalker", "gaussiantalker/paper", info__timings={"fine": 1800.0}),
        {},  # an older run does not say what it is
    )
    by_name = {row["published as"]: row for row in rows}
    assert by_name["EGSTalker"]["measured runs (seeds)"] == ""
    assert by_name["GaussianTalker"]["training (h), measured"] == "0.50"
    assert "no row of this table: egstalker/no_ppe, GaussianTalker" in text


def test_a_row_of_one_model_is_not_another_models(tmp_path):
    rows, text = section("egstalker_t3", tmp_path, variant("gaussiantalker", "egstalker/no_ppe"))
    assert not any(row["measured runs (seeds)"] for row in rows) and "no row of this table: gaussiantalker" in text


def test_a_row_is_repeated_for_each_group(tmp_path):
    rows, _ = section(
        "egstalker_t1",
        tmp_path,
        variant("egstalker"),
        variant("egstalker", config__loss={"lip": {"weight": 1}}),
    )
    assert [row["published as"] for row in rows].count("EGSTalker") == 2


def test_an_unknown_table_is_named_with_the_known_ones():
    with pytest.raises(UserError, match="published=egstalker: .*egstalker_t1, .*gaussiantalker_self_driven"):
        read_published("egstalker")


def sweep_of(path):
    """Runs of a sweep file: one job for each choice of its experiments or models."""
    params = yaml.safe_load((CONF_DIR / "sweep" / f"{path}.yaml").read_text())["hydra"]["sweeper"]["params"]
    if "model" in params:
        return [variant(name) for name in params["model"].split(",")]
    names = params["experiment@_global_"].split(",")
    return [variant(name.split("/")[0], name) for name in names]


@pytest.mark.parametrize(
    "sweep, table, rows",
    [
        ("egstalker/components", "egstalker_t3", 5),
        ("egstalker/agents", "egstalker_t4", 3),
        ("egstalker/claims", "egstalker_t1", 1),
        ("models", "egstalker_t1", 2),
        ("gaussiantalker/layers", "gaussiantalker_self_driven", 2),
        ("gaussiantalker/conditions", "gaussiantalker_self_driven", 1),
        ("gaussiantalker/triplane", None, 0),
    ],
)
def test_auto_finds_the_paper_s_table_of_each_sweep(tmp_path, sweep, table, rows):
    groups = data_of(tmp_path, *sweep_of(sweep)).groups
    chosen_tables, others = fitting_tables(groups)
    assert [found.name for found in chosen_tables] == ([table] if table else [])
    assert sum(chosen_tables[0].row_of(group) is not None for group in groups) == rows if table else not others
    assert table not in others


def test_a_foreign_video_stands_in_the_rows_of_its_name(tmp_path):
    foreign = {"config": {"foreign": {"name": "wav2lip"}}, "metrics__mean__psnr": 31.0}
    rows, _ = section("pdgs", tmp_path, variant("gaussiantalker"), foreign)
    by_name = {row["published as"]: row for row in rows}
    assert (
        by_name["Wav2Lip"]["PSNR, measured"] == "31.00" and by_name["Wav2Lip"]["measured runs (seeds)"] == "wav2lip: -"
    )
    groups = data_of(tmp_path / "auto", variant("gaussiantalker"), foreign).groups
    assert [table.name for table in fitting_tables(groups)[0]] == ["gaussiantalker_self_driven"]


def test_csv_has_a_line_for_each_published_number(tmp_path):
    changes = (variant("egstalker", seed=s, metrics__mean__psnr_composite=30.0 + s) for s in (0, 2))
    data = data_of(tmp_path, *changes)
    table = read_published("egstalker_t3")
    rows = list(csv.DictReader(io.StringIO(published_csv([table], data))))
    assert len(rows) == len(table.rows) * len(table.columns)
    full = next(row for row in rows if row["row"] == "full" and row["column"] == "PSNR")
    assert (full["published"], full["group"], full["measured"]) == ("36.070", "egstalker", "psnr_composite")
    assert float(full["measured_mean"]) == 31 and float(full["measured_std"]) == pytest.approx(2**0.5)
    sync = next(row for row in rows if row["row"] == "full" and row["column"] == "LSE-C")
    assert sync["published"] == "6.966" and sync["measured"] == sync["measured_mean"] == ""
