"""From a choosing study to the study that confirms, with the test labels deleted."""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dvc.utils.serialize import dump_yaml

import stages.collect
import stages.confirm
from src.data.prepared import DATA_FOLDER, LABELS_FOLDER
from src.params import check_params, load_params, read_yaml
from src.study.claims.families import selection_scores
from src.study.claims.pairs import pairs_to_compare
from src.study.named.confirming import confirming_content
from src.study.named.confirming_file import write_confirming_study
from src.study.named.overrides import study_content, study_params, study_text
from src.study.records.task_records import load_records
from src.system.errors import UserError
from tests.support.choosing_study import CLAIMS, FAMILIES, TEACHERS
from tests.support.synthetic_study import make_study

CURVES = {"weight": {"over": "cmi_weight", "role": "teacher", "lines": {"CMI": ["ce", "min_1", "min_5"]}}}


@pytest.fixture
def choice(tmp_path, monkeypatch) -> None:
    """A finished choosing study in an empty folder, without its test labels."""
    monkeypatch.chdir(tmp_path)
    make_study(["no", "yes"], TEACHERS, evaluate={"families": FAMILIES, "claims": CLAIMS, "curves": CURVES})
    monkeypatch.setattr(sys, "argv", ["stage", "--task", "tiny"])
    stages.collect.main()
    Path("metrics/made/records/tiny/test_labels.parquet").unlink()
    shutil.rmtree(DATA_FOLDER / "tiny" / LABELS_FOLDER)


def params_with(**sections: Any) -> None:
    dump_yaml("params.yaml", read_yaml(Path("params.yaml")) | sections)


def best(*arms: str, role: str = "teacher") -> str:
    """The arm of the best selection score, counted here by hand."""
    labels = pd.read_parquet("metrics/made/records/tiny/selection_labels.parquet")["label"].to_numpy()
    rows = pd.read_parquet("metrics/made/records/tiny/predictions.parquet").query("split == 'selection'")

    def score(arm: str) -> float:
        runs = rows[(rows["role"] == role) & (rows["arm"] == arm)].groupby("seed", observed=True)
        return np.mean([(run[["logit_0", "logit_1"]].to_numpy().argmax(axis=1) == labels).mean() for _, run in runs])

    return max(arms, key=score)


def test_the_chosen_trials_are_the_arms_of_the_confirming_study(choice, monkeypatch, capsys):
    arguments = ["stage", "--study", "made", "--name", "sure", "--seeds", "5", "6", "7"]
    monkeypatch.setattr(sys, "argv", arguments)
    stages.confirm.main()
    told = capsys.readouterr()
    assert ("make study NAME=sure" in told.out, told.err) == (True, "")
    params, content = study_params("sure"), study_content("sure")
    assert (params.study, params.seeds) == ("sure", [5, 6, 7])
    assert set(params.finetune.arms) == {"plain", "cmi_min", "cmi_max"}
    assert params.evaluate.baseline == "plain"
    assert not params.evaluate.families.listed()
    assert not params.evaluate.curves  # they were over trials
    own = content["task_settings"]["tiny"]["arms"]["teacher"]
    assert own["plain"] == TEACHERS[best("ce", "ce_slow")]
    assert own["cmi_min"] == TEACHERS[best("min_1", "min_5")]
    assert own["cmi_max"] == TEACHERS[best("kd-max_1", "kd-max_2", role="student").removeprefix("kd-")]
    claims = params.evaluate.claims
    assert (claims["alone"].family, claims["alone"].against) == ("cmi_min", "plain")
    assert (claims["kd"].family, claims["kd"].against) == ("kd-cmi_max", "kd-plain")
    assert claims["kd"].reference.model_dump() == {"family": "kd-plain", "against": "plain"}
    Path("params.yaml").write_bytes(study_text("sure"))
    assert load_params() == params
    text = Path("studies/sure/study.yaml").read_text()
    assert text.startswith("# Made by: python -m stages.confirm --study made --name sure --seeds 5 6 7\n")
    score = selection_scores(load_records("made", "tiny", ["selection"]))["teacher", best("ce", "ce_slow")]
    assert f"#   tiny: teacher plain is {best('ce', 'ce_slow')} ({score:.4f})\n" in text


def test_a_task_keeps_what_it_set_for_the_chosen_trial(choice):
    own = {arm: {"tau": 3.0, "training": {"epochs": 9}} for arm in ("min_1", "min_5")}
    settings = read_yaml(Path("params.yaml"))["task_settings"]["tiny"]
    params_with(task_settings={"tiny": settings | {"arms": {"teacher": own}}})
    write_confirming_study("made", "sure", [5])
    found = study_params("sure").teacher("tiny", "cmi_min")
    assert (found.objective.tau, found.training.epochs) == (3.0, 9)
    assert found.objective.cmi_weight == TEACHERS[best("min_1", "min_5")]["cmi_weight"]
    assert set(study_params("sure").task("tiny").arms.teacher) == {"plain", "cmi_min", "cmi_max"}


def test_a_chosen_recipe_brings_nothing_of_the_first_recipe_of_its_family(choice):
    recipes = {
        "first": {"alpha": 0.5, "temperature": 4.0, "cmi_weight": 5.0, "training": {"epochs": 6}},
        "second": {"alpha": 0.9, "temperature": 2.0},
    }
    families = {"student": {"best-ce": ["first-ce", "second-ce"]}}
    content = read_yaml(Path("params.yaml"))
    content |= {"distill": {"recipes": recipes}, "evaluate": content["evaluate"] | {"families": families, "claims": {}}}
    params = check_params(Path("params.yaml"), content)
    made, _ = confirming_content(content, params, {"tiny": {("student", "best-ce"): "second-ce"}}, [5])
    confirming = check_params(Path("params.yaml"), made).distilled_student("tiny", "best")
    assert confirming.recorded() == params.distilled_student("tiny", "second").recorded()


@pytest.mark.parametrize(
    ("seeds", "name", "told"),
    [
        ([1], "sure", "--seeds: 1 is a seed of the choosing study; give seeds that chose nothing"),
        ([5], "Sure", "study: not acceptable"),
        ([], "sure", "seeds: not acceptable"),
    ],
)
def test_what_would_not_confirm_is_refused(choice, seeds, name, told):
    with pytest.raises(UserError, match=told):
        write_confirming_study("made", name, seeds)
    assert not Path("studies").exists() or not list(Path("studies").iterdir())


@pytest.mark.parametrize(
    ("more", "told"),
    [(["RTE", "--more-seeds", "7"], "--more-tasks: "), (["rte", "--more-seeds", "-7"], "--more-seeds: ")],
)
def test_further_seeds_that_mean_nothing_are_refused(more, told, monkeypatch, capsys):
    arguments = ["stage", "--study", "made", "--name", "sure", "--seeds", "5", "--more-tasks", *more]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit, match="2"):
        stages.confirm.main()
    assert told in capsys.readouterr().err


def test_a_reference_of_two_trials_of_one_family_is_refused(choice):
    evaluate = read_yaml(Path("params.yaml"))["evaluate"]
    evaluate["claims"]["kd"]["reference"] = {"family": "kd-max_2", "against": "kd-max_1"}
    params_with(evaluate=evaluate)
    told = r"evaluate\.claims\.kd\.reference: both of its arms become kd-cmi_max; name a pair of two families"
    with pytest.raises(UserError, match=told):
        write_confirming_study("made", "sure", [5])


def test_teachers_that_are_changed_after_training_are_those_of_families(choice):
    """Two trials of one family that are matched or calibrated become one; a mapped teacher keeps its name."""
    content = read_yaml(Path("params.yaml"))
    matched = [{"teacher": "ce", "like": like} for like in ("max_1", "max_2")]
    content["distill"] |= {"matched": matched, "calibrated": ["ce", "max_1", "max_2"]}
    content["distill"]["mapped"] = [{"name": "up", "teacher": "ce", "cmi_weight": -0.3}]
    pairs = [("kd-max_2_calibrated", "kd-ce_calibrated"), ("kd-up", "kd-ce_as_max_1")]
    content["evaluate"]["pairs"] = [{"role": "student", "family": one, "against": other} for one, other in pairs]
    chosen = {("teacher", "plain"): "ce", ("teacher", "cmi_min"): "min_1", ("student", "kd-cmi_max"): "kd-max_2"}
    made, _ = confirming_content(content, check_params(Path("params.yaml"), content), {"tiny": chosen}, [5])
    params = check_params(Path("made"), made)
    assert [one.name for one in params.distill.changed()] == [
        "plain_as_cmi_max", "plain_calibrated", "cmi_max_calibrated", "up"
    ]  # fmt: skip
    assert params.distill.mapped[0].teacher == "plain"
    assert [(pair.family, pair.against) for pair in params.evaluate.pairs] == [
        ("kd-cmi_max_calibrated", "kd-plain_calibrated"), ("kd-up", "kd-plain_as_cmi_max")
    ]  # fmt: skip
    pairs_to_compare(params)  # which knows all of these names


def test_the_study_of_params_is_no_name_for_another_one(choice):
    with pytest.raises(UserError, match="--name: made is the study of the committed params"):
        write_confirming_study("made", "made", [5])
    assert not Path("studies/made").exists()


def contrast(*pairs: list[str]) -> dict[str, Any]:
    asked = {"statement": "z", "role": "student", "pairs": [*pairs], "combine": "mean"}
    return asked | {"direction": "higher", "worthwhile": 0.01}


def with_contrast(*pairs: list[str]) -> None:
    params_with(evaluate=read_yaml(Path("params.yaml"))["evaluate"] | {"contrasts": {"pooled": contrast(*pairs)}})


def test_the_pairs_of_a_contrast_are_of_families(choice):
    with_contrast(["kd-max_1", "kd-ce"], ["kd-ce", "plain"])
    write_confirming_study("made", "sure", [5])
    assert study_params("sure").evaluate.contrasts["pooled"].pairs == [
        ["kd-cmi_max", "kd-plain"],
        ["kd-plain", "plain"],
    ]


@pytest.mark.parametrize(
    "pairs",
    [(["kd-max_1", "kd-max_2"], ["kd-ce", "plain"]), (["kd-max_1", "plain"], ["kd-max_2", "plain"])],
    ids=["two trials", "one pair twice"],
)
def test_a_contrast_over_trials_of_one_family_is_refused(choice, pairs):
    with_contrast(*pairs)
    with pytest.raises(UserError, match=r"evaluate\.contrasts\.pooled: it compares trials of one family"):
        write_confirming_study("made", "sure", [5])


def test_what_compares_trials_of_one_family_is_left_out_and_named(choice, monkeypatch, capsys):
    evaluate = read_yaml(Path("params.yaml"))["evaluate"]
    evaluate["claims"]["kd"]["against"] = "kd-max_2"
    evaluate["pairs"] = [{"role": "teacher", "family": "min_5", "against": "min_1"}]
    evaluate["pairs"].append({"role": "teacher", "family": "min_1", "against": "ce"})
    params_with(evaluate=evaluate)
    monkeypatch.setattr(sys, "argv", ["stage", "--study", "made", "--name", "sure", "--seeds", "5"])
    stages.confirm.main()
    assert capsys.readouterr().err == (
        "warning: studies/sure/study.yaml leaves out comparisons between trials of one family: "
        "evaluate.pairs (min_5 and min_1 are both cmi_min); "
        "evaluate.claims.kd (kd-max_1 and kd-max_2 are both kd-cmi_max)\n"
    )
    found = study_params("sure").evaluate
    assert [*found.claims] == ["alone"]
    assert [pair.model_dump() for pair in found.pairs] == [{"role": "teacher", "family": "cmi_min", "against": "plain"}]


def test_a_study_file_is_never_written_over(choice):
    write_confirming_study("made", "sure", [5])
    with pytest.raises(UserError, match=r"studies/sure/study\.yaml: exists already"):
        write_confirming_study("made", "sure", [6])


def test_an_unfinished_study_chooses_nothing(choice):
    params_with(seeds=[0, 1, 2])
    with pytest.raises(
        UserError, match="tiny/teacher/ce/2: is missing in the study's records; finish study made first"
    ):
        write_confirming_study("made", "sure", [5])


def test_families_need_names_of_their_own(choice):
    evaluate = read_yaml(Path("params.yaml"))["evaluate"]
    families = evaluate["families"] | {"student": {"kd-plain": ["kd-max_1", "kd-max_2"]}}
    params_with(evaluate=evaluate | {"families": families})
    with pytest.raises(UserError, match=r"student\.kd-plain: there would be two teachers 'plain'"):
        write_confirming_study("made", "sure", [5])
