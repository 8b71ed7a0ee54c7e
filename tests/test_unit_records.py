"""Records of units, from machines that share no disk, make the records that `collect` makes where all runs are."""

import sys
from pathlib import Path

import pytest

import stages.collect
import stages.study
from src.errors import UserError
from src.files import write_json
from src.parallel.units import Unit
from src.params import Params
from src.study.unit_records import check_joinable, join_units, keep_unit
from tests.repository import digests
from tests.synthetic_study import make_study

RECORDS = "metrics/made/records/tiny"
UNITS = Path("metrics/made/units")


@pytest.fixture
def study(tmp_path, monkeypatch) -> Params:
    """A study of three seeds in the current folder, with its runs and the records of its units."""
    monkeypatch.chdir(tmp_path)
    params = make_study(["bad", "good"], seeds=3)
    for seed in params.seeds:
        keep_unit(params, Unit("tiny", seed, ()))
    return params


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
    line = r"metrics/made/units/tiny-1: is not there \(and 1 more\); run its part with `python -m stages.study "
    with pytest.raises(UserError, match=line):
        join_units(study, "tiny")
    assert not Path(RECORDS).exists()


def test_units_of_other_code_are_not_joined(study):
    write_json(UNITS / "tiny-2/code.json", {"sha256": "0" * 64})
    line = f"{UNITS}/tiny-2/code.json: differs from {UNITS}/tiny-0/code.json: other data, settings or code made"
    with pytest.raises(UserError, match=line):
        join_units(study, "tiny")


def test_a_second_test_set_is_refused_before_any_run(study):
    own = study.task_settings["tiny"].model_copy(update={"also_test": object()})
    with pytest.raises(UserError, match=r"task_settings\.tiny\.also_test: its records cannot be joined"):
        check_joinable(study.model_copy(update={"task_settings": {"tiny": own}}))


def test_records_are_kept_of_parts_alone(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["stages.study", "--name", "human", "--keep"])
    with pytest.raises(SystemExit, match="2"):
        stages.study.main()
    assert "--keep needs --part" in capsys.readouterr().err
