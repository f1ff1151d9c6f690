"""`python -m talksplat.doctor`: one line per part, found or not, and how to fix it."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from talksplat.entry_points import exits_cleanly
from talksplat.errors import UserError
from talksplat.system_errors import missing_library


@dataclass
class Finding:
    """State of one part: "ok", "missing" (an optional part is absent) or "broken"."""

    part: str
    state: str
    detail: str
    remedy: str = ""


def check_torch() -> Finding:
    import torch
    import torchvision

    detail = f"torch {torch.__version__}, torchvision {torchvision.__version__}, {torch.get_num_threads()} threads"
    return Finding("torch", "ok", detail)


def check_gpu() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding(
            "gpu", "missing", "torch sees no CUDA GPU; everything runs on the CPU, smaller", "install an NVIDIA driver"
        )
    properties = torch.cuda.get_device_properties(0)
    return Finding("gpu", "ok", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB")


def check_rasterizer() -> Finding:
    import torch

    from talksplat.rasterizer.auto import AutoRasterizer
    from talksplat.types import Gaussians

    device = "cuda" if torch.cuda.is_available() else "cpu"
    one = Gaussians(
        torch.tensor([[[0.0, 0.0, 5.0]]]),
        torch.tensor([[[1.0, 0.0, 0.0, 0.0]]]),
        torch.full((1, 1, 3), 0.5),
        torch.tensor([[0.9]]),
        torch.ones(1, 1, 3),
    ).to(device)
    K = torch.tensor([[[20.0, 0, 8], [0, 20, 8], [0, 0, 1]]], device=device)
    image = AutoRasterizer()(one, torch.eye(4, device=device)[None], K, 16, 16).image
    if not float(image.max()) > 0.5:
        return Finding(
            "rasteriser", "broken", f"a test splat on {device} came out black", "report this with the versions above"
        )
    return Finding(
        "rasteriser",
        "ok",
        f"{'gsplat ' + version('gsplat') if device == 'cuda' else 'numba ' + version('numba')} on {device}",
    )


def check_video() -> Finding:
    import av

    codecs = av.codecs_available
    if not {"libx264", "aac"} <= set(codecs):
        return Finding(
            "video", "broken", f"PyAV {av.__version__} lacks libx264 or aac", "pip install --force-reinstall av"
        )
    return Finding("video", "ok", f"PyAV {av.__version__} with H.264 and AAC")


def check_images() -> Finding:
    from talksplat.media.opencv import check_opencv

    return Finding("images", "ok", f"OpenCV {check_opencv()} with its guided filter")


def check_audio() -> Finding:
    import numpy as np

    from talksplat.audio import MelFeatures

    shape = MelFeatures()(np.zeros(16000, np.float32)).shape
    return Finding("audio", "ok", f"librosa {version('librosa')}, one second gives {shape}")


def check_speech_models() -> Finding:
    remedy = 'pip install "talksplat[speech]"'
    if importlib.util.find_spec("transformers") is None:
        return Finding("speech models", "missing", "no transformers (for wav2vec2, hubert and wavlm features)", remedy)
    from talksplat.audio.speech_checkpoint import transformers

    return Finding("speech models", "ok", f"transformers {transformers().__version__} reads wav2vec2, hubert and wavlm")


def check_whisper() -> Finding:
    from talksplat.audio.whisper_checkpoint import GET, find_whisper

    try:
        folder = find_whisper("openai/whisper-tiny.en", _assets(), download=False)
    except UserError:
        return Finding("whisper", "missing", "no weights of Whisper tiny.en (best features for lips): mel is used", GET)
    return Finding("whisper", "ok", f"tiny.en in {folder}")


def check_speech() -> Finding:
    from talksplat.audio.speech import SPEECH_RATE, speak

    return Finding("speech", "ok", f"espeak-ng says 'one' in {len(speak('one')) / SPEECH_RATE:.2f} s")


def check_face_model() -> Finding:
    from talksplat.media.assets import find_face_landmarker
    from talksplat.media.face_landmarker import FaceLandmarker, check_mediapipe

    try:
        check_mediapipe()
    except UserError as error:
        return Finding("face model", "missing", f"no MediaPipe (needed by preprocess and LMD): {error}", "see there")
    path = find_face_landmarker(_assets())
    remedy = (
        "it is downloaded on first use; without a network put face_landmarker.task into the folder TALKSPLAT_ASSETS"
    )
    if path is None:
        return Finding("face model", "missing", "no face_landmarker.task (needed by preprocess and LMD)", remedy)
    with FaceLandmarker(path, video=False):
        pass
    return Finding("face model", "ok", f"MediaPipe {version('mediapipe')}, {path}")


def check_backbone(name: str, net: str, purpose: str) -> Finding:
    from talksplat.losses.pretrained import BACKBONES, find_weights

    try:
        return Finding(name, "ok", str(find_weights(net, _assets(), off="", download=False)))
    except UserError:
        file = BACKBONES[net].file
        remedy = f"downloaded on first use; without a network put {file} into the folder TALKSPLAT_ASSETS"
        return Finding(name, "missing", f"no {file} (needed by {purpose})", remedy)


def check_tracker() -> Finding:
    found = ["csv"] + [name for name in ("wandb", "tensorboard") if importlib.util.find_spec(name)]
    return Finding("tracker", "ok", ", ".join(found))


def check_wandb_login() -> Finding:
    from talksplat.trackers.wandb_server import LOGIN, is_logged_in, require_wandb, server

    require_wandb("tracker=wandb")
    if is_logged_in():
        return Finding("wandb login", "ok", f"there is a key for {server()} (whether it is valid was not asked)")
    remedy = f"{LOGIN}; or train with tracker.offline=true"
    return Finding("wandb login", "missing", f"no key for {server()} (needed by tracker=wandb)", remedy)


CHECKS: dict[str, Callable[[], Finding]] = {
    "torch": check_torch,
    "gpu": check_gpu,
    "rasteriser": check_rasterizer,
    "video": check_video,
    "images": check_images,
    "audio": check_audio,
    "speech models": check_speech_models,
    "whisper": check_whisper,
    "speech": check_speech,
    "face model": check_face_model,
    "LPIPS (AlexNet)": lambda: check_backbone("LPIPS (AlexNet)", "alex", "the LPIPS metric"),
    "VGG16": lambda: check_backbone("VGG16", "vgg", "loss=perceptual and loss=paper"),
    "tracker": check_tracker,
    "wandb login": check_wandb_login,
}


def examine() -> list[Finding]:
    """Try every part; a part that raises is broken and says how."""
    findings = []
    for part, check in CHECKS.items():
        try:
            findings.append(check())
        except UserError as error:
            findings.append(Finding(part, "broken", str(error)))
        except ImportError as error:
            findings.append(
                Finding(part, "broken", str(missing_library(error) or error), "make install, or pip install -e .")
            )
        except Exception as error:
            findings.append(
                Finding(part, "broken", f"{type(error).__name__}: {error}", "make install, or pip install -e .")
            )
    return findings


def _assets() -> Path | None:
    folder = os.environ.get("TALKSPLAT_ASSETS")
    return Path(folder) if folder else None


@exits_cleanly
def main() -> None:
    """Print the findings; exit status 1 if a part is broken."""
    findings = examine()
    if "--json" in sys.argv[1:]:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            remedy = f"  -> {finding.remedy}" if finding.state != "ok" and finding.remedy else ""
            print(f"{finding.state:8} {finding.part:16} {finding.detail}{remedy}")
    sys.exit(any(finding.state == "broken" for finding in findings))


if __name__ == "__main__":
    main()
