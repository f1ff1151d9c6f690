"""`make demo`: the whole way on the embedded sample, as the README's commands do it one by one."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from talksplat.compare.__main__ import compare
from talksplat.compare.__main__ import overrides_of as compare_overrides
from talksplat.config import compose
from talksplat.errors import UserError, exits_cleanly
from talksplat.metrics.table import print_metrics
from talksplat.rendering.request import overrides_of
from talksplat.rendering.run import render
from talksplat.training.console import log_to_console
from talksplat.training.run import train

SENTENCE = "Hello. I am made of three dimensional Gaussians, and I learned to speak from eleven seconds of video."


def run_demo(out: Path) -> None:
    """Train on the sample, render a new sentence, write the comparison table.

    Args:
        out: folder for everything; a finished demo in it is kept and only rendered anew.
    """
    run_dir = out / "gaussiantalker"
    began = time.perf_counter()
    if not (run_dir / "metrics.json").exists():
        resume = (run_dir / "config.yaml").exists()
        config = compose("train", ["experiment=demo", f"resume={str(resume).lower()}"])
        print_metrics(train(config, run_dir), run_dir)
    talking = out / "talking.mp4"
    wishes = [f"checkpoint={run_dir}/last.ckpt", f"text={SENTENCE}", f"output={talking}", "overwrite=true"]
    render(compose("render", overrides_of(wishes)))
    tables = out / "comparison"
    shutil.rmtree(tables, ignore_errors=True)
    compare(compose("compare", compare_overrides([f"runs={run_dir}", f"out={tables}", "video=false"])))
    shutil.copyfile(tables / "comparison.md", out / "comparison.md")
    print(f"\n{time.perf_counter() - began:.0f} s. Watch {talking}; the table is {out / 'comparison.md'}.")


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
    run_demo(out)


if __name__ == "__main__":
    main()
