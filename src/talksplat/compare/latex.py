"""Tables for a paper."""

from __future__ import annotations

import re
from collections.abc import Sequence

from talksplat.compare.columns import NONE
from talksplat.compare.sections import Section
from talksplat.compare.table import Cell, ComparisonTable

HEAD = r"% \usepackage{booktabs,graphicx}  \input{table.tex}" + "\n"
ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # after \\ a bracket would be a length
    "]": "{]}",
    "±": r"$\pm$",
    "−": r"$-$",
    "×": r"$\times$",
    "–": "--",
    "—": "---",
    "³": r"$^3$",
    "²": r"$^2$",
    "…": r"\dots{}",
}
SPECIAL = re.compile("|".join(re.escape(character) for character in ESCAPES))


def latex_tables(sections: Sequence[Section]) -> str:
    """A `table` environment for each table of the sections; its caption is the section's title and what stands above the
    table."""
    tables = []
    for section in sections:
        number, above = 0, [section.title]
        for part in section.parts:
            if isinstance(part, ComparisonTable):
                tables.append(latex_table(part, ". ".join(above), _label(section.title, number)))
                number, above = number + 1, [section.title]
            elif isinstance(part, str):
                above.append(part)
    return HEAD + "\n" + "\n".join(tables)


def latex_table(table: ComparisonTable, caption: str, label: str) -> str:
    """One environment: booktabs rules, as wide as the text, best values bold, second best underlined, footnotes below. Columns
    without any value are left out."""
    kept = [place for place in range(len(table.titles)) if any(row[place].text != NONE for row in table.rows)]
    rows = [[row[place] for place in kept] for row in table.rows]
    titles = [escape(table.titles[place]) for place in kept]
    used = sorted({cell.note for row in rows for cell in row if cell.note is not None})
    numbers = {note: number for number, note in enumerate(used, 1)}
    lines = [
        r"\begin{table*}[t]",
        r"  \centering",
        rf"  \caption{{{escape(caption)}}}",
        rf"  \label{{tab:{label}}}",
        r"  \resizebox{\textwidth}{!}{%",
        rf"  \begin{{tabular}}{{l{'r' * (len(kept) - 1)}}}",
        r"    \toprule",
        f"    {' & '.join(titles)} \\\\",
        r"    \midrule",
        *(f"    {' & '.join(_cell(cell, numbers) for cell in row)} \\\\" for row in rows),
        r"    \bottomrule",
        r"  \end{tabular}}",
    ]
    notes = [f"$^{{{numbers[note]}}}$ {escape(table.notes[note - 1])}" for note in used]
    notes += [escape(remark) for remark in table.remarks]
    if notes:
        lines.append("  \\par\\smallskip\n  \\parbox{\\textwidth}{\\footnotesize " + " \\\\\n  ".join(notes) + "}")
    return "\n".join([*lines, r"\end{table*}", ""])


def escape(text: str) -> str:
    """Plain text for LaTeX."""
    return SPECIAL.sub(lambda found: ESCAPES[found[0]], text)


def _cell(cell: Cell, numbers: dict[int, int]) -> str:
    text = escape(cell.text)
    command = {"best": "textbf", "second": "underline"}.get(cell.mark)
    text = rf"\{command}{{{text}}}" if command else text
    return text if cell.note is None else f"{text}$^{{{numbers[cell.note]}}}$"


def _label(title: str, number: int) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return f"{name}-{number}" if number else name
