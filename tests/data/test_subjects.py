"""Data of several people."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from talksplat.data.datamodule import PortraitDataModule
from talksplat.data.open import open_subject
from talksplat.data.subjects import SubjectCollection
from talksplat.errors import UserError
from tests.helpers.runs import small_config
from tests.helpers.tiny_subject import AUDIO_FILE, AUDIO_WIDTH, AUDIO_WINDOW, write_tiny_subject


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("people")
    return [write_tiny_subject(folder / name, seed=seed) for seed, name in enumerate(("anna", "ben.b", "carla"))]


def portrait(root: Path) -> PortraitDataModule:
    made = PortraitDataModule(str(root), [AUDIO_FILE], AUDIO_WIDTH, AUDIO_WINDOW)
    made.prepare()
    return made


def test_batches_are_of_one_person_each_and_a_function_of_the_step(roots: list[Path]) -> None:
    people = SubjectCollection([portrait(root) for root in roots])
    assert list(people.portraits) == ["anna", "ben_b", "carla"]
    whole = list(people.train_batches(2, 3, 0, 12, "cpu"))
    names = [batch.conditions.subject for batch in whole]
    assert all(sorted(names[start : start + 3]) == ["anna", "ben_b", "carla"] for start in range(0, 12, 3))
    assert names[:3] != names[3:6] or names[3:6] != names[6:9]
    for start in (1, 5, 7):  # as after an interruption
        rest = list(people.train_batches(2, 3, start, 12 - start, "cpu"))
        assert [batch.conditions.subject for batch in rest] == names[start:]
        assert all(torch.equal(a.frame_ids, b.frame_ids) for a, b in zip(rest, whole[start:]))


def test_what_asks_for_one_person_says_whose_frames_it_got(roots: list[Path]) -> None:
    people = SubjectCollection([portrait(root) for root in roots])
    assert people.batch(torch.tensor([0, 1]), "cpu").conditions.subject == "anna"
    assert next(people.eval_batches("test", 1, "cpu")).conditions.subject == "anna"


def test_people_with_one_name_or_features_of_other_models_are_refused(roots: list[Path]) -> None:
    with pytest.raises(UserError, match="the same frames twice, in .*anna and .*anna: give them once"):
        SubjectCollection([portrait(roots[0]), portrait(roots[0])])
    one, other = portrait(roots[0]), portrait(roots[1])
    for made, value in ((one, 0.0), (other, 1.0)):
        made._subject = replace(made.subject, audio_fingerprint=np.full(8, value))
    with pytest.raises(
        UserError, match=r"features of ben_b are of another model than those of anna.*preprocess features="
    ):
        SubjectCollection([one, other])


def test_data_tell_people_apart_and_not_the_names_of_folders(roots: list[Path], tmp_path: Path) -> None:
    write_tiny_subject(tmp_path / "a" / "clip", seed=7)
    write_tiny_subject(tmp_path / "b" / "clip", seed=8)
    people = SubjectCollection(
        [portrait(tmp_path / "a" / "clip"), portrait(tmp_path / "b" / "clip"), portrait(roots[0])]
    )
    assert list(people.portraits) == ["clip", "clip_2", "anna"]
    shutil.copytree(roots[0], tmp_path / "someone_else")
    with pytest.raises(UserError, match="the same frames twice"):
        SubjectCollection([portrait(roots[0]), portrait(tmp_path / "someone_else")])


def test_one_folder_is_one_person(roots: list[Path]) -> None:
    assert isinstance(open_subject(small_config(roots[0], f"dataset.roots=[{roots[0]}]")), PortraitDataModule)
    made = open_subject(small_config(roots[0], f"dataset.roots=[{roots[0]},{roots[2]}]"))
    assert isinstance(made, SubjectCollection) and made.describe()["subjects"].keys() == {"anna", "carla"}


def test_parts_of_no_checkpoint_are_refused(roots: list[Path]) -> None:
    for parts in ("[shared]", "[]"):
        with pytest.raises(UserError, match="checkpoint_parts=.*give both"):
            small_config(roots[0], f"checkpoint_parts={parts}")
