from __future__ import annotations

import pytest

from talksplat.compare.columns import columns_of
from talksplat.compare.groups import seed_groups
from talksplat.compare.published_rows import FOLDER, published_markdown, read_published
from talksplat.errors import UserError
from tests.compare.made_runs import chosen, runs_of, seeded

NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def section(table, tmp_path, *changes):
    """Rows of the Markdown table by their first cell, and the text."""
    text = published_markdown(read_published(table), seed_groups(runs_of(tmp_path, *changes)))
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    titles, rows = lines[0], [line for line in lines[2:]]
    return [dict(zip(titles, row, strict=True)) for row in rows], text


def variant(name, *experiments, seed=0, **changes):
    """A run whose settings are its own."""
    return seeded(
        seed, config__chosen=chosen(name, *experiments), config__model={"of": [name, *experiments]}, **changes
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_table_is_whole(name, tmp_path):
    table = read_published(name)
    keys = {column.key for column in columns_of(runs_of(tmp_path, {}))} | {"training_hours"}
    assert table.title and table.source and table.caveats
    assert {column["measured"] for column in table.columns if "measured" in column} <= keys
    for row in table.rows:
        assert len(row["values"]) == len(table.columns), row
        assert all(value == "" or float(value) >= 0 for value in row["values"])
    marks = [(row.get("model"), row.get("experiment")) for row in table.rows if {"model", "experiment"} & set(row)]
    assert marks and len(set(marks)) == len(marks)


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
