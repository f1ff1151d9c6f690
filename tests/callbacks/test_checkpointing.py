"""When checkpoints are written."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from talksplat.callbacks.checkpointing import KeepNewest


class FakeTrainer(SimpleNamespace):
    """Counts, and writes what it is asked to."""

    def save_checkpoint(self, path: Path) -> None:
        path.write_text(f"step {self.global_step}, handed over: {self.handed_over}")


def test_the_last_step_is_saved_only_after_the_hand_over(tmp_path: Path) -> None:
    """A run killed between the last step and the hand-over must repeat the end, not skip the hand-over."""
    told = []
    tracker = SimpleNamespace(log_checkpoint=lambda path, *facts: told.append((path.read_text(), *facts)))
    trainer = FakeTrainer(global_step=3, max_steps=6, handed_over=False, loggers=[tracker])
    module = SimpleNamespace(finish_stage=lambda: setattr(trainer, "handed_over", True), stage_name="fine")
    callback = KeepNewest(tmp_path, tmp_path / "stage", every=3, step_offset=10)
    callback.on_train_batch_end(trainer, module, None, None, 0)
    assert (tmp_path / "last.ckpt").read_text() == "step 3, handed over: False"
    trainer.global_step = 6
    callback.on_train_batch_end(trainer, module, None, None, 0)
    assert (tmp_path / "last.ckpt").read_text().startswith("step 3")
    callback.on_train_end(trainer, module)
    assert (tmp_path / "last.ckpt").read_text() == "step 6, handed over: True"
    assert (tmp_path / "stage" / "last.ckpt").read_text() == (tmp_path / "last.ckpt").read_text()
    assert told == [
        ("step 3, handed over: False", "fine", 13, False),
        ("step 6, handed over: True", "fine", 16, True),
    ]
