"""Finds and opens checkpoints of pretrained speech models; transformers is imported only when one is used."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from talksplat.errors import UserError
from talksplat.files import content_hash

HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
SETTINGS = ("config.json", "preprocessor_config.json")
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")  # the first kind that a checkpoint has


def transformers() -> ModuleType:
    """The package, with its log and bars quiet. Raises UserError where it is not installed."""
    try:
        import transformers
    except ImportError as error:
        raise UserError(
            f"speech models of Hugging Face need the package transformers, which cannot be imported here ({error}): "
            'pip install "talksplat[speech]"'
        ) from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def find_checkpoint(name: str, assets: Path | str | None = None, download: bool = True) -> Path:
    """Folder of a checkpoint: `name` itself, or of that name in `assets` or in the folder that TALKSPLAT_ASSETS names,
    or in Hugging Face's cache, into which it is downloaded once.

    Raises:
        UserError: it is not found and cannot be downloaded.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if not HUB_NAME.fullmatch(name):
        raise UserError(f"there is no speech model in {folder}: give the folder with its config.json, or its name")
    places = [Path(place) for place in (assets, os.environ.get("TALKSPLAT_ASSETS")) if place]
    for place in places:
        if (place / folder.name / "config.json").is_file():
            return place / folder.name
    return _from_hub(name, places, download)


def _from_hub(name: str, places: list[Path], download: bool) -> Path:
    try:
        from huggingface_hub import snapshot_download  # comes with transformers, but is quicker to import
    except ImportError:
        transformers()
        raise
    try:
        # A local copy is used without a request, and so always in the same revision.
        found = Path(snapshot_download(name, local_files_only=True))
        if weight_files(found):
            return found
    except (OSError, ValueError):
        pass  # not there yet
    try:
        if not download:
            raise FileNotFoundError(name)
        for pattern in WEIGHTS:
            found = Path(snapshot_download(name, allow_patterns=[*SETTINGS, pattern], etag_timeout=5))
            if weight_files(found):
                break
        return found
    except Exception as error:
        place = places[0] / Path(name).name if places else f"FOLDER/{Path(name).name}, and set TALKSPLAT_ASSETS=FOLDER"
        raise UserError(
            f"the speech model {name} is not here and was not downloaded ({type(error).__name__}): get config.json, "
            f"preprocessor_config.json and model.safetensors (or pytorch_model.bin) from https://huggingface.co/{name} "
            f"and put them into {place}, or give their folder instead of the name"
        ) from error


def read_config(folder: Path) -> Any:
    """The configuration of a checkpoint. Raises UserError for none, or one whose model does not read raw audio."""
    library = transformers()
    try:
        config = library.AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines()[0][:160]
        raise UserError(f"{folder} has no config.json of a model that transformers knows ({reason})") from error
    from transformers.models.auto.modeling_auto import MODEL_FOR_CTC_MAPPING_NAMES

    kinds = [key for key in ("conv_kernel", "conv_stride") if hasattr(config, key)]
    if len(kinds) < 2 or config.model_type not in MODEL_FOR_CTC_MAPPING_NAMES:
        raise UserError(
            f"{folder} holds a {config.model_type} model, which does not read audio samples: give a wav2vec 2.0, HuBERT "
            "or WavLM checkpoint"
        )
    return config


def wants_normalized(folder: Path) -> bool:
    """Whether the checkpoint was trained on recordings of mean 0 and variance 1; True where it does not say."""
    try:
        return bool(json.loads((folder / SETTINGS[1]).read_text()).get("do_normalize", True))
    except FileNotFoundError:
        return True
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"cannot read {folder / SETTINGS[1]} ({error}): get it again, or remove it") from error


def content_of(folder: Path) -> str:
    """SHA-256 of a checkpoint's settings and weights, which determine its output."""
    digest = hashlib.sha256()
    for path in [folder / name for name in SETTINGS if (folder / name).is_file()] + weight_files(folder):
        digest.update(f"{path.name} {content_hash(path)}\n".encode())
    return digest.hexdigest()


def weight_files(folder: Path) -> list[Path]:
    return next((found for kind in WEIGHTS if (found := sorted(folder.glob(kind)))), [])


def load_weights(folder: Path, ctc: bool) -> Any:
    """The model on the CPU in eval mode, with its CTC head or without.

    Raises:
        UserError: weights that are missing, damaged, incomplete or of another shape, or have no CTC head.
    """
    library = transformers()
    if not weight_files(folder):
        raise UserError(f"{folder} has no weights (model.safetensors or pytorch_model.bin): put them there")
    kind = library.AutoModelForCTC if ctc else library.AutoModel
    try:
        model, info = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    except Exception as error:  # safetensors, torch and transformers each have their own
        reason = str(error).strip().splitlines()[0][:160]
        raise UserError(f"the weights in {folder} cannot be loaded ({reason}): download them again") from error
    # The embedding of masked time steps is only used in pretraining, and many checkpoints are without.
    missing = sorted(key for key in info["missing_keys"] if not key.endswith("masked_spec_embed"))
    if any(key.startswith("lm_head.") for key in missing):
        raise UserError(
            f"{folder} has no CTC head, so there are no logits: choose hidden states, e.g. audio.extractor.layer=-1"
        )
    if missing:
        raise UserError(f"the weights in {folder} lack {missing[0]} ({len(missing)} in all): download them again")
    return model.eval()


def architecture_of(folder: Path) -> dict[str, Any]:
    """The configuration of a checkpoint as JSON values, from which `build_model` makes the same model elsewhere."""
    values = json.loads(read_config(folder).to_json_string(use_diff=False))
    return {key: value for key, value in values.items() if key not in ("transformers_version", "_name_or_path")}


def build_model(architecture: dict[str, Any] | None, checkpoint: str | None, assets: str | None = None) -> Any:
    """The encoder of an architecture (None: that of `checkpoint`) with random weights.

    Raises:
        UserError: neither of the two is given, or one that is no speech model.
    """
    library = transformers()
    if architecture is None:
        if checkpoint is None:
            raise UserError("the audio encoder needs a speech model: give checkpoint=FOLDER or NAME")
        architecture = architecture_of(find_checkpoint(checkpoint, assets))
    # Of what names code elsewhere nothing is taken over: an architecture may come with somebody's checkpoint.
    values = {
        key: value for key, value in architecture.items() if key != "auto_map" and "attn_implementation" not in key
    }
    try:
        return library.AutoModel.from_config(library.AutoConfig.for_model(values.pop("model_type"), **values)).eval()
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"the audio encoder's architecture is none that transformers knows ({error})") from error


@contextmanager
def inference(folder: Path, ctc: bool) -> Iterator[Callable[[np.ndarray, int | None], np.ndarray]]:
    """A function from samples [n] and a layer (None: logits) to rows [m, width], on a GPU if there is one."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_weights(folder, ctc).to(device)

    @torch.inference_mode()
    def run(samples: np.ndarray, layer: int | None) -> np.ndarray:
        # The last of `hidden_states` comes before or after the final norm, depending on the version of transformers.
        last = layer is None or layer in (-1, model.config.num_hidden_layers)
        output = model(torch.from_numpy(samples).to(device)[None], output_hidden_states=not last)
        rows = output.logits if layer is None else output.last_hidden_state if last else output.hidden_states[layer]
        return rows[0].float().cpu().numpy()

    yield run
