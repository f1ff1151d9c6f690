"""Renders an avatar: `python render.py checkpoint=RUN/last.ckpt audio=speech.wav camera=cycle output=talk.mp4`.

Give exactly one of `audio=FILE` (a recording of any format and length, or .npy features), `text="Hello"` and
`split=test` (the held-out frames beside the originals, with metrics). Everything else has a default:
"""

from __future__ import annotations

import logging
import sys

from rich.console import Console

from talksplat.config import CONF_DIR, compose
from talksplat.entry_points import exits_cleanly
from talksplat.rendering.job import RenderReport
from talksplat.rendering.request import overrides_of
from talksplat.rendering.run import render


@exits_cleanly
def main() -> None:
    """The command."""
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        Console(highlight=False, markup=False, soft_wrap=True).print(
            __doc__ + "\n" + (CONF_DIR / "render.yaml").read_text()
        )
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    show(render(compose("render", overrides_of(arguments))))


def show(report: RenderReport) -> None:
    """Say what was made and how fast."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"{report.output}: {report.num_frames} frames, {report.seconds:.2f} s")
    if report.picture is not None:
        console.print(f"{report.picture}: a few frames of the maps")
    if report.render_fps is not None:
        console.print(
            f"model and rasteriser {report.render_fps:.1f} frames/s, with reading and encoding "
            f"{report.total_fps:.1f} frames/s (the first batch left out)"
        )
    if report.metrics is not None:
        for name, value in report.metrics["mean"].items():
            reason = report.metrics["reasons"].get(name, "")
            console.print(f"  {name}: {f'not measured: {reason}' if value is None else f'{value:.4f}'}")


if __name__ == "__main__":
    main()
