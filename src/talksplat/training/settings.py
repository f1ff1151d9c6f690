"""Machine settings of a run."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

import torch
from omegaconf import DictConfig, OmegaConf

from talksplat.config import instantiate
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
        devices: GPUs to train on together, or processes on a CPU: a number, or "auto" for all GPUs that torch sees. Each has its
            own process and batch: a step has devices times batch_size frames, with unchanged learning rates.
        threads: CPU threads of torch and of the rasteriser's kernels, in each process; None: all cores, shared among the
            processes.
        checkpoint_every: steps between checkpoints.
        log_every: steps between rows of the metric history.
        preview_every: steps between previews of held-out frames (picture and PSNR); None: only at the end of a stage.
    """

    accelerator: str = "auto"
    precision: str = "auto"
    devices: int | str = 1
    threads: int | None = None
    checkpoint_every: int = 500
    log_every: int = 25
    preview_every: int | None = 500

    def __post_init__(self) -> None:
        for name in ("checkpoint_every", "log_every", "preview_every", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"trainer.{name} must be at least 1, not {value}")

    def device(self, rank: int = 0) -> torch.device:
        """The device to train on; of several processes, that of the process of number `rank`.

        Raises:
            UserError: a GPU is requested and there is none.
        """
        if self.accelerator not in ("auto", "cpu", "gpu"):
            raise UserError(f"trainer.accelerator is auto, cpu or gpu, not {self.accelerator!r}")
        has_gpu = torch.cuda.is_available()
        if self.accelerator == "gpu" and not has_gpu:
            raise UserError(
                "trainer.accelerator=gpu, but torch sees no CUDA GPU; use trainer=cpu, or see talksplat.doctor"
            )
        if not has_gpu or self.accelerator == "cpu":
            return torch.device("cpu")
        return torch.device("cuda", torch.cuda.current_device() if self.devices == 1 else rank)

    def num_devices(self) -> int:
        """Number of processes that train together.

        Raises:
            UserError: more than this machine has, or no backend for communication.
        """
        on_gpu = self.device().type == "cuda"
        if self.devices == "auto" and not on_gpu:
            raise UserError(
                "trainer.devices=auto counts GPUs, and this run is on a CPU: give the number of processes, e.g. "
                "trainer.devices=2"
            )
        count = torch.cuda.device_count() if self.devices == "auto" else self.devices
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise UserError(f"trainer.devices is auto or a number of at least 1, not {self.devices!r}")
        if on_gpu and count > torch.cuda.device_count():
            raise UserError(
                f"trainer.devices={count}, but torch sees {torch.cuda.device_count()} GPUs: give at most that many "
                "(CUDA_VISIBLE_DEVICES may hide some)"
            )
        if count > 1:
            _check_processes(count, "nccl" if on_gpu else "gloo")
        return count

    def autocast(self, device: torch.device) -> torch.dtype | None:
        """dtype of the networks; None: float32."""
        if self.precision == "auto":
            return torch.bfloat16 if device.type == "cuda" else None
        if self.precision not in PRECISIONS:
            raise UserError(f"trainer.precision is auto, {' or '.join(PRECISIONS)}, not {self.precision!r}")
        return PRECISIONS[self.precision]

    def apply(self) -> None:
        """Set thread counts and matrix precision of this process."""
        threads = self.threads
        if threads is None and self.devices != 1 and self.device().type == "cpu":
            threads = max(1, _cores() // self.num_devices())
        if threads is not None:
            try:
                import numba
            except ImportError:
                logger.warning("numba is not installed: trainer.threads applies to torch alone")
            else:
                numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
            torch.set_num_threads(
                threads
            )  # after numba, which sets torch's threads to all cores when its OpenMP pool starts
        torch.set_float32_matmul_precision("high")


def with_devices(config: DictConfig) -> DictConfig:
    """The configuration with the number of devices instead of "auto", so that a run resumes with the same number.

    Raises:
        UserError: this machine has fewer.
    """
    settings: TrainerSettings = instantiate(config.trainer)
    return OmegaConf.merge(config, {"trainer": {"devices": settings.num_devices()}})


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_processes(count: int, backend: str) -> None:
    if not torch.distributed.is_available() or not torch.distributed.is_backend_available(backend):
        raise UserError(
            f"trainer.devices={count} needs torch.distributed with {backend}, which this torch was built without: install "
            "torch from PyPI, or train with trainer.devices=1"
        )
    if int(os.environ.get("WORLD_SIZE") or 1) > 1:
        raise UserError(
            f"this command was itself started several times (WORLD_SIZE={os.environ['WORLD_SIZE']}, as torchrun does): start "
            f"it once, and trainer.devices={count} starts the other processes"
        )
