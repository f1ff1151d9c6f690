"""When checkpoints are written."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

from talksplat.callbacks.checkpointing import KeepCheckpoints


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
    callback = KeepCheckpoints(tmp_path, tmp_path / "stage", every=3, step_offset=10)
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


class FakePreview(SimpleNamespace):
    """Every second step is previewed, with a PSNR that the test says."""

    def is_due(self, step: int, last: int) -> bool:
        return step == last or step % 2 == 0


def best_of(
    folder: Path, psnr: dict[int, float], start: int = 0, every: int = 3, stop: int | None = None
) -> FakeTrainer:
    """A stage of six steps whose previews measure `psnr`."""
    folder.mkdir(exist_ok=True)
    strategy = SimpleNamespace(broadcast=lambda value: value)
    trainer = FakeTrainer(global_step=start, max_steps=6, handed_over=False, strategy=strategy, loggers=[])
    module = SimpleNamespace(finish_stage=lambda: setattr(trainer, "handed_over", True), stage_name="fine")
    preview = FakePreview(measured=None)
    callback = KeepCheckpoints(folder, folder / "stage", every, preview)
    callback.on_train_start(trainer, module)
    while trainer.global_step < (stop or 6):
        trainer.global_step += 1
        if preview.is_due(trainer.global_step, 6):
            preview.measured = (trainer.global_step, psnr[trainer.global_step])
        callback.on_train_batch_end(trainer, module, None, None, 0)
    if stop is None:
        callback.on_train_end(trainer, module)
    return trainer


def text(folder: Path, name: str) -> str:
    assert (folder / name).read_text() == (folder / "stage" / name).read_text(), "run and stage hold the same"
    return (folder / name).read_text()


def test_best_is_that_of_the_best_preview(tmp_path: Path) -> None:
    best_of(tmp_path, {2: 20.0, 4: 25.0, 6: 24.0})
    assert text(tmp_path, "best.ckpt") == "step 4, handed over: False"
    assert text(tmp_path, "last.ckpt") == "step 6, handed over: True"
    assert json.loads((tmp_path / "stage" / "best.json").read_text()) == {"step": 4, "val_psnr_composite": 25.0}


def test_best_at_the_end_is_saved_after_the_hand_over(tmp_path: Path) -> None:
    best_of(tmp_path, {2: 20.0, 4: 21.0, 6: 22.0})
    assert text(tmp_path, "best.ckpt") == text(tmp_path, "last.ckpt") == "step 6, handed over: True"


def test_a_step_that_is_best_and_newest_is_written_once(tmp_path: Path) -> None:
    best_of(tmp_path, {2: 20.0, 4: 25.0, 6: 24.0}, every=4, stop=4)
    assert (tmp_path / "best.ckpt").samefile(tmp_path / "stage" / "last.ckpt")


def test_a_resumed_stage_remembers_its_best(tmp_path: Path) -> None:
    psnr = {2: 25.0, 4: 24.0, 6: 24.5}
    best_of(tmp_path, psnr, stop=5)
    best_of(tmp_path, psnr, start=3)
    assert text(tmp_path, "best.ckpt").startswith("step 2")


def test_a_best_that_comes_again_is_no_rival(tmp_path: Path) -> None:
    """Killed after step 4, resumed from step 3: the record of step 4 must not stand in the way of step 4 itself."""
    psnr = {2: 20.0, 4: 25.0, 6: 24.0}
    best_of(tmp_path, psnr, stop=5)
    (tmp_path / "stage" / "best.ckpt").unlink()
    best_of(tmp_path, psnr, start=3)
    assert text(tmp_path, "best.ckpt").startswith("step 4")
