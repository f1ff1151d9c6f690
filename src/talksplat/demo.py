"""`make demo`: training, rendering and comparison on the embedded sample, as by the README's commands."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from pathlib import Path

from talksplat.compare.__main__ import compare
from talksplat.config import compose
from talksplat.entry_points import exits_cleanly
from talksplat.errors import Interrupted, UserError
from talksplat.metrics.table import print_metrics
from talksplat.rendering.run import render
from talksplat.training.console import log_to_console
from talksplat.training.run import train

MODELS = ("gaussiantalker", "egstalker", "static")
SPEAKER = "gaussiantalker"
SENTENCE = "Hello. I am made of three dimensional Gaussians, and I learned to speak from eleven seconds of video."


def run_demo(out: Path) -> None:
    """Train each of `MODELS` on the sample, let the first speak a new sentence, compare them all.

    Args:
        out: folder for everything. Models that are already trained in it are kept, an interrupted one is resumed; sentence and
            comparison are made again.
    """
    began = time.perf_counter()
    print("audio features: mel (the embedded sample needs no download; real clips get Whisper's where its weights are)")
    for number, model in enumerate(MODELS, 1):
        _train(model, out / model, f"{number} of {len(MODELS)}")
    talking = out / "talking.mp4"
    print(f"\nnew speech by {SPEAKER}")
    overrides = [f"checkpoint={out / SPEAKER}/last.ckpt", f"text={SENTENCE}", f"output={talking}", "overwrite=true"]
    render(compose("render", overrides))
    tables = out / "comparison"
    shutil.rmtree(tables, ignore_errors=True)
    runs = ",".join(str(out / model) for model in MODELS)
    compare(compose("compare", [f"runs={runs}", f"out={tables}"]))
    shutil.copyfile(tables / "comparison.md", out / "comparison.md")
    print(
        f"\n{time.perf_counter() - began:.0f} s. Watch {talking} ({SPEAKER}, new speech) and {tables}/side_by_side.mp4 "
        f"({', '.join(MODELS)} on held-out frames). The table is {out / 'comparison.md'}."
    )


def _train(model: str, run_dir: Path, place: str) -> None:
    if (run_dir / "metrics.json").exists():
        print(f"model {place}, {model}: trained already, {run_dir} is kept")
        return
    print(f"\nmodel {place}: {model}")
    resume = (run_dir / "config.yaml").exists()
    config = compose("train", ["experiment=demo", f"model={model}", f"resume={str(resume).lower()}"])
    print_metrics(train(config, run_dir), run_dir)


@exits_cleanly
def main() -> None:
    """`python -m talksplat.demo [out=FOLDER]`."""
    out = Path("outputs/demo")
    for argument in sys.argv[1:]:
        key, _, value = argument.partition("=")
        if key != "out" or not value:
            raise UserError(f"unknown argument {argument!r}: the demo takes out=FOLDER")
        out = Path(value)
    log_to_console()
    try:
        run_demo(out)
    except Interrupted as interruption:
        program, key = ("make demo", "DEMO") if "MAKELEVEL" in os.environ else ("python -m talksplat.demo", "out")
        again = f"{program} {shlex.quote(f'{key}={out}')}"
        raise Interrupted(f"{str(interruption).partition(';')[0]}; resume with: {again}") from interruption


if __name__ == "__main__":
    main()
