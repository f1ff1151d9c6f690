"""Golden results: losses of fifty steps of each model, and small avatars with their frames.

    python -m tests.golden.record losses    # with the machine that gave them
    python -m tests.golden.record avatars   # what people may have on their disks: new ones beside the old, never over them

A change that moves code must leave the losses alone. One that changes numbers on purpose records them anew, in a commit of its
own that says which change and why.
"""

from __future__ import annotations

import csv
import hashlib
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numba
import numpy as np
import torch
from omegaconf import OmegaConf

from talksplat.checkpoint import build_model, checkpoint_config, read_checkpoint
from talksplat.data.open import open_subject
from talksplat.metrics.picture import save_picture
from talksplat.rasterizer.auto import AutoRasterizer
from talksplat.rendering.renderer import AvatarRenderer
from tests.helpers.runs import small_overrides, weights
from tests.helpers.tiny_subject import write_tiny_subject

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("losses.json")
AVATARS = Path(__file__).with_name("avatars")  # VERSION_MODEL.ckpt, and .png with the frames that it must render
FRAMES = (0, 7, 14, 21)
MODELS = ("gaussiantalker", "egstalker", "static")
COARSE, FINE = 26, 24  # steps
OVERRIDES = [
    f"stage.stages.coarse.steps={COARSE}",
    f"stage.stages.fine.steps={FINE}",
    "trainer.log_every=1",
    "trainer.threads=1",
    "trainer.preview_every=1000",
    "evaluation.train_frames=1",
]
SMALL_AVATAR = [
    "model.cross_attention.width=8",
    "model.cross_attention.ffn_width=16",
    "model.tokens.audio.encoder.channels=8",
    "model.tokens.audio.encoder.out_features=8",
    "model.triplane.channels=4",
    "model.canonical.in_features=8",
    "model.canonical.hidden=16",
    "model.deformation.hidden=16",
    "model.motion.hidden=8",
    "model.gaussians.num_points=120",
    "stage.stages.coarse.density.grad_threshold=1",
]


def machine() -> dict[str, str]:
    """What decides how floating-point numbers are rounded here."""
    return {
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "numba": numba.__version__,
    }


def processor() -> str:
    """Name, generation and instruction sets: virtual machines give processors of several generations one name."""
    cpus = Path("/proc/cpuinfo")
    if not cpus.is_file():
        return platform.processor()
    lines = (line.partition(":") for line in cpus.read_text().partition("\n\n")[0].splitlines())
    facts = {key.strip(): value.strip() for key, _, value in lines}
    flags = hashlib.sha256(" ".join(sorted(facts.get("flags", "").split())).encode()).hexdigest()[:12]
    known = [facts.get(key, "?") for key in ("model name", "cpu family", "model", "stepping")]
    return f"{' '.join(known)} {flags}"


def train(model: str, subject: Path, run_dir: Path, *extra: str) -> None:
    """A run through both stages, in a process of its own."""
    arguments = small_overrides(subject, f"model={model}", *OVERRIDES, *extra, f"hydra.run.dir={run_dir}")
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if finished.returncode:
        raise RuntimeError(f"{model}: {finished.stdout[-2000:]}{finished.stderr[-2000:]}")


def result(run_dir: Path) -> dict[str, object]:
    """Losses of all steps, and a digest of the trained weights."""
    with (run_dir / "metrics.csv").open() as file:
        losses = [float(row["value"]) for row in csv.DictReader(file) if row["name"] in ("coarse/loss", "fine/loss")]
    tensors = [value.contiguous() for value in weights(read_checkpoint(run_dir)).values()]
    parts = sorted(f"{tuple(value.shape)} {hashlib.sha256(value.numpy().tobytes()).hexdigest()}" for value in tensors)
    digest = hashlib.sha256("\n".join(parts).encode())  # of values without names, which may change
    return {"losses": losses, "weights": digest.hexdigest()}


def record_losses(scratch: Path, subject: Path) -> None:
    """Write `FILE`."""
    models = {}
    for model in MODELS:
        train(model, subject, scratch / model)
        models[model] = result(scratch / model)
    FILE.write_text(json.dumps({"machine": machine(), "models": models}, indent=1) + "\n")


def frames(checkpoint: Path, subject: Path) -> np.ndarray:
    """What an avatar shows at `FRAMES` of a subject, side by side, uint8 [H, frames * W, 3]."""
    content = read_checkpoint(checkpoint)
    data = open_subject(OmegaConf.merge(checkpoint_config(content), {"dataset": {"loader": {"root": str(subject)}}}))
    model, entry = build_model(content), content["talksplat"]
    model.freeze_for_inference()
    size = (data.subject.width, data.subject.height)
    renderer = AvatarRenderer(model, AutoRasterizer(), entry["mode"], entry["active_sh_degree"], *size)
    batch = data.store.batch(torch.tensor(FRAMES), "cpu")
    images = renderer.render(batch.conditions, batch.background_u8)[0]
    return (images.clamp(0, 1) * 255).round().byte().permute(1, 0, 2, 3).flatten(1, 2).numpy()


def record_avatars(scratch: Path, subject: Path) -> None:
    """Write checkpoints without their optimisers, and frames, into `AVATARS`."""
    AVATARS.mkdir(exist_ok=True)
    for model in ("gaussiantalker", "egstalker"):
        train(model, subject, scratch / model, *SMALL_AVATAR)
        content = read_checkpoint(scratch / model)
        path = AVATARS / f"{content['talksplat']['version']}_{model}.ckpt"
        if path.exists():
            sys.exit(f"{path} exists: give talksplat.__version__ a new number")
        kept = ("state_dict", "talksplat", "pytorch-lightning_version", "epoch", "global_step")
        torch.save({name: content[name] for name in kept}, path)
        save_picture(path.with_suffix(".png"), frames(path, subject))


def main() -> None:
    recorders = {"losses": record_losses, "avatars": record_avatars}
    wanted = sys.argv[1:]
    if not wanted or set(wanted) - recorders.keys():
        sys.exit(__doc__)
    for name in wanted:
        with tempfile.TemporaryDirectory() as scratch:
            recorders[name](Path(scratch), write_tiny_subject(Path(scratch) / "subject"))


if __name__ == "__main__":
    main()
