"""Names in somebody else's runs are text, wherever they are shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from talksplat.compare.__main__ import compare
from talksplat.compare.document import Cell, Section, Table
from talksplat.compare.report.render import render
from talksplat.config import compose
from talksplat.errors import UserError
from tests.compare.made_runs import make_run

ESCAPE = "\x1b]0;title\x07\x1b[31m\u202e"
EVIL = "<img src=x onerror=alert(1)> [a](javascript:alert(1)) $\\frac$ | \\input{x} {{ 7*7 }} [/bold]"


def test_names_are_text_in_every_form(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    changes = {
        "metrics__subject": f"s{ESCAPE}{EVIL}",
        "metrics__definitions": {"psnr": f"d{ESCAPE}{EVIL}"},
        "metrics__mean": {"psnr": 20.0},
        "metrics__reasons": {"lmd": f"r{ESCAPE}{EVIL}"},
        "info__command": f"train.py{ESCAPE} {EVIL}",
        "config__model": {"_target_": f"a.b{ESCAPE}{EVIL}"},
        "config__stage": {"purpose": f"q{ESCAPE}{EVIL}: x"},
    }
    for name, seed in (("a", 0), (f"b{ESCAPE} $\\frac$ [a](b) <b>", 1)):
        make_run(
            tmp_path / "runs" / name, **changes, info__seed=seed, config__loss={"lip": {"weight": seed, EVIL: ESCAPE}}
        )
    out = tmp_path / "out"
    compare(compose("compare", [f"runs={tmp_path / 'runs'}", f"out={out}", "video=false"]))
    shown = capsys.readouterr()
    texts = {path.name: path.read_text() for path in out.iterdir() if path.suffix in (".md", ".html", ".tex")}
    texts |= {"out": shown.out, "err": shown.err}
    for name, text in texts.items():
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text.replace("\r\n", "\n")), name
    outside_code = re.sub(r"`[^`\n]*`", "", texts["comparison.md"])
    assert "<img" not in outside_code and "](" not in outside_code and "&lt;img" in outside_code
    assert "<img src=x" not in texts["comparison.html"] and "&lt;img" in texts["comparison.html"]
    assert "\\input{x}" not in texts["table.tex"] and "49" not in re.findall(r"\{\{ .*? \}\}", texts["comparison.html"])


def test_markdown_cells_stay_in_their_row() -> None:
    table = Table(["a\nb", "c|d"], [[Cell("x\ny|z <u>"), Cell("`a|b`")]])
    text = render("comparison.md.j2", sections=[Section("t\n# u", [table])])
    assert text.splitlines()[2:5] == ["| a b | c\\|d |", "|---|---|", "| x y\\|z &lt;u> | `a\\|b` |"]
    assert text.startswith("# t # u\n")


def test_errors_are_one_plain_text() -> None:
    assert str(UserError(f"no such file: {ESCAPE}x")) == "no such file: \ufffd]0;title\ufffd\ufffd[31m\ufffdx"


def test_a_configuration_that_is_part_of_itself(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    (run / "config.yaml").write_text("x: &a\n  b: *a\n")
    with pytest.raises(UserError, match="cut off or damaged"):
        compare(compose("compare", [f"runs={run}", f"out={tmp_path / 'out'}"]))
