"""Curves: where arms stand, what is compared for them, and the figures."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest

import stages.collect
import stages.evaluate
import stages.plot
from src.params import Objective, Params, Training, check_params, load_params
from src.params.evaluation import CurveSetting
from src.study.claims.curves import x_of
from src.study.claims.pairs import pairs_to_compare
from src.study.drawing.curve_points import OVER_TASKS, RATERS, curve_points
from src.study.drawing.curves_figure import SETTINGS, draw_curve, draw_curves
from src.study.drawing.study_results import StudyResults, load_results
from src.system.errors import UserError
from tests.conftest import params_content
from tests.support.synthetic_study import make_study

WEIGHT = {"over": "cmi_weight", "role": "teacher", "lines": {"CMI": ["cmi_max", "ce", "cmi_min"]}}
TWO_LINES = {"CMI": ["cmi_max", "ce"], "smooth": ["smooth_max", "smooth"]}
SMOOTH = {"smooth_max": {"label_smoothing": 0.1, "cmi_weight": -2.0}, "smooth": {"label_smoothing": 0.1}}


def with_curve(curve: Mapping[str, Any], families: Mapping[str, list[str]] = {}, **arms: Any) -> Params:
    """params.yaml with a curve, and with more arms of teachers and families of them."""
    content = params_content()
    content["finetune"]["arms"] |= SMOOTH | arms
    content["evaluate"] |= {"curves": {"some": WEIGHT | curve}, "families": {"teacher": families}}
    return check_params(Path("params.yaml"), content)


@pytest.mark.parametrize(
    ("curve", "told"),
    [
        ({"over": "cmi_wait"}, r"evaluate\.curves\.some\.over: not acceptable \(got 'cmi_wait'\); it should be 'cmi_w"),
        ({"over": "batch_size"}, r"evaluate\.curves\.some\.over: not acceptable"),
        ({"over": "alpha"}, "some: .*; only students have alpha: set role to student"),
        ({"lines": {}}, r"some\.lines: not acceptable"),
        ({"lines": {"CMI": []}}, r"some\.lines\.CMI: not acceptable"),
        ({"lines": {"": ["ce"]}}, r"some\.lines\.: not acceptable"),
        ({"against": "CMI"}, "some: .*; against should name one of two or more lines .there are: CMI."),
        (
            {"lines": TWO_LINES, "against": "ce"},
            "against should name one of two or more lines .there are: CMI, smooth.",
        ),
        (
            {"lines": {"CMI": ["ce", "cmi_mni"]}},
            r"curves\.some\.lines\.CMI: unknown teacher arm or family 'cmi_mni'; allowed: ce, ",
        ),
        (
            {"lines": {"CMI": ["kd-ce"]}},
            r"curves\.some\.lines\.CMI: unknown teacher arm or family 'kd-ce'; allowed: ce, ",
        ),
        (
            {"lines": {"CMI": ["ce", "cmi_min", "smooth"]}},
            r"curves\.some\.lines\.CMI: more than one arm has cmi_weight 0 on vader-movie; name one arm for each value",
        ),
        (
            {"lines": {"CMI": ["cmi_min"], "smooth": ["smooth"]}, "against": "smooth"},
            r"curves\.some\.against: no arm has the cmi_weight of an arm of 'smooth'; name a line that shares values",
        ),
        (
            {"lines": {"CMI": ["ce"], "best": ["zero"]}, "against": "CMI"},
            r"curves\.some: zero has 2 trials and ce has 1; give both sides as many trials",
        ),
    ],
)
def test_a_faulty_curve_is_refused(curve, told):
    with pytest.raises(UserError, match=told):
        pairs_to_compare(with_curve(curve, families={"zero": ["smooth", "mse"]}, mse={"label_loss": "mse"}))


def test_every_setting_of_curves_is_one_of_runs():
    settings = {*get_args(CurveSetting)}
    assert settings <= Objective.model_fields.keys() | Training.model_fields.keys()
    assert SETTINGS.keys() <= settings


def test_a_student_without_a_teacher_has_no_temperature():
    curve = {"over": "temperature", "role": "student", "lines": {"any": ["plain", "kd-ce"]}}
    with pytest.raises(UserError, match=r"curves\.some\.over: plain has no teacher and no temperature"):
        pairs_to_compare(with_curve(curve))


def test_a_family_may_not_come_to_stand_where_another_arm_of_its_line_does():
    curve = {"lines": {"CMI": ["cmi_max", "ce", "best"]}}
    with pytest.raises(UserError, match=r"lines\.CMI: more than one arm has cmi_weight 0 on vader-movie"):
        pairs_to_compare(with_curve(curve, families={"best": ["smooth", "cmi_min"]}))


def test_an_arm_stands_where_its_settings_say():
    """Those of its section, of the task, of the arm, and of the arm on the task."""
    content = params_content()
    content["task_settings"]["vader-nyt"]["arms"] = {"teacher": {"cmi_min": {"cmi_weight": 25.0}}}
    content["task_settings"]["vader-nyt"]["training"] = {"student": {"epochs": 9}}
    content["student"]["arms"]["few"] = {"training": {"train_share": 0.1}}
    content["distill"]["matched"] = [{"teacher": "ce", "like": "cmi_max"}]

    def at(over: str, role: str, task: str, arm: str) -> float:
        content["evaluate"]["curves"] = {"some": {"over": over, "role": role, "lines": {"a": [arm]}}}
        params = Params.model_validate(content)
        return x_of(params, params.evaluate.curves["some"], task, arm)

    assert at("cmi_weight", "teacher", "vader-movie", "cmi_min") == 5
    assert at("cmi_weight", "teacher", "vader-nyt", "cmi_min") == 25
    assert at("train_share", "student", "vader-movie", "few") == 0.1
    assert at("train_share", "student", "vader-movie", "plain") == 1
    assert at("epochs", "student", "vader-nyt", "plain") == at("epochs", "student", "vader-nyt", "kd-ce") == 9
    assert at("alpha", "student", "vader-movie", "plain") == 0
    assert at("alpha", "student", "vader-movie", "kd-cmi_max") == 0.9
    assert at("temperature", "student", "vader-movie", "kd-ce_as_cmi_max") == 2


def test_arms_at_one_x_are_compared_on_whatever_task_they_meet():
    without = pairs_to_compare(with_curve({"lines": TWO_LINES}))
    found = with_curve({"lines": TWO_LINES, "against": "smooth"})
    more = [("teacher", "cmi_max", "smooth_max")]
    assert ("teacher", "smooth", "ce") in without  # which says as much as ce against smooth
    assert pairs_to_compare(found) == [*without, *more]
    content = found.model_dump()
    content["tasks"] = ["vader-movie", "vader-nyt"]
    content["task_settings"]["vader-nyt"]["arms"] = {
        "teacher": {"smooth": {"cmi_weight": -2.0}, "smooth_max": {"cmi_weight": 0.0}}
    }
    crossed = [("teacher", "cmi_max", "smooth")]
    assert {*pairs_to_compare(Params.model_validate(content))} == {*without, *more, *crossed}


def test_families_are_compared_where_they_may_come_to_stand_at_one_x():
    arms = {"min_1": {"cmi_weight": 1.0}, "smooth_1": {"label_smoothing": 0.1, "cmi_weight": 1.0}}
    families = {"cmi": ["cmi_min", "min_1"], "both": ["smooth_1", "smooth"]}
    curve = {"lines": {"CMI": ["ce", "cmi"], "smooth": ["both"]}, "against": "smooth"}
    with pytest.raises(UserError, match="ce has 1 trials and both has 2"):  # both might choose the weight 0
        pairs_to_compare(with_curve(curve, families, **arms))
    curve["lines"]["CMI"] = ["cmi_max", "cmi"]
    assert pairs_to_compare(with_curve(curve, families, **arms))[-1] == ("teacher", "cmi", "both")


TASKS = ["one", "two"]
TEACHERS = {"ce": {}, "low": {"cmi_weight": -2.0}, "min_1": {"cmi_weight": 1.0}, "min_5": {"cmi_weight": 5.0}} | SMOOTH
CURVES = {
    "lines": {
        "over": "cmi_weight",
        "role": "teacher",
        "lines": {"CMI": ["min", "ce", "low"], "_$": ["smooth", "smooth_max"]},
        "against": "_$",
    },
    "alone": {"over": "alpha", "role": "student", "lines": {"any": ["plain", "kd-ce"]}},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> StudyResults:
    """Of a study of two tasks and five seeds, in a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("study"))
        families = {"teacher": {"min": ["min_1", "min_5"]}}
        make_study(["no", "yes"], TEACHERS, seeds=5, tasks=TASKS, evaluate={"curves": CURVES, "families": families})
        for module, arguments in ((stages.collect, ["one"]), (stages.collect, ["two"]), (stages.evaluate, [])):
            patch.setattr(sys, "argv", ["stage", *(["--task", *arguments] if arguments else [])])
            module.main()
        yield load_results(load_params())


def points_of(results: StudyResults, name: str = "lines") -> pd.DataFrame:
    return curve_points(results.params.evaluate.curves[name], results)


def test_points_are_those_of_the_tables_and_a_family_stands_where_its_chosen_trial_does(results):
    points = points_of(results)
    own = points.query("row == 'score' and task == 'one' and line == 'CMI'").set_index("x")
    arms = results.tables.arms.query("role == 'teacher' and metric == 'accuracy' and task == 'one'").set_index("arm")
    [chosen] = results.tables.trials.query("task == 'one' and chosen")["arm"]
    assert sorted(own.index) == [-2, 0, TEACHERS[chosen]["cmi_weight"]]
    for x, arm in ((-2, "low"), (0, "ce"), (TEACHERS[chosen]["cmi_weight"], chosen)):
        assert own.loc[x, ["y", "low", "high"]].tolist() == arms.loc[arm, ["mean", "low", "high"]].tolist()
    compared = results.tables.comparisons.query("task == 'two' and arm == 'low' and against == 'smooth_max'")
    [shown] = points.query("row == 'difference' and task == 'two' and x == -2").to_dict("records")
    expected = compared.query("metric == 'accuracy'")[["difference", "low", "high"]].iloc[0].tolist()
    assert [shown["y"], shown["low"], shown["high"]] == expected
    over = points[points["task"] == OVER_TASKS].set_index("x")
    [other_way] = results.tables.over_tasks.query("arm == 'smooth' and against == 'ce'").to_dict("records")
    assert sorted(over.index) == [-2, 0]
    expected = [-other_way[key] for key in ("difference", "high", "low")]
    assert over.loc[0, ["y", "low", "high"]].tolist() == expected


def test_a_mean_over_tasks_is_of_arms_that_stand_at_one_x_on_all(results):
    content = results.params.model_dump()
    own = {arm: {"cmi_weight": -8.0} for arm in ("low", "smooth_max")}
    content["task_settings"]["two"]["arms"] = {"teacher": own}
    points = points_of(replace(results, params=Params.model_validate(content)))
    assert sorted(points.query("row == 'difference' and task == 'two'")["x"]) == [-8, 0]
    assert points.query("task == 'mean over tasks'")["x"].tolist() == [0]


def test_raters_are_those_of_the_second_test_set_where_the_first_has_none(results):
    nll = results.tables.arms[results.tables.arms["metric"] == "nll"]
    of = {"one": ["kl_to_human", "votes_kl_to_human", "kl_to_human_tempered"], "two": ["votes_kl_to_human"]}
    rated = [nll[nll["task"] == task].assign(metric=metric) for task, metrics in of.items() for metric in metrics]
    with_raters = replace(results, tables=replace(results.tables, arms=pd.concat([results.tables.arms, *rated])))
    points = points_of(with_raters, "alone")
    shown = points[points["row"] == RATERS].groupby("task")["metric"].unique().map(list).to_dict()
    assert shown == {"one": ["kl_to_human"], "two": ["votes_kl_to_human"]}
    axes = draw_curve(results.params.evaluate.curves["alone"], points).axes
    assert [axis.get_ylabel() for axis in axes] == [
        "accuracy", "", "KL(human || model)\nnats", "KL(human || model)\nof votes, nats"
    ]  # fmt: skip


def test_panels_name_tasks_and_values_and_lines_have_a_legend(results):
    figure = draw_curve(results.params.evaluate.curves["lines"], points_of(results))
    figure.draw_without_rendering()
    shown = [axis for axis in figure.axes if axis.axison]
    assert [axis.get_title() for axis in shown] == ["one", "two", "", "", OVER_TASKS]
    assert [axis.get_xlabel() for axis in shown] == ["", "", *["CMI weight"] * 3]
    assert [axis.get_ylabel() for axis in shown] == ["accuracy", "", "Δ accuracy\nto _$", "", ""]
    values = sorted(points_of(results)["x"].unique())
    assert [label.get_text() for label in shown[-1].get_xticklabels()] == [f"{value:g}" for value in values]
    [legend] = [axis.get_legend() for axis in figure.axes if axis.get_legend()]
    assert [text.get_text() for text in legend.get_texts()] == ["CMI", "_$"]


def test_figures_have_stable_bytes_and_a_study_without_curves_has_none(results, tmp_path):
    one, two, none = (tmp_path / name for name in ("one", "two", "none"))
    evaluate = results.params.evaluate.model_copy(update={"curves": {}})
    without = replace(results, params=results.params.model_copy(update={"evaluate": evaluate}))
    for folder, found in ((one, results), (two, results), (none, without)):
        folder.mkdir()
        draw_curves(found, folder)
    assert sorted(path.name for path in one.iterdir()) == ["curve_alone.png", "curve_lines.png"]
    assert all((two / path.name).read_bytes() == path.read_bytes() for path in one.iterdir())
    assert not [*none.iterdir()]


def test_one_seed_has_points_without_intervals_and_the_stage_draws_them(call, recwarn):
    """Also where a share of rows is the setting, and one task alone."""
    curve = {"over": "train_share", "role": "teacher", "lines": {"a": ["ce", "half"], "b": ["low"]}, "against": "b"}
    teachers = {"ce": {}, "half": {"training": {"train_share": 0.5}}, "low": {"cmi_weight": -2.0}}
    make_study(["no", "yes"], teachers, seeds=1, evaluate={"curves": {"share": curve}})
    call(stages.collect, "--task", "tiny")
    call(stages.evaluate)
    call(stages.plot)
    assert Path("plots/made/curve_share.png").is_file()
    found = load_results(load_params())
    points = points_of(found, "share")
    assert points["low"].isna().all()
    assert OVER_TASKS not in set(points["task"])
    axes = draw_curve(found.params.evaluate.curves["share"], points).axes
    assert [label.get_text() for label in axes[-1].get_xticklabels()] == ["50 %", "100 %"]
    assert not [str(warning.message) for warning in recwarn]
