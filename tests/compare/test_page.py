from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from talksplat.compare.data import ComparisonData
from talksplat.compare.document import HEAD, NOTES, Cell, Section, Table
from talksplat.compare.pictures.style import APART, ERROR_HIGH, jpeg
from talksplat.compare.report import render
from talksplat.compare.report.render import html_page
from talksplat.compare.report.write import definitions_section, origin_section
from talksplat.compare.tables.results import run_table, seed_table
from talksplat.compare.tables.settings import settings_section
from tests.compare.made_runs import chosen, data_of, seeded

EVIL = '<script>alert("&")</script>'
JPEG = jpeg(np.zeros((8, 8, 3), np.uint8))
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks that tags are balanced and keeps what was found."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []  # tag, what stands in it
        self.feed(path.read_text())
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1], data.strip()))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def within(self, *tags: str) -> list[str]:
        return [text for tag, text in self.texts if tag in tags]


def page_of(path: Path, data: ComparisonData, sections: list[Section], poster: bytes | None = None) -> Page:
    """The page of these sections and of the pictures beside it."""
    path.write_text(html_page(replace(data, sections=sections), path.parent, poster))
    return Page(path)


@pytest.fixture
def made(tmp_path):
    """A page of four runs in two groups, with names that are code."""
    command = {"info__command": f"train.py {EVIL}", "config__chosen": chosen("gaussiantalker", EVIL)}
    data = data_of(
        tmp_path,
        *(
            seeded(i % 2, metrics__mean__psnr=20.0 + i, config__loss={"lip": {"weight": i // 2}}, **command)
            for i in range(4)
        ),
    )
    for run in data.runs:
        run.name = EVIL + run.name
    published = Table(["row", "PSNR"], [[Cell("a|b"), Cell("21")]])
    sections = [
        Section(f"Of {EVIL}", ["said above"], HEAD),
        Section("Over seeds", [seed_table(data)]),
        Section("Runs", [run_table(data)]),
        Section(f"Published {EVIL}", ["From `train.py <b>`.", published, [f"caveat {EVIL}"]]),
        Section("Notes", [[f"note {EVIL}"]], NOTES),
    ]
    sections += [settings_section(data), definitions_section(data), origin_section(data)]
    (tmp_path / "worst_frames.jpg").write_bytes(JPEG)
    (tmp_path / "side_by_side.mp4").write_bytes(b"film" * 1000)
    path = tmp_path / "comparison.html"

    def write() -> Page:
        return page_of(path, data, sections, JPEG)

    return write


def test_everything_is_in_the_file_and_nothing_is_run(made):
    page = made()
    assert len(page.all("script")) == 1, "names are text"
    for tag, attributes in page.tags:
        for name in ("src", "href", "poster", "srcset", "action", "data"):
            value = attributes.get(name, "")
            assert "://" not in value, (tag, name)
    assert not page.all("link") and all(image["src"].startswith("data:image/") for image in page.all("img"))
    assert all(image["alt"] for image in page.all("img"))
    (video,) = page.all("video")
    assert video["src"].startswith("data:video/mp4;base64,") and video["poster"].startswith("data:image/jpeg")
    assert page.all("a") == [{"href": "side_by_side.mp4"}]
    texts = " ".join(text for _, text in page.texts)
    for words in (
        f"Of {EVIL}",
        "Worst frames",
        f"at least {APART} frames apart",
        f"brightest {ERROR_HIGH} of 255",
        f"note {EVIL}",
        f"caveat {EVIL}",
        f"train.py {EVIL}",
    ):
        assert words in texts
    assert "url(" not in "".join(page.within("style")) and "@import" not in "".join(page.within("style"))


def test_tables_texts_and_what_is_folded(made):
    page = made()
    assert page.within("h1") == [f"Of {EVIL}"]
    titles = page.within("h2")
    assert titles[:4] == ["Over seeds", "Runs", f"Published {EVIL}", "Notes"]
    assert page.within("code") == ["train.py <b>", *[f"train.py {EVIL}"] * 4]
    assert page.within("summary") == ["Settings that differ", "What the metrics mean", "Where the runs come from"]
    assert {"a|b", "loss.lip.weight"} <= set(page.within("span"))
    classes = [attributes.get("class", "") for attributes in page.all("td")]
    assert "number best" in classes and "text" in classes
    assert {"subject", "frames", "resolution"} <= set(page.within("dt")) and "4 of the split test" in page.within("dd")
    assert "2 (0, 1)" in page.within("td")


def test_a_large_video_is_linked_and_said_to_be(made, monkeypatch):
    monkeypatch.setattr(render, "MAX_VIDEO", 3999)
    page = made()
    assert page.all("video")[0]["src"] == "side_by_side.mp4"
    assert "too large to be part of this page" in " ".join(text for _, text in page.texts)


def test_second_best_values_are_marked_where_a_table_has_them(tmp_path):
    second = Cell("−19", "second")
    table = Table(
        ["run", "PSNR", "note"], [[Cell("a"), Cell("20", "best"), Cell("n/a", note=1)], [Cell("b"), second, Cell("x")]]
    )
    table.note("no value")
    sections = [Section("t", kind=HEAD), Section("Runs", [table, "A sentence.", ["one", "two"]])]
    page = page_of(tmp_path / "x.html", data_of(tmp_path, {}), sections)
    assert [cell["class"] for cell in page.all("td")] == ["number best", "text", "number second", "text"]
    assert "n/a [1]" in page.within("td") and "[1] no value" in page.within("p")
    assert page.within("li") == ["one", "two"] and "A sentence." in page.within("p")
    assert not page.all("video") and not page.all("img") and not page.all("details")


def test_two_hundred_runs_make_a_page_that_opens(tmp_path):
    changes = ({"config__loss": {"lip": {"weight": i}}} for i in range(200))
    data = data_of(tmp_path, *changes)
    sections = [Section("t", kind=HEAD), Section("Runs", [run_table(data)]), settings_section(data)]
    page = page_of(tmp_path / "x.html", data, sections)
    assert len(page.all("tr")) > 200 and (tmp_path / "x.html").stat().st_size < 2e6


def test_pages_without_videos_load_no_decoder():
    code = "import sys, talksplat.compare.report.write; print({'torch', 'av', 'cv2', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
