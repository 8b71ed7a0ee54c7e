"""Audits of a finished study: the same bytes here, and what is told where something differs."""

import io
import shutil
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import stages.audit
import stages.prepare
from src.audit import redoing
from src.audit.choosing import AuditedUnit, drawn_unit, units_to_choose_from
from src.audit.differences import LIMIT, in_spreads, spread_to_judge_by, with_redone
from src.audit.outcome import Audit, audit_of
from src.audit.redoing import audit_copy, check_same_data, unit_content
from src.audit.report import content, lines, verdict
from src.params import Params, load_params
from src.runs import runs_of_task
from src.study.named.jobs import jobs_of, of_arms
from src.study.named.overrides import study_content
from src.study.records.collecting import collect_task
from src.study.records.scores import measured_task
from src.study.records.task_records import TaskRecords, load_records, records_folder
from src.system.errors import UserError
from src.system.files import read_json, write_json, write_parquet
from stages.evaluate import evaluate
from stages.pool import work
from tests.support.repository import clone_with, digests, run, tiny_study

KIND = "Audits"
RECORDS = records_folder("tiny", "tiny")
CLAIM = {"statement": "It is better", "role": "teacher", "family": "cmi_max", "against": "ce", "direction": "higher"}
TOLD_ENVIRONMENT = "device: gpu of the records in the records, cpu"


@dataclass(frozen=True)
class Audited:
    """A finished study in a git repository, and what an audit of its seed 0 printed and kept there."""

    folder: Path
    params: Params
    unit: AuditedUnit
    told: list[str]
    before: dict[str, str]
    after: dict[str, str]

    @property
    def copy(self) -> Path:
        return Path("audit/tiny/tiny-0")


def study(encoder, source: Path) -> dict[str, Any]:
    """Two teachers, a student without one and two with, two seeds, of which the second has the students of the first.

    Its data are named by a relative path.
    """
    made = tiny_study(encoder, source) | {"seeds": [0, 1]}
    made["finetune"]["arms"] = {"ce": {"cmi_weight": 0.0}, "cmi_max": {"cmi_weight": -2.0}}
    made["evaluate"]["claims"] = {"better": CLAIM | {"worthwhile": 0.01, "metric": None}}
    made["task_settings"]["tiny"]["path"] = "../source"
    return made


def call_audit(*arguments: str) -> int:
    """The exit status of `stages.audit`, with `--name tiny` where no study is named."""
    name = () if "--name" in arguments else ("--name", "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["stage", *name, *arguments])
        try:
            stages.audit.main()
        except SystemExit as ended:
            return int(ended.code or 0)
    return 0


@pytest.fixture(scope="module")
def audited(tmp_path_factory, tiny_encoder) -> Audited:
    root = tmp_path_factory.mktemp("audited")
    (root / "source").mkdir()
    folder = root / "clone"
    clone_with(folder, study(tiny_encoder, root / "source"))
    with chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["stage", "--task", "tiny"])
        stages.prepare.main()
        params = load_params()
        for job in jobs_of(params):
            if "/teacher/" in job.name or job.name.endswith("/0"):
                work(params, *job.arguments)
        for run_of_0 in Path("runs").glob("*/student/*/0"):
            shutil.copytree(run_of_0, run_of_0.with_name("1"))
        collect_task("tiny", runs_of_task(params, "tiny"), RECORDS, params.evaluate.ece_bins, 0)
        evaluate(params)
        Path("studies/later").mkdir()
        Path("studies/later/study.yaml").write_text("seeds: [9]\n")
        run(folder, "git", "add", "--all")
        run(folder, "git", "commit", "--quiet", "--message", "finished")
        for left in ("timing", "checkpoints"):
            shutil.rmtree(left)
        before = digests(folder, "data", "runs", "metrics", "settings")
        told = io.StringIO()
        with redirect_stdout(told):
            assert call_audit("--task", "tiny", "--seed", "0", "--keep", "--jobs", "1") == 0
        after = digests(folder, "data", "runs", "metrics", "settings")
        [unit] = units_to_choose_from(params, jobs_of(params), "tiny", 0, (), 1)
    return Audited(folder, params, unit, told.getvalue().strip().splitlines(), before, after)


@pytest.fixture
def finished(audited, tmp_path, monkeypatch) -> Audited:
    """The current folder, a copy of the study with its kept audit."""
    places = shutil.ignore_patterns(".git", "src", "stages", "tests", "docs", "benchmarks")
    shutil.copytree(audited.folder, tmp_path / "clone", ignore=places)
    monkeypatch.chdir(tmp_path / "clone")
    return audited


@pytest.fixture
def compared(finished) -> Callable[[], Audit]:
    """Compare what the kept audit trained with the records as they are now."""

    def compare() -> Audit:
        with chdir(finished.copy):
            redone = load_records("tiny", "tiny")
        recorded = load_records("tiny", "tiny")
        return audit_of(finished.unit, finished.params, recorded, redone, finished.copy, 60.0)

    return compare


def change_predictions(change: Callable[[pd.DataFrame], None]) -> None:
    """Change the recorded test logits of teacher ce, seed 0."""
    records = load_records("tiny", "tiny")
    table = records.predictions
    chosen = (table[["role", "arm", "split"]] == ["teacher", "ce", "test"]).all(axis=1) & (table["seed"] == 0)
    own = table[chosen].copy()
    change(own)
    table.loc[chosen, own.columns] = own
    write_parquet(RECORDS / "predictions.parquet", table)


def other_device() -> None:
    [environment] = read_json(RECORDS / "environment.json")
    write_json(RECORDS / "environment.json", [environment | {"device": "gpu of the records"}])


def test_an_audit_here_finds_equal_bytes_and_changes_nothing(audited):
    assert audited.told[-1] == "tiny tiny-0: 5 runs: equal bytes, as expected"
    assert audited.told[0].startswith("study tiny, task tiny, seed 0: 5 runs, about 1 minute, 1 at a time; to redo")
    assert any(line.startswith("claim better: cannot be told") for line in audited.told)
    assert audited.after == audited.before
    assert run(audited.folder, "git", "status", "--short") == ""
    assert not (audited.folder / "checkpoints").exists()
    timed = [*(audited.folder / audited.copy / "timing").rglob("*.json")]
    assert len(timed) == 5  # it has trained
    assert not (audited.folder / "timing").exists()


def test_an_arm_comes_with_the_teachers_that_it_needs(audited):
    jobs = of_arms(jobs_of(audited.params), ["kd-ce"])
    assert [job.name for job in jobs if job.name.endswith("/0")] == ["tiny/teacher/ce/0", "tiny/student/kd-ce/0"]


def test_a_unit_that_is_being_audited_already(audited, monkeypatch, capsys):
    monkeypatch.chdir(audited.folder)
    with audit_copy(replace(audited.unit, arms=("ce",)), keep=False) as folder:
        assert call_audit("--task", "tiny", "--seed", "0", "--arms", "ce") == 1
        assert folder.is_dir()
    told = capsys.readouterr().err
    assert told.startswith("error: audit/tiny/tiny-0-ce: another audit of this unit is running; wait for ")
    assert not folder.exists()


@pytest.mark.fault
def test_a_logit_that_is_not_the_recorded_one(compared, record_fault):
    def change(own: pd.DataFrame) -> None:
        own.iloc[3, own.columns.get_loc("logit_1")] = np.nextafter(own["logit_1"].iloc[3], np.float32(9))

    change_predictions(change)
    audit = compared()
    [surprise] = audit.surprises
    assert surprise.startswith("tiny/teacher/ce/0: predictions.parquet: split test, row_id ")
    assert ", logit_1 is " in surprise
    line = verdict(audit)
    assert line.startswith(f"tiny tiny-0: 5 runs: surprising: {surprise}")
    record_fault(
        KIND,
        "a recorded logit that is changed in its last bit",
        "status 1; `tiny tiny-0: 5 runs: surprising:` and the run, the file and the place",
    )


@pytest.mark.parametrize("column", ["new", "old"])
def test_columns_of_one_side_are_named(compared, column):
    path = RECORDS / "runs.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table = table.assign(old="1") if column == "old" else table.drop(columns="feature_norm")
    table.to_csv(path, index=False)
    told = "runs.csv: old, only in the records" if column == "old" else "runs.csv: feature_norm, not in the records"
    audit = compared()
    assert audit.columns == [told]
    assert not audit.surprises


def test_another_device_excuses_small_differences(compared):
    other_device()
    change_predictions(lambda own: own.update(own[["logit_0"]] + np.float32(1e-4)))
    audit = compared()
    told = lines(audit)
    assert list(audit.differs_in) == ["device"]
    assert any(line.startswith(TOLD_ENVIRONMENT) for line in told)
    assert audit.surprises == []
    assert told[-1].startswith("tiny tiny-0: 5 runs: as expected: metrics differ by at most 0.0")
    [moved] = [one for one in audit.runs if one.largest_logit]
    assert (str(moved.run), moved.changed_labels) == ("tiny/teacher/ce/0", 0)
    assert moved.largest_logit == pytest.approx(1e-4, rel=0.1)
    kept = content(audit)
    assert not kept["equal_bytes"]
    assert kept["runs"][0]["metrics"]["nll"] == moved.metrics["nll"] != 0


def test_python_alone_excuses_nothing(compared):
    [environment] = read_json(RECORDS / "environment.json")
    write_json(RECORDS / "environment.json", [environment | {"python": "3.11.0"}])
    audit = compared()
    assert audit.differs_in == {}
    assert lines(audit)[0].startswith("python is 3.11.0 in the records and ")


@pytest.mark.fault
def test_an_arm_that_is_far_from_its_record(compared, record_fault):
    """On any device: here the recorded run was sure of a label for every row."""
    other_device()
    change_predictions(lambda own: own.update(own[["logit_0"]] + np.float32(50)))
    audit = compared()
    assert audit.surprises[0].startswith("nll differs by ")
    assert audit.ratios["nll"] > LIMIT
    assert verdict(audit).startswith("tiny tiny-0: 5 runs: surprising: nll differs by ")
    record_fault(
        KIND,
        "another device, and an arm far from its record",
        "status 1; `nll differs by ... spreads over seeds, more than the limit of 3`",
    )


def test_the_spread_is_that_of_the_arm_or_of_its_role_and_of_one_row_at_least(finished):
    measured = measured_task(load_records("tiny", "tiny"), 15)
    arms = [("teacher", "ce"), ("teacher", "cmi_max")]
    spreads = [measured.metrics["nll"].of_runs[measured.lines[arm]].std(ddof=1) for arm in arms]
    of_role = float(np.mean(np.square(spreads)) ** 0.5)
    assert spread_to_judge_by(measured, "nll", *arms[0], rows=10**9) == max(spreads[0], of_role)
    assert spread_to_judge_by(measured, "nll", *arms[0], rows=1) == 1


def test_one_seed_shows_no_spread(compared):
    audit = compared()
    records = load_records("tiny", "tiny")
    alone = replace(records, runs=records.runs.query("seed == 0"), predictions=records.predictions.query("seed == 0"))
    alone = replace(alone, runs=alone.runs.reset_index(drop=True))
    measured = measured_task(alone, 15)
    assert in_spreads(audit.runs, measured, measured, 60) == {}


def test_redone_measures_of_a_second_test_set_take_their_places(finished):
    kept = {"name": "more", "rows": 9, "metrics": {"nll": {"of_runs": [*map(float, range(10))], "products": [[0.0]]}}}
    recorded = replace(load_records("tiny", "tiny"), also_test=kept)
    with chdir(finished.copy):
        redone: TaskRecords = replace(
            load_records("tiny", "tiny"), also_test={"metrics": {"nll": {"of_runs": [50.0] * 5}}}
        )
    made = with_redone(recorded, redone).also_test
    assert made is not None
    ours = (recorded.runs["seed"] == 0).to_numpy()
    assert np.equal(np.array(made["metrics"]["nll"]["of_runs"]) == 50, ours).all()
    assert made["metrics"]["nll"]["products"] == [[0.0]]


@pytest.mark.fault
@pytest.mark.parametrize("what", ["one label", "the train rows"])
def test_data_that_are_not_those_of_the_records(finished, what, record_fault):
    recorded = load_records("tiny", "tiny")
    if what == "one label":
        recorded.labels["test"].loc[2, "label"] ^= 1
        problem = "test_labels.parquet: row 2 has label"
    else:
        recorded.task["splits"]["train"]["sha256"] = "0"
        problem = "task.json: the prepared rows of train differ from the records"
    with chdir(finished.copy), pytest.raises(UserError) as caught:
        check_same_data(RECORDS, recorded, "tiny")
    told = f"error: {caught.value}"
    assert f"{RECORDS}/{problem}" in told
    assert told.endswith("use the data that the study's page names; other data cannot be compared")
    record_fault(KIND, f"the data here differ from the records in {what}", f"`{told}`")


def test_the_copy_names_the_data_and_models_of_the_repository_in_full(audited):
    with chdir(audited.folder):
        made = unit_content(audited.unit)
    assert (made["tasks"], made["seeds"]) == (["tiny"], [0])
    assert Path(made["task_settings"]["tiny"]["path"]).resolve() == audited.folder.parent / "source"
    assert Path(made["task_settings"]["tiny"]["path"]).is_absolute()


def test_the_copy_names_a_data_set_of_the_hub_as_the_study_does(audited):
    with chdir(audited.folder):
        of_hub = {"task_settings": {"tiny": {"source": "hub", "path": "stanfordnlp/imdb"}}}
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(redoing, "study_content", lambda name: study_content(name) | of_hub)
            made = unit_content(audited.unit)
    assert made["task_settings"]["tiny"]["path"] == "stanfordnlp/imdb"


@pytest.mark.fault
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--name", "nosuch"), "studies/nosuch/study.yaml: no such study; allowed: demo, glue, "),
        (("--name", "later"), "is missing: study later has not run; run `make study NAME=later`"),
        (("--task", "x"), "--task: study tiny has no task 'x'; allowed: tiny"),
        (("--seed", "7"), "--seed: study tiny has no seed 7; allowed: 0, 1"),
        (("--arms", "ce", "y"), "--arms: the study has no arm 'y'; allowed: ce, cmi_max, plain, kd-ce, kd-cmi_max"),
    ],
)
def test_what_is_not_there_to_audit(audited, monkeypatch, capsys, record_fault, arguments, expected):
    monkeypatch.chdir(audited.folder)
    assert call_audit(*arguments) == 1
    told = capsys.readouterr().err.strip()
    assert told.startswith("error: ")
    assert expected in told
    assert len(told.splitlines()) == 1
    record_fault(KIND, f"`stages.audit {' '.join(arguments)}`", f"`` {told[:110]} ``")


def test_a_run_that_the_records_lack_is_told_before_any_training(finished, capsys):
    """As where the study has got an arm since it ran."""
    table = pd.read_csv(RECORDS / "runs.csv", dtype=str, keep_default_na=False)
    table[table["arm"] != "cmi_max"].to_csv(RECORDS / "runs.csv", index=False)
    assert call_audit("--task", "tiny", "--seed", "0") == 1
    told = "records/tiny: lacks the run tiny/teacher/cmi_max/0, which the study asks for; run `make repro`, or undo "
    assert told in capsys.readouterr().err


def test_a_random_unit_keeps_to_its_hours(audited):
    with chdir(audited.folder):
        units = units_to_choose_from(audited.params, jobs_of(audited.params), None, None, (), 1)
    assert [(unit.task, unit.seed) for unit in units] == [("tiny", 0), ("tiny", 1)]
    short, long = replace(units[1], seconds=1800.0), replace(units[0], seconds=7200.0)
    assert drawn_unit([long, short], 1) == short
    assert str(long).endswith("5 runs, about 120 minutes")
    with pytest.raises(UserError, match=r"no unit takes at most 1 h; the shortest takes about 2\.0 h"):
        drawn_unit([long], 1)
