"""Provenance of a result: command, code, machine, versions, times."""

from __future__ import annotations

import json
import os
import platform
import shlex
import socket
import subprocess
import sys
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from talksplat import __version__
from talksplat.files import now, write_json

PACKAGES = ("torch", "pytorch-lightning", "gsplat", "numba", "torchmetrics", "lpips", "mediapipe", "hydra-core", "av")
PROJECT = Path(__file__).resolve().parents[3]


def git_state() -> dict[str, Any]:
    """Commit of the code and whether it was changed since; None where there is no repository."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(PROJECT), *arguments], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    status = git("status", "--porcelain", "--untracked-files=no")
    commit = git("rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(status) if status is not None and commit else None}


def describe_machine(devices: int = 1) -> dict[str, Any]:
    """Host, processor, GPU (e.g. "2x NVIDIA H200" where a run has several) and package versions."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return {
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpu_count": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "gpu": _gpu_names(devices) if torch.cuda.is_available() else None,
        "versions": versions,
    }


def _gpu_names(devices: int) -> str:
    names = Counter(
        [
            torch.cuda.get_device_name(None if devices == 1 else index)
            for index in range(min(devices, torch.cuda.device_count()))
        ]
    )
    return ", ".join(name if count == 1 else f"{count}x {name}" for name, count in names.items())


class RunInfo:
    """`run_info.json` of a run folder, rewritten during the run.

    Args:
        run_dir: the run folder; an existing file is continued (its earlier commands are kept).
        devices: that train together.
    """

    def __init__(self, run_dir: Path, seed: int, devices: int = 1) -> None:
        self.path = run_dir / "run_info.json"
        before = json.loads(self.path.read_text()) if self.path.exists() else {}
        self.data: dict[str, Any] = {
            "talksplat": __version__,
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "earlier_commands": [*before.get("earlier_commands", []), *([before["command"]] if before else [])],
            "started": before.get("started", now()),
            "seed": seed,
            "git": git_state(),
            "devices": devices,
            **describe_machine(devices),
            "timings": before.get("timings", {}),
        }
        self.write()

    def update(self, **values: Any) -> None:
        """Add entries and write the file."""
        self.data |= values
        self.write()

    def write(self) -> None:
        """Write the file atomically."""
        write_json(self.path, self.data)
