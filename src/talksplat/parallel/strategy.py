"""Lightning's DDP without its wrapper and its launcher."""

from __future__ import annotations

import pytorch_lightning as pl
from lightning_fabric.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy

from talksplat.parallel.distributed import take_from_first


class UnwrappedDDP(DDPStrategy):
    """One process for each device, each with a module of its own.

    `DistributedDataParallel` keeps the parameters that it was given, and density control replaces them; so the module
    averages gradients itself (`all_reduce`). Processes start and form a group before a trainer is made (`LocalLauncher`):
    Lightning's launcher would repeat the command line, which composes the configuration anew and, in a sweep, is another job's.

    Args:
        rank: number of this process.
    """

    def __init__(self, rank: int) -> None:
        super().__init__(cluster_environment=_Started(rank))

    def _configure_launcher(self) -> None:
        """Nothing is left to launch."""

    def configure_ddp(self) -> None:
        """Begin with the same module everywhere, as the wrapper would."""
        module = self.lightning_module
        waiting = [tensor for _, _, tensor in module.model.subjects.waiting()]
        take_from_first([*module.parameters(), *module.buffers(), *waiting])


class _Started(LightningEnvironment):
    """Processes that are there already, whatever the environment variables say."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self._rank = rank

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def local_rank(self) -> int:
        return self._rank

    def node_rank(self) -> int:
        return 0

    def teardown(self) -> None:
        """The environment was not touched."""


def leave_signals_alone(trainer: pl.Trainer) -> None:
    """Keep Lightning from answering SIGTERM: it would end the fit without a checkpoint, and with several processes send a
    message from within the signal handler, which meets another one half-way. It also asks the first process before each
    step whether there was a signal, and waits for the answer; `all_reduce` includes that."""
    trainer._signal_connector.register_signal_handlers = lambda: None
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None
