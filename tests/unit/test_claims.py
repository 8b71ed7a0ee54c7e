"""Families and claims: the trial that stands for a family, and the verdicts by their rule."""

import json
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from src.params import Claim, Families, Params, Reference
from src.params.evaluation import CLAIM_ENDINGS, CLAIM_LISTS
from src.study.claims.claims import claims_content, hangs_on, judged, with_holm
from src.study.claims.claims_in_words import verdict_in_words
from src.study.claims.families import chosen_trials
from src.study.claims.moved import COLUMNS
from src.study.claims.pairs import pairs_to_compare, trials_of
from src.study.claims.tables import ComparedTask, headline
from src.study.records.scores import MeasuredTask
from src.study.simulations.simulation import Setting, verdicts
from src.study.statistics.intervals import Estimate, RunValues
from src.system.errors import UserError

COMPARED = {"role": "teacher", "arm": "b", "against": "a", "metric": "accuracy"}


def claim(direction: str = "higher", metric: str | None = None) -> Claim:
    values = {"statement": "b is better", "role": "teacher", "family": "b", "against": "a", "worthwhile": 0.01}
    return Claim(direction=direction, metric=metric, **values)


def comparisons(*differences: float, error: float | None = 0.001, metric: str = "accuracy") -> pd.DataFrame:
    """A line per task, each with the same standard error on 20 degrees of freedom; of four seeds where it has none."""
    lines = []
    for number, difference in enumerate(differences):
        found = Estimate(difference, error, None if error is None else 20.0)
        low, high = found.interval(0.95)
        line = COMPARED | {"task": f"t{number}", "metric": metric, "difference": difference, "low": low, "high": high}
        line |= {"n": 4 if error is None else 5}
        lines.append(line | {"standard_error": error, "freedom": found.freedom, "p": found.p})
    return pd.DataFrame(lines)


def compared(table: pd.DataFrame, constant: Collection[str] = (), also_test: str | None = None) -> dict:
    """The tasks of a table of comparisons, with a run of `a` and one of `b`; those of `constant` predict one label."""
    found = {}
    for task, own in table.groupby("task", sort=False):
        metrics = dict.fromkeys(own["metric"], RunValues(np.zeros(2)))
        of_one_label = frozenset([0, 1] if task in constant else [])
        measured = MeasuredTask(str(task), "accuracy", pd.DataFrame(), metrics, also_test, of_one_label)
        found[str(task)] = ComparedTask(measured, {("teacher", "a"): [0], ("teacher", "b"): [1]})
    return found


def judge(table: pd.DataFrame, of: Claim | None = None, **about_tasks: Any) -> dict:
    return judged("some", of or claim(), table, compared(table, **about_tasks), 0.95)


def in_words(found: dict) -> str:
    """A claim in words, of a study that knows nothing of CMI."""
    return verdict_in_words(found, pd.DataFrame(columns=COLUMNS))


@pytest.mark.parametrize(
    ("differences", "error", "verdict", "reason"),
    [
        ([0.02, 0.01, 0.03], 0.004, "holds", "the tasks agree"),
        ([-0.02, -0.01, -0.03], 0.004, "opposite", "the tasks agree"),
        ([0.001, -0.001, 0.002], 0.002, "does not hold", "leaves out a gain of 0.01"),
        ([0.02, -0.02, 0.01], 0.02, "cannot be told at this size", "both 0 and a gain of 0.01"),
        ([0.09, -0.03, 0.01], 0.004, "does not hold", "a task goes the other way beyond doubt"),
        ([0.09, -0.001, -0.001], 0.004, "does not hold", "not most tasks go that way"),
        ([0.02, 0.01, 0.03], None, "cannot be told at this size", "fewer than 5 seeds"),
    ],
)
def test_each_verdict_follows_its_rule(differences, error, verdict, reason):
    found = judge(comparisons(*differences, error=error))
    assert found["verdict"] == verdict
    assert reason in found["reason"]
    json.dumps(found, allow_nan=False)


def test_a_claim_for_a_lower_value_is_the_mirror_image():
    table = comparisons(-0.02, -0.01, -0.03, error=0.004, metric="kl_to_human")
    found = judge(table, claim("lower", "kl_to_human"))
    assert (found["verdict"], found["wins"], found["count"]) == ("holds", 3, 3)
    assert found["difference"] == pytest.approx(-0.02)  # of b less a, as everywhere
    assert judge(table, claim("higher", "kl_to_human"))["verdict"] == "opposite"


def test_a_verdict_that_hangs_on_one_task_says_so():
    found = judge(comparisons(0.09, 0.001, 0.001, error=0.004))
    assert (found["verdict"], hangs_on(found)) == ("holds", [found["without"][0]])
    first, second, _ = found["without"]
    assert (first["task"], first["verdict"]) == ("t0", "does not hold")
    half = 2.0211 * 0.004 / 2**0.5  # t with 40 degrees
    assert (first["difference"], first["low"], first["high"]) == pytest.approx(
        (0.001, 0.001 - half, 0.001 + half), rel=1e-4
    )
    assert (second["verdict"], second["difference"]) == ("holds", pytest.approx(0.0455))
    assert in_words(found).endswith("Without t0: does not hold (+0.0010, interval -0.0047 to +0.0067).")
    content = claims_content([found], ["a warning"])
    assert content["some_hangs_on"] == "t0"
    assert set(content) == {*CLAIM_LISTS, *(f"some{ending}" for ending in CLAIM_ENDINGS)}


def test_numbers_of_a_claim_are_those_of_its_tasks():
    found = judge(comparisons(0.02, -0.01, error=0.004))
    error = 0.004 / 2**0.5
    assert found["difference"] == pytest.approx(0.005)
    assert found["smallest_visible"] == pytest.approx(error * (2.0211 + 0.8507), rel=1e-4)  # t with 40 degrees
    assert (found["low"], found["high"]) == pytest.approx((0.005 - 2.0211 * error, 0.005 + 2.0211 * error), rel=1e-4)
    assert (found["wins"], found["ties"], found["p_wins"]) == (1, 0, 0.75)
    first, second = found["tasks"]
    assert first["p"] == Estimate(0.02, 0.004, 20.0).p
    assert first["p_holm"] == pytest.approx(2 * first["p"])
    assert second["p_holm"] == pytest.approx(second["p"])


def test_a_claim_about_raters_looks_at_the_second_test_set_where_the_first_has_none():
    table = pd.concat([comparisons(0.02, 0.01), comparisons(-0.03, error=0.004, metric="votes_kl_to_human")])
    found = judge(table, claim("lower", "kl_to_human"), also_test="votes")
    assert [line["metric"] for line in found["tasks"]] == ["votes_kl_to_human"]
    assert found["verdict"] == "holds"
    none = judge(table, claim("lower", "nll"))
    assert (none["verdict"], none["reason"]) == ("cannot be told at this size", "no task is measured in nll")
    assert in_words(none).endswith("(no task is measured in nll).")


def test_a_task_without_the_metric_of_a_claim_is_left_out_and_named():
    """macro_f1 ends as f1 does, and is another metric."""
    other = comparisons(-0.5, error=0.004, metric="macro_f1").assign(task="t2")
    found = judge(pd.concat([comparisons(0.02, 0.01, error=0.004, metric="f1"), other]), claim(metric="f1"))
    assert [line["task"] for line in found["tasks"]] == ["t0", "t1"]
    assert (found["verdict"], found["difference"], found["left_out"]) == ("holds", pytest.approx(0.015), ["t2"])
    assert in_words(found).endswith("These tasks do not measure f1 and are left out: t2.")


def test_nothing_can_be_told_of_arms_that_predict_one_label():
    found = judge(comparisons(0.0, 0.0, error=0.0), constant=["t0", "t1"])
    assert (found["verdict"], found["reason"]) == ("cannot be told at this size", "both arms predict one label")
    assert not {"low", "high", "p", "smallest_visible"} & {*found}
    assert "interval" not in in_words(found)
    same = judge(comparisons(0.0, 0.0, error=0.0), constant=["t0"])
    assert same["reason"].endswith("; the difference is the same in every row of every run")


@pytest.mark.parametrize(
    ("differences", "verdict", "reason"),
    [
        ([0.003], "cannot be told at this size", "the verdict is: cannot be told at this size"),
        ([-0.02], "does not hold", "leaves out a gain of 0.01"),
        ([0.1], "holds", "the tasks agree"),
        ([-0.1], "opposite", "the tasks agree"),
    ],
)
def test_tasks_without_an_error_stay_in_the_mean_and_decide_nothing(differences, verdict, reason):
    """Three such tasks make the interval a fourth as wide."""
    none = comparisons(0.0, 0.0, 0.0, error=0.0)
    table = pd.concat([comparisons(*differences, error=0.01).assign(task="t3"), none])
    found = judge(table, constant=["t0", "t1", "t2"])
    assert found["difference"] == pytest.approx(differences[0] / 4)
    assert found["high"] == pytest.approx(differences[0] / 4 + 2.08596 * 0.01 / 4, rel=1e-4)
    assert found["verdict"] == verdict
    assert reason in found["reason"]
    assert "On t0 both arms predict one label: its difference has no error." in in_words(found)


def referred(*differences: float, reference: list[float], error: float = 0.004, of_reference: float = 0.004) -> dict:
    """A claim that b is above a, whose reference is that d is above c."""
    return judge_referred(comparisons(*differences, error=error), comparisons(*reference, error=of_reference))


def judge_referred(table: pd.DataFrame, reference: pd.DataFrame, **about_tasks: Any) -> dict:
    """The same claim, from the comparisons of b with a, and those of its reference."""
    both = pd.concat([table, reference.assign(arm="d", against="c")])
    tasks = compared(both, **about_tasks)
    for task in tasks.values():
        task.lines.update({("teacher", "c"): [0], ("teacher", "d"): [1]})
    of = claim().model_copy(update={"reference": Reference(family="d", against="c")})
    return judged("some", of, both, tasks, 0.95)


NULL, WIDE = [0.001, -0.001, 0.002], [0.02, -0.02, 0.01]


@pytest.mark.parametrize(
    ("differences", "error", "by_itself"),
    [
        (NULL, 0.002, "does not hold"),
        (WIDE, 0.02, "cannot be told at this size"),
        ([0.02, 0.01, 0.03], 0.004, "holds"),
        ([-0.02, -0.01, -0.03], 0.004, "opposite"),
        ([0.09, -0.03, 0.01], 0.004, "does not hold"),  # its interval leaves out 0: a difference was seen
    ],
)
def test_a_null_result_counts_where_the_reference_pair_differs(differences, error, by_itself):
    differs = referred(*differences, reference=[0.02, 0.01, 0.03], error=error)
    assert (differs["verdict"], differs["reference"]["differs"]) == (by_itself, True)
    absent = referred(*differences, reference=[0.002, -0.001, 0.002], error=error)
    null = differences in (NULL, WIDE)
    assert absent["verdict"] == ("cannot be seen here" if null else by_itself)
    assert absent.get("by_itself") == (by_itself if null else None)
    assert absent["difference"] == differs["difference"]


def test_the_reason_names_the_reference_pair_its_difference_and_interval():
    """The mean of three errors of 0.004 has 0.00231 on 60 degrees of freedom, 2.0003 of which are 0.0046."""
    found = referred(*NULL, reference=[0.002, -0.001, 0.002], error=0.002)
    told = "the reference pair does not differ as claimed: d minus c +0.0010, interval -0.0036 to +0.0056"
    assert found["reason"] == told
    assert f"cannot be seen here ({told})." in in_words(found)
    seen = referred(*NULL, reference=[0.02, 0.01, 0.03], error=0.002)
    assert "Reference: d minus c +0.0200, interval +0.0154 to +0.0246." in in_words(seen)


def test_a_difference_that_was_seen_is_no_null_result_whatever_a_task_without_an_error_changes():
    """With it, Holm's p of the task that loses is 0.084, and without it 0.042."""
    claimed = [comparisons(0.08, 0.08, error=0.004), comparisons(-0.02, error=0.0092).assign(task="t2")]
    none = comparisons(0.0, error=0.0).assign(task="t3", p=1.0)
    pair = comparisons(0.001, 0.001, 0.001, 0.001, error=0.004)
    found = judge_referred(pd.concat([*claimed, none]), pair, constant=["t3"])
    assert found["low"] > 0
    assert (found["verdict"], found["reference"]["differs"]) == ("cannot be told at this size", False)
    assert found["reason"].endswith("the verdict is: does not hold")


def test_a_student_is_marked_where_a_teacher_or_its_family_has_the_same_name():
    rows = [("student", "plain", 0.5), ("teacher", "ce", 0.8), ("teacher", "plain", 0.9)]
    arms = pd.DataFrame([("t", role, arm, "accuracy", mean) for role, arm, mean in rows],
                        columns=["task", "role", "arm", "metric", "mean"])  # fmt: skip
    families = Families(teacher={"plain": ["ce"]}, student={})
    assert headline(arms, {"t": "accuracy"}, families) == {"t": {"plain (student)": 0.5, "plain": 0.9}}


def test_a_reference_that_differs_the_other_way_does_not_count():
    assert referred(*NULL, reference=[-0.02, -0.01, -0.03], error=0.002)["verdict"] == "cannot be seen here"


def test_a_reference_is_asked_over_the_same_tasks_as_the_claim():
    """Without the task on which alone distillation gains, a null result says nothing."""
    found = referred(*NULL, reference=[0.09, 0.0, 0.0], error=0.002)
    assert found["verdict"] == "does not hold"
    assert [rest["verdict"] for rest in hangs_on(found)] == ["cannot be seen here"]
    assert hangs_on(found)[0]["task"] == "t0"


def test_tasks_without_an_error_make_no_reference():
    """Two differences without an error alone leave 0 out of the interval."""
    pair = pd.concat([comparisons(0.003, error=0.004), comparisons(0.0, 0.03, 0.03, error=0.0).iloc[1:]])
    found = judge_referred(comparisons(*NULL, error=0.002), pair, constant=["t1", "t2"])
    assert found["reference"]["low"] > 0
    assert (found["verdict"], found["reference"]["differs"]) == ("cannot be seen here", False)


def test_below_five_seeds_the_size_is_the_reason():
    found = referred(*NULL, reference=NULL, error=None, of_reference=None)
    assert found["reason"] == "fewer than 5 seeds give no interval"
    assert "Reference: d minus c +0.0007, no interval." in in_words(found)


def test_with_five_seeds_the_test_rows_of_a_task_are_the_reason():
    """As of a task whose rows share texts so far that they count as fewer than two."""
    rows = comparisons(0.01, error=None).assign(task="t9", n=5)
    found = judge(pd.concat([comparisons(0.02, 0.01), rows]))
    told = "test rows that count as fewer than 2 independent ones give no interval (t9)"
    assert (found["verdict"], found["reason"]) == ("cannot be told at this size", told)


def test_holm_is_over_all_claims_of_a_study():
    """The smallest of three p counts three times, the next twice, and none less than one before it."""
    found = with_holm(
        [{"name": "a", "p": 0.01, "low": 0}, {"name": "b"}, {"name": "c", "p": 0.2}, {"name": "d", "p": 0.03}]
    )
    assert [claim.get("p_holm") for claim in found] == [
        pytest.approx(0.03),
        None,
        pytest.approx(0.2),
        pytest.approx(0.06),
    ]
    assert [*found[0]] == ["name", "p", "p_holm", "low"]
    one = with_holm([judge(comparisons(0.02, -0.01, error=0.004)), {"p": 0.5}])[0]
    assert f"p {one['p']:.4f} ({2 * one['p']:.4f} with Holm over the study's claims)" in in_words(one)


def test_what_dvc_shows_of_a_claim_is_its_difference_interval_and_verdict():
    content = claims_content([judge(comparisons(0.02, 0.01, 0.03, error=0.004))], ["no run beats the majority"])
    shown = {key: value for key, value in content.items() if not isinstance(value, list)}
    assert shown == {"some": 0.02, "some_interval": "0.015 to 0.025", "some_verdict": "holds"}


def test_the_best_trial_on_selection_stands_for_its_family_and_the_first_of_equals():
    families = Families(teacher={"x": ["a", "b", "c"]}, student={"y": ["d", "e"]})
    scores = {("teacher", "a"): 0.7, ("teacher", "b"): 0.8, ("teacher", "c"): 0.8}
    scores |= {("student", "d"): 0.5, ("student", "e"): 0.4}
    assert chosen_trials(families, scores) == {("teacher", "x"): "b", ("student", "y"): "d"}


def with_evaluate(params: Params, **evaluate) -> Params:
    content = params.model_dump()
    content["evaluate"] |= {"claims": {}} | evaluate
    return Params.model_validate(content)


def test_families_may_be_compared_where_they_have_equally_many_trials(params):
    families = {"teacher": {"cmi": ["cmi_min", "cmi_max"], "plain": ["ce"]}}
    pair = [{"role": "teacher", "family": "cmi", "against": "plain"}]
    with pytest.raises(UserError, match=r"evaluate\.pairs: cmi has 2 trials and plain has 1; give both sides as many"):
        pairs_to_compare(with_evaluate(params, families=families, pairs=pair))
    families["teacher"]["cmi"] = ["cmi_min"]
    found = with_evaluate(params, families=families, pairs=pair)
    assert ("teacher", "cmi", "plain") in pairs_to_compare(found)
    assert trials_of(found)["teacher"]["cmi"] == ["cmi_min"]


@pytest.mark.parametrize(
    ("families", "told"),
    [
        ({"ce": ["cmi_min"]}, "families.teacher.ce: is also the name of an arm"),
        ({"x": ["nosuch"]}, "families.teacher.x: unknown arm 'nosuch'; allowed: ce, cmi_min, cmi_max"),
        ({"x": ["ce"], "y": ["ce"]}, "families.teacher.y: arm 'ce' is named twice"),
        ({"x": ["ce", "ce"]}, "families.teacher.x: arm 'ce' is named twice"),
    ],
)
def test_a_faulty_family_is_refused(params, families, told):
    with pytest.raises(UserError, match=told):
        pairs_to_compare(with_evaluate(params, families={"teacher": families}))


def test_a_claim_about_an_unknown_arm_is_refused(params):
    content = params.model_dump()
    content["evaluate"]["claims"]["alone"]["family"] = "cmi_mni"
    with pytest.raises(UserError, match=r"evaluate\.claims\.alone: unknown teacher arm or family 'cmi_mni'"):
        pairs_to_compare(Params.model_validate(content))


def test_a_reference_pair_is_compared_and_must_be_another_pair(params):
    assert ("student", "kd-ce", "plain") in pairs_to_compare(params)
    content = params.model_dump()
    of_claim = content["evaluate"]["claims"]["alone"]
    for reference in ({"family": "ce", "against": "cmi_min"}, {"family": "ce", "against": "ce"}):
        of_claim["reference"] = reference
        with pytest.raises(ValidationError, match=r"should be (another pair|two)"):
            Params.model_validate(content)
    of_claim["reference"] = {"family": "cmi_max", "against": "ce"}
    assert pairs_to_compare(Params.model_validate(content))[-1] != ("teacher", "cmi_max", "ce")  # compared anyway
    of_claim["reference"] = {"family": "cmi_max", "against": "cmi_min"}
    assert ("teacher", "cmi_max", "cmi_min") in pairs_to_compare(Params.model_validate(content))


def test_simulated_verdicts_are_the_same_every_time():
    setting = Setting(50, 5, 0.15)
    assert np.array_equal(verdicts(setting, 1, 0.2, 20), verdicts(setting, 1, 0.2, 20))
