from __future__ import annotations

from talksplat.compare.tables.settings import settings_section
from tests.compare.made_runs import chosen, data_of, markdown_of, seeded


def rows(tmp_path, *changes):
    section = settings_section(data_of(tmp_path, *changes))
    return None if section is None else {row[0].text: row[1].text for row in section.parts[1].rows}


def of(name, *experiments, overrides=(), **changes):
    return {"config__chosen": chosen(name, *experiments, overrides=overrides), **changes}


def test_what_model_and_experiment_explain_is_not_listed(tmp_path):
    changes = [
        of("a", config__model={"width": 1}),
        of("b", config__model={"width": 2}),
        of("b", "b/wide", config__model={"width": 3}, config__loss={"lip": {"weight": 9}}),
    ]
    assert rows(tmp_path, *changes) is None


def test_what_they_do_not_explain_is(tmp_path):
    plain = of("a", config__model={"width": 1})
    wide = of("a", config__model={"width": 2})
    longer = of("b", config__stage={"purpose": "paper: long"})
    found = rows(tmp_path, plain, seeded(1, **plain), wide, longer)
    assert found["model.width"] == "1: a (model.width=1); 2: a (model.width=2); -: b"
    assert found["stage.purpose"].endswith('"paper: long": b') and "seed" not in found


def test_an_override_of_one_run_alone_counts_between_experiments(tmp_path):
    changes = [
        of("b", "b/full"),
        of("b", "b/wide", overrides=("loss.lip.weight=0.8",), config__loss={"lip": {"weight": 0.8}}),
    ]
    assert rows(tmp_path, *changes) == {"loss.lip.weight": "0.4: b/full; 0.8: b/wide"}


def test_many_groups_and_settings_stay_readable(tmp_path):
    many = [of("a", config__loss={f"l{i}": n for i in range(30)}) for n in range(9)]
    section = settings_section(data_of(tmp_path, *many))
    table = section.parts[1]
    assert len(table.rows) == 20 and "and 10 more" in markdown_of(table)
    same = [of("a", config__loss={"x": n % 2}, config__model={"n": n}) for n in range(10)]
    assert "and 2 more; 1: " in rows(tmp_path / "same", *same)["loss.x"]


def test_another_checkpoint_than_the_last_is_a_setting_with_its_value(tmp_path):
    stage = {"purpose": "quick", "order": ["coarse", "fine"], "stages": {"fine": {"steps": 30}}}
    at = [of("a", config__stage=stage, metrics__checkpoint={"stage": "fine", "step": step}) for step in (30, 20)]
    found = rows(tmp_path, of("a", config__stage=stage), seeded(1, **at[0]), at[1])
    last, early = "a (checkpoint measured=-)", 'a (checkpoint measured="fine 20")'
    assert found == {"checkpoint measured": f'-: {last}; "fine 20": {early}'}
