"""What a sweep says while it runs, and how long it thinks it will take."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from talksplat.sweep.monitor import Monitor, duration, seconds_left
from talksplat.sweep.state import DONE, FAILED, RUNNING, SUPERVISOR_LOCK, WAITING, JobState, holding, write_state
from tests.helpers.waiting import wait_until
from tests.sweep.fakes import make_folder


def test_plain_lines_name_a_failure_at_once(tmp_path: Path) -> None:
    folder, spec = make_folder(tmp_path / "sweep", "good", "bad")
    text = io.StringIO()
    with Monitor(folder, spec.jobs, 1, Console(file=text, soft_wrap=True)):
        write_state(folder.job_dir("bad"), JobState(state=FAILED, attempts=1, seconds=3.0, error="no [such] file"))
        wait_until(lambda: "bad: failed" in text.getvalue(), "a line about the failure")
        assert "bad: failed after 3 s: no [such] file (log: " in text.getvalue()
    assert "bad,failed" in (folder.path / "status.csv").read_text()
    assert text.getvalue().count("bad: failed") == 1


def test_the_table_shows_how_far_jobs_are(tmp_path: Path) -> None:
    folder, spec = make_folder(tmp_path / "sweep", *(f"{n:02d}_job" for n in range(40)))
    with holding(folder.job_dir("03_job"), SUPERVISOR_LOCK):
        write_state(folder.job_dir("03_job"), JobState(state=RUNNING, attempts=1))
        facts = {"stage": "fine", "step": 70, "steps": 200, "psnr": 24.56, "seconds_left": 187.0, "fraction": 0.5}
        (folder.job_dir("03_job") / "progress.json").write_text(json.dumps(facts))
        text = io.StringIO()
        monitor = Monitor(folder, spec.jobs, 2, Console(file=text, force_terminal=True, width=120, height=50))
        with monitor:
            monitor._look()
        shown = text.getvalue()
    for part in ("03_job", "70/200", "24.6", "3:07 min", "and 16 more", "1 running, 39 waiting of 40 jobs"):
        assert part in shown, part


def test_time_left() -> None:
    done, running, waiting = JobState(DONE, seconds=100.0), JobState(RUNNING), JobState(WAITING)
    half = {"seconds_left": 40.0, "fraction": 0.5}
    assert seconds_left([waiting, waiting], [], 1) is None
    assert seconds_left([done, waiting, waiting], [], 1) == pytest.approx(200)
    assert seconds_left([done, running, waiting, waiting], [half], 1) == pytest.approx(240)
    assert seconds_left([done, running, waiting, waiting], [half], 2) == pytest.approx(120)
    assert seconds_left([running, waiting], [half], 1) == pytest.approx(40 + 80), "as long as the running one foresees"
    assert seconds_left([running, running], [half], 1) == pytest.approx(40 + 80), "one has not said anything yet"
    assert [duration(s) for s in (42.4, 187, 18720)] == ["42 s", "3:07 min", "5:12 h"]
