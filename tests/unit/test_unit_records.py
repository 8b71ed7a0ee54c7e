"""Records of units, from machines that share no disk, make the records that `collect` makes where all runs are."""

import shutil
import sys
from pathlib import Path

import pytest

import stages.collect
import stages.join
import stages.study
from src.parallel.options import Options
from src.parallel.units import Unit
from src.params import Params
from src.study.records.unit_records import check_joinable, check_units, is_kept, join_units, keep_unit
from src.system.errors import UserError
from src.system.files import write_json
from tests.conftest import REPOSITORY
from tests.support.repository import digests
from tests.support.synthetic_study import make_study

RECORDS = "metrics/made/records/tiny"
UNITS = Path("metrics/made/units")


@pytest.fixture
def study(tmp_path, monkeypatch) -> Params:
    """A study of three seeds in the current folder, with its runs and the records of its units."""
    monkeypatch.chdir(tmp_path)
    params = make_study(["bad", "good"], seeds=3)
    for seed in params.seeds:
        keep_unit(params, "tiny", seed)
    return params


def with_other_settings(study: Params) -> Params:
    arms = study.finetune.arms | {"cmi_min": study.finetune.arms["cmi_min"].model_copy(update={"cmi_weight": 0.25})}
    return study.model_copy(update={"finetune": study.finetune.model_copy(update={"arms": arms})})


def test_joined_units_are_what_collect_makes(study, monkeypatch):
    join_units(study, "tiny")
    joined = digests(Path(), RECORDS)
    monkeypatch.setattr(sys, "argv", ["stage", "--task", "tiny"])
    stages.collect.main()
    assert joined == digests(Path(), RECORDS)
    assert len(joined) == 9


def test_a_missing_unit_is_named(study):
    for seed in (1, 2):
        (UNITS / f"tiny-{seed}").rename(f"elsewhere-{seed}")
    line = r"units/tiny-1: is missing or lacks a file \(and 1 more\); run `python -m stages.study "
    with pytest.raises(UserError, match=line):
        join_units(study, "tiny")
    assert not Path(RECORDS).exists()


def test_units_that_ended_are_kept_where_another_fails(study, monkeypatch):
    units = [Unit("tiny", seed, ()) for seed in study.seeds]

    def fails(options: object, units: object) -> None:
        raise UserError("logs/made", "1 of 3 units failed", "correct the errors and run again")

    shutil.rmtree(UNITS)
    monkeypatch.setattr(stages.study, "load_params", lambda: study)
    monkeypatch.setattr(stages.study, "units_of_part", lambda part: units)
    monkeypatch.setattr(stages.study, "run_units", fails)
    monkeypatch.setattr(stages.study, "up_to_date", lambda units: units[:2])
    with pytest.raises(UserError, match="1 of 3 units failed"):
        stages.study.run_and_keep(Options())
    assert sorted(path.name for path in UNITS.iterdir()) == ["tiny-0", "tiny-1"]


def test_units_of_other_code_are_not_joined(study):
    write_json(UNITS / "tiny-2/code.json", {"sha256": "0" * 64})
    line = f"{UNITS}/tiny-2/code.json: differs from {UNITS}/tiny-0/code.json: the data, settings or code of the two"
    with pytest.raises(UserError, match=line):
        join_units(study, "tiny")


def test_units_of_other_settings_are_not_joined(study):
    keep_unit(with_other_settings(study), "tiny", 2)
    line = f"{UNITS}/tiny-2/settings.json: differs from {UNITS}/tiny-0/settings.json: the data, settings or code of"
    with pytest.raises(UserError, match=line):
        join_units(study, "tiny")


def test_units_that_the_study_would_make_otherwise_now_are_not_joined(study):
    line = f"{UNITS}/tiny-0/settings.json: differs from the study's present settings; run the study's parts again"
    with pytest.raises(UserError, match=line):
        join_units(with_other_settings(study), "tiny")
    assert not Path(RECORDS).exists()


@pytest.mark.parametrize("name", ["code.json", "test_labels.parquet", "predictions.parquet", "clusters.parquet"])
def test_a_unit_without_one_of_its_files_is_missing_and_is_made_again(study, name):
    assert is_kept(study, "tiny", 1)
    (UNITS / "tiny-1" / name).unlink()
    assert not is_kept(study, "tiny", 1)
    with pytest.raises(UserError, match=r"tiny-1: is missing or lacks a file; run `python -m stages\.study --name"):
        join_units(study, "tiny")


def test_no_task_is_joined_where_one_lacks_units(study):
    settings = study.task_settings | {"late": study.task_settings["tiny"]}
    of_two = study.model_copy(update={"tasks": ["tiny", "late"], "task_settings": settings})
    with pytest.raises(UserError, match=rf"late-0: is missing or lacks a file \(and {len(study.seeds) - 1} more\)"):
        check_units(of_two, of_two.tasks)


def test_a_damaged_table_of_a_unit_is_named(study):
    (UNITS / "tiny-1/runs.csv").write_bytes(b"role,arm,seed\n\xff,ce,1\n")
    with pytest.raises(UserError, match=r"tiny-1/runs\.csv: damaged or of another format"):
        join_units(study, "tiny")
    assert not Path(RECORDS).exists()


def test_a_second_test_set_is_refused_before_any_run(study):
    own = study.task_settings["tiny"].model_copy(update={"also_test": object()})
    with pytest.raises(UserError, match=r"task_settings\.tiny\.also_test: its records cannot be joined"):
        check_joinable(study.model_copy(update={"task_settings": {"tiny": own}}))


def test_join_refuses_a_study_whose_units_are_never_kept(monkeypatch, capsys):
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(sys, "argv", ["stage", "--name", "human"])
    with pytest.raises(SystemExit, match="1"):
        stages.join.main()
    assert "task_settings.mnli-sample.also_test: its records cannot be joined" in capsys.readouterr().err
