"""How a run uses the machine."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch

from talksplat.errors import UserError

logger = logging.getLogger(__name__)
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class TrainerSettings:
    """Machine settings; none of them belongs to the method.

    Args:
        accelerator: "cpu", "gpu" or "auto" (a GPU if there is one).
        precision: "float32", "bfloat16" (networks only; geometry, rasteriser and losses stay in float32) or "auto"
            (bfloat16 on a GPU, float32 on a CPU).
        threads: CPU threads of torch and of the rasteriser's kernels; None: all cores.
        checkpoint_every: steps between checkpoints.
        log_every: steps between rows of the metric history.
        preview_every: steps between previews of held-out frames (picture and PSNR); None: only at the end of a stage.
    """

    accelerator: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    checkpoint_every: int = 500
    log_every: int = 25
    preview_every: int | None = 500

    def __post_init__(self) -> None:
        for name in ("checkpoint_every", "log_every", "preview_every", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"trainer.{name} must be at least 1, not {value}")

    def device(self) -> torch.device:
        """The device to train on.

        Raises:
            UserError: a GPU is asked for and there is none.
        """
        if self.accelerator not in ("auto", "cpu", "gpu"):
            raise UserError(f"trainer.accelerator is auto, cpu or gpu, not {self.accelerator!r}")
        has_gpu = torch.cuda.is_available()
        if self.accelerator == "gpu" and not has_gpu:
            raise UserError(
                "trainer.accelerator=gpu, but torch sees no CUDA GPU; use trainer=cpu, or see talksplat.doctor"
            )
        return (
            torch.device("cuda", torch.cuda.current_device())
            if has_gpu and self.accelerator != "cpu"
            else torch.device("cpu")
        )

    def autocast(self, device: torch.device) -> torch.dtype | None:
        """dtype of the networks; None: float32."""
        if self.precision == "auto":
            return torch.bfloat16 if device.type == "cuda" else None
        if self.precision not in PRECISIONS:
            raise UserError(f"trainer.precision is auto, {' or '.join(PRECISIONS)}, not {self.precision!r}")
        return PRECISIONS[self.precision]

    def apply(self) -> None:
        """Set thread counts and matrix precision of this process."""
        if self.threads is not None:
            torch.set_num_threads(self.threads)
            try:
                import numba
            except ImportError:
                logger.warning("numba is not installed: trainer.threads applies to torch alone")
            else:
                numba.set_num_threads(min(self.threads, numba.config.NUMBA_NUM_THREADS))
        torch.set_float32_matmul_precision("high")
