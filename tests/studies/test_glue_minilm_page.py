"""The text of docs/glue-minilm.md says what the committed tables and records say."""

import pytest

from src.study.claims.claims import hangs_on
from src.study.named.overrides import study_content
from tests.conftest import REPOSITORY
from tests.support.study_numbers import (
    AT_RATES,
    CHOSEN,
    CLASS,
    FIXED,
    GLUE,
    RATES,
    WHERE,
    WITHOUT_WNLI,
    Arm,
    claims,
    committed,
    compared,
    compared_on,
    logits_by_seed,
    of_one_label,
    of_predictions,
    of_runs,
    points,
    records,
    said,
    text,
    without,
)

PAGE = "docs/glue-minilm.md"
TEACHER, STUDENT = "teacher", "student"
PLAIN = Arm(FIXED, TEACHER, "ce")


def rows_of_tables(page: str, heading: str) -> list[str]:
    section = (REPOSITORY / page).read_text().split(heading)[1].split("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize(
    ("study", "heading"),
    [
        (FIXED, "## What came of the fixed form"),
        (CHOSEN, "## What came of the form that chooses"),
        (RATES, "## What came of equal learning rates"),
        (CLASS, "## What came of class space"),
    ],
)
def test_each_table_of_claims_has_the_difference_without_wnli(study, heading):
    for row, name in [(row, row.split("`")[1]) for row in rows_of_tables(PAGE, heading)]:
        assert "| {} ({}) |".format(*said(without(claims(study)[name], "wnli"))) in row


@pytest.mark.parametrize("study", [FIXED, CHOSEN, CLASS, RATES])
def test_on_wnli_no_arm_is_above_the_majority_label(study):
    """56.3 %, to the last row."""
    arms = committed(study, "arms")
    scores = arms[(arms["task"] == "wnli") & (arms["metric"] == "accuracy")]["mean"]
    majority = records(study, "wnli").labels["test"]["label"].value_counts(normalize=True).max()
    assert scores.max() < majority + 1e-6
    assert f"always guessing the majority label ({100 * majority:.1f} %)" in text(PAGE)


def test_the_page_says_in_how_many_runs_wnli_gets_one_label():
    page = text(PAGE)
    fixed = [of_one_label(Arm(FIXED, "teacher", arm), "wnli") for arm in ("cmi_min", "ce")]
    assert "one label for all rows in {} of 10 runs, plain ones in {}.".format(*fixed) in page
    minimised, plain = ([of_one_label(pair[place], "wnli") for pair in AT_RATES] for place in (0, 1))
    assert "one label for all rows in {}, {} and {} of 10 runs at the three rates.".format(*minimised) in page
    assert "Plain ones do so in {}, {} and {}.".format(*plain) in page


def test_the_students_of_class_space_that_are_compared_are_equal_on_wnli():
    arms = ("plain", "kd-ce", "kd-class_max_1", "kd-class_max_2")
    runs = [logits for arm in arms for logits in logits_by_seed(Arm(CLASS, "student", arm), "wnli").values()]
    assert len({logits.argmax(axis=1).tobytes() for logits in runs}) == 1
    assert "all students of these claims predict the same label for every row" in text(PAGE)


def test_the_page_names_every_verdict_of_the_fixed_form_and_of_class_space_that_hangs_on_a_task():
    page = text(PAGE)
    found = {(study, name): [rest["task"] for rest in hangs_on(claim)] for study in (FIXED, CLASS, RATES)
             for name, claim in claims(study).items()}  # fmt: skip
    assert {key: tasks for key, tasks in found.items() if tasks} == {
        (FIXED, "alone"): ["wnli"],
        (CLASS, "alone_2"): ["qqp-sample"],
        (CLASS, "kd_2"): ["cola"],
    }
    mean, ends = said(without(claims(FIXED)["undistillable"], "cola"))
    assert f"Without `cola` the difference of `undistillable` is {mean} points ({ends})" in page
    rest = without(claims(CLASS)["kd_2"], "cola")
    assert rest["verdict"] == "does not hold"
    assert "`kd_2` hangs on `cola`: without it, it does not hold ({} points, {})".format(*said(rest)) in page
    assert without(claims(CLASS)["alone_2"], "qqp-sample")["verdict"] == "opposite"


def test_the_page_says_how_class_cmi_moved_in_class_space():
    found = {arm: compared(Arm(CLASS, "teacher", arm), "ce", "class_cmi", GLUE) for arm in
             ("class_min_1", "class_min_2", "class_max_1", "class_max_2")}  # fmt: skip
    lower = "{} nats ({}) with weight 0.5 and {} ({}) with 2. With -0.1 it moves by {} ({}), with -0.4 by {} ({})"
    assert lower.format(*sum((said(one, 3, 1) for one in found.values()), ())) in text(PAGE)


def test_the_page_says_on_how_many_tasks_the_larger_weight_of_class_space_loses():
    arm, metrics = Arm(CLASS, "teacher", "class_min_2"), (None, "accuracy", "nll")
    falls = [sum(compared_on(task, arm, "ce", metric).mean < 0 for task in GLUE) for metric in metrics]
    assert falls == [6, 5, 7]
    assert "the first metric falls on six tasks of eight, accuracy on five, and test NLL on seven" in text(PAGE)


def test_the_page_says_which_task_gains_most_at_each_rate():
    told = []
    for (own, plain), rate in zip(AT_RATES, ("5e-5", "1e-4", "2e-4"), strict=True):
        gains = {task: 100 * compared_on(task, own, plain.name).mean for task in WITHOUT_WNLI}
        most = max(gains, key=gains.get)
        told.append(f"`{most}` at {rate} ({gains[most]:+.1f})")
    assert f"gains most at each rate: {', '.join(told)}." in text(PAGE)


def test_the_page_compares_equal_rates_with_six_epochs_of_plain_fine_tuning():
    low, middle, high = (of_predictions(own, PLAIN) for own, _ in AT_RATES)
    (mean, ends), half = said(middle), said(low)[0]
    assert f"eight epochs gains {mean} points without WNLI at 1e-4 ({ends}), {half} at 5e-5 (" in text(PAGE)
    assert f"at 5e-5 (0.0 to {said(low)[1].split(' to ')[1]}), and loses {abs(100 * high.mean):.1f} at 2e-4" in text(
        PAGE
    )


def test_the_page_compares_cmi_min_with_label_smoothing():
    own, smooth = Arm(CHOSEN, "teacher", "cmi_min"), Arm(CHOSEN, "teacher", "smooth")
    primary, (auc, ends) = of_predictions(own, smooth), said(of_predictions(own, smooth, "auc"), 2)
    assert f"CMI-min gains {points(of_predictions(own, smooth, tasks=GLUE))}." in text(PAGE)
    assert points(primary, 2) in text(PAGE)
    assert f"the AUC rises by {auc[1:]} points ({ends.replace('+', '')})" in text(PAGE)


def test_the_page_says_the_scores_of_plain_fine_tuning_in_two_forms():
    means = []
    for study in (FIXED, CHOSEN):
        arms = committed(study, "arms").query("role == 'teacher' and arm == 'ce'")
        primary = arms["metric"] == arms["task"].map({task: records(study, task).primary for task in GLUE})
        means.append(100 * arms[primary]["mean"].mean())
    assert "does better: {:.1f} % over the tasks against {:.1f} %".format(*means) in text(PAGE)


def test_the_page_says_the_mean_best_epochs():
    page, (chosen, fixed, rates) = text(PAGE), map(of_runs, (CHOSEN, FIXED, RATES))
    long = chosen["arm"] == "ce_long"
    teachers, students = chosen[(chosen["role"] == "teacher") & ~long], chosen[chosen["role"] == "student"]
    form = "{:.1f} of 8 for teachers, {:.1f} of 16 for `ce_long`, {:.1f} of 10 for students"
    assert form.format(*(part["best_epoch"].mean() for part in (teachers, chosen[long], students))) in page
    of_fixed = fixed.groupby("role")["best_epoch"].mean()
    assert f"{of_fixed['teacher']:.1f} of 6 for teachers, {of_fixed['student']:.1f} of 8 for students" in page
    of_rates = rates.query("role == 'teacher'").groupby("arm")["best_epoch"].mean().round(1)
    others = {of_rates[name] for name in ("ce_2", "ce_3", "cmi_min_2", "cmi_min_3")}
    assert (
        f"{of_rates['ce_1']} and {of_rates['cmi_min_1']} of 8 at 5e-5 (plain, CMI-min), {others.pop()} at the other"
        in page
    )
    assert not others


def test_the_page_says_what_a_teacher_gives_in_class_space():
    taught = compared(Arm(CLASS, "student", "kd-ce"), "plain", tasks=GLUE)
    assert "a little: {} points over none ({})".format(*said(taught)) in text(PAGE)


def test_the_page_says_which_rates_the_students_of_the_confirming_study_have():
    found = study_content(CHOSEN, *WHERE)
    assert found["student"]["training"]["lr"] == 3e-4  # of all students but those that tasks set
    of_tasks = [task["arms"].get("student", {}) for name, task in found["task_settings"].items() if name in GLUE]
    chosen = [arms["plain"]["training"]["lr"] for arms in of_tasks if "plain" in arms]
    assert chosen.count(1.5e-4) == 7
    assert not [name for arms in of_tasks for name in arms if name != "plain"]
    assert "`plain` chose its learning rate (1.5e-4 on seven tasks), and distilled students kept 3e-4" in text(PAGE)


@pytest.mark.parametrize(
    ("first", "second", "metric", "form"),
    [
        (Arm(CHOSEN, TEACHER, "smooth"), "ce", None, "label smoothing gains nothing ({} points, {}), nor"),
        (Arm(CHOSEN, TEACHER, "mse"), "ce", None, "nor does squared distance ({}, {})"),
        (Arm(CHOSEN, TEACHER, "cmi_max"), "ce", None, "These teachers are worse models: {} points ({})"),
        (Arm(CHOSEN, STUDENT, "kd-ce"), "plain", None, "these students:** `kd-ce` against `plain` is {} points ({})"),
        (Arm(FIXED, TEACHER, "cmi_max"), "ce", None, "the worse model:** {} points over tasks ({})"),
        (Arm(FIXED, STUDENT, "kd-ce"), "plain", None, "little: `kd-ce` against `plain` is {} points ({})"),
        (Arm(RATES, TEACHER, "cmi_min_2"), "ce_2", "class_cmi", "at 1e-4 by {} nats ({})"),
    ],
)  # fmt: skip
def test_the_page_says_other_differences_of_its_studies(first, second, metric, form):
    found = compared(first, second, metric, GLUE)
    assert form.format(*(said(found) if metric is None else said(found, 3, 1))) in text(PAGE)


def test_the_page_says_what_the_fixed_form_shows_on_single_tasks():
    page, arm = text(PAGE), Arm(FIXED, TEACHER, "cmi_min")
    gains = {task: 100 * compared_on(task, arm, "ce").mean for task in GLUE}
    form = "{:+.1f} points of F1 on `qqp-sample`"
    assert form.format(gains["qqp-sample"]) in page
    assert (
        "{:+.1f} on `mnli-sample`, {:+.1f} on `qnli-sample`".format(gains["mnli-sample"], gains["qnli-sample"]) in page
    )
    assert "on `cola` and `sst2` it loses {:.1f} and {:.1f}".format(-gains["cola"], -gains["sst2"]) in page
    lower = [-compared_on(task, arm, "ce", "nll").mean for task in GLUE]
    assert f"on all eight tasks, by {min(lower):.2f} to {max(lower):.2f} nats" in page
    assert all(compared_on(task, Arm(FIXED, TEACHER, "cmi_max"), "ce").mean < 0 for task in GLUE)


def test_the_page_compares_six_epochs_with_eight():
    page = text(PAGE)
    of_cmi_min = of_predictions(Arm(FIXED, TEACHER, "cmi_min"), AT_RATES[1][0])
    mean, ends = said(of_cmi_min)
    assert f"(six epochs against eight: {mean} points without WNLI, {ends})" in page
    mean, ends = said(of_predictions(PLAIN, AT_RATES[1][1]))
    assert f"does better with six ({mean}, {ends.replace('+0.0', '0.0')})" in page
