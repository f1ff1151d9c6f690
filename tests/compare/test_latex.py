from __future__ import annotations

import re

from talksplat.compare.document import Cell, Section, Table
from talksplat.compare.report.render import escape, latex_tables
from talksplat.compare.tables.results import run_table
from tests.compare.made_runs import data_of


def check_structure(text):
    """What LaTeX would stumble over: braces and environments that do not close, rows of another length than the columns."""
    bare = re.sub(r"\\[{}&%$#_\\]", "", re.sub(r"(?<!\\)%.*", "", text))
    depth = 0
    for character in bare:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    opened = []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", text):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened
    assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0
    for columns, body in re.findall(r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        rows = [line for line in body.splitlines() if line.rstrip().endswith(r"\\")]
        assert rows
        for row in rows:
            assert len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1, row
    assert "#" not in re.sub(r"\\#", "", text) and "_" not in re.sub(r"\\_", "", text)


def test_special_characters():
    assert escape("a_b & 5 % of #1 {x} $ ~ ^ \\") == (
        r"a\_b \& 5 \% of \#1 \{x\} \$ \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )
    assert escape("36.70 ± 0.05 [−1]") == r"36.70 $\pm$ 0.05 {[}$-$1{]}"


def test_a_table_of_runs(tmp_path):
    awkward = {
        "metrics__mean__psnr": 22.0,
        "info__host": "gpu_01 & co",
        "metrics__reasons": {"ssim": "50 % {broken} #1"},
    }
    data = data_of(tmp_path, {}, {**awkward, "metrics__mean__ssim": None}, {"metrics__mean__psnr": 21.0})
    text = latex_tables([Section("Runs of r_0", [run_table(data)])])
    check_structure(text)
    assert r"\textbf{22.00}" in text and r"\underline{21.00}" in text and r"\caption{Runs of r\_0}" in text
    assert r"gpu\_01 \& co" in text and r"$^{1}$ SSIM: 50 \% \{broken\} \#1" in text and "n/a$^{1}$" in text
    assert "mouth correlation" not in text, "a column without values has no place in a paper"


def test_what_stands_above_a_table_is_in_its_caption():
    table = Table(["row", "PSNR"], [[Cell("GaussianTalker*"), Cell("36.0 ± 0.1", "best")]], remarks=["a_b"])
    text = latex_tables([Section("T1", ["Published, not measured here: EGSTalker.", table, ["left out"], table])])
    check_structure(text)
    assert r"\caption{T1. Published, not measured here: EGSTalker.}" in text and r"\textbf{36.0 $\pm$ 0.1}" in text
    assert r"\label{tab:t1}" in text and r"\label{tab:t1-1}" in text
    assert text.count(r"\toprule") == 2
