"""The pages of the studies on GLUE have the numbers of the committed tables and records."""

import pytest

from src.study.claims.claims import hangs_on, without_task
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
    after,
    cells,
    claims,
    committed,
    compared,
    compared_on,
    logits_by_seed,
    of_one_label,
    of_predictions,
    of_runs,
    page_of,
    records,
    rows,
    said,
    text,
)

TEACHER, STUDENT = "teacher", "student"
PLAIN = Arm(FIXED, TEACHER, "ce")


@pytest.mark.parametrize("study", [FIXED, CHOSEN, RATES, CLASS])
def test_each_table_of_claims_has_the_difference_without_wnli(study):
    section = (REPOSITORY / page_of(study)).read_text().split("\n## Results\n")[1]
    for name, claim in claims(study).items():
        [row] = [line for line in section.splitlines() if line.startswith(f"| `{name}`: ")]
        assert "| {} ({}) |".format(*said(without_task(claim, "wnli"))) in row


@pytest.mark.parametrize("study", [FIXED, CHOSEN, CLASS, RATES])
def test_on_wnli_no_arm_is_above_the_majority_label(study):
    """56.3 %, to the last row."""
    arms = committed(study, "arms")
    scores = arms[(arms["task"] == "wnli") & (arms["metric"] == "accuracy")]["mean"]
    majority = records(study, "wnli").labels["test"]["label"].value_counts(normalize=True).max()
    assert scores.max() < majority + 1e-6
    assert f"({100 * majority:.1f} %)" in text(page_of(CHOSEN))
    assert cells(page_of(FIXED), "the majority label") == [f"{100 * majority:.1f} %", ""]


def test_the_pages_say_in_how_many_runs_wnli_gets_one_label():
    arms = committed(FIXED, "arms").query("task == 'wnli' and role == 'teacher' and metric == 'accuracy'")
    for label, arm in {"plain fine-tuning": "ce", "CMI-min": "cmi_min"}.items():
        [score] = arms[arms["arm"] == arm]["mean"]
        told = [f"{100 * score:.1f} %", str(of_one_label(Arm(FIXED, TEACHER, arm), "wnli"))]
        assert cells(page_of(FIXED), label) == told
    minimised, plain = ([str(of_one_label(pair[place], "wnli")) for pair in AT_RATES] for place in (0, 1))
    assert cells(page_of(RATES), "CMI-min runs that predict one label for all rows of WNLI, of 10") == minimised
    assert cells(page_of(RATES), "plain runs that do so, of 10") == plain


def test_the_students_of_class_space_that_are_compared_are_equal_on_wnli():
    arms = ("plain", "kd-ce", "kd-class_max_1", "kd-class_max_2")
    runs = [logits for arm in arms for logits in logits_by_seed(Arm(CLASS, "student", arm), "wnli").values()]
    assert len({logits.argmax(axis=1).tobytes() for logits in runs}) == 1


def test_the_pages_name_every_verdict_that_hangs_on_a_task():
    """Where nothing is chosen; the verdict of the fixed study is in its table of claims."""
    found = {(study, name): [rest["task"] for rest in hangs_on(claim)] for study in (FIXED, CLASS, RATES)
             for name, claim in claims(study).items()}  # fmt: skip
    assert {key: tasks for key, tasks in found.items() if tasks} == {
        (FIXED, "alone"): ["wnli"],
        (CLASS, "alone_2"): ["qqp-sample"],
        (CLASS, "kd_2"): ["cola"],
    }
    for name, task in {"alone_2": "qqp-sample", "kd_2": "cola"}.items():
        rest = without_task(claims(CLASS)[name], task)
        assert cells(page_of(CLASS), f"`{task}`") == [f"`{name}`", *said(rest), rest["verdict"]]
    least = min(claims(FIXED)["undistillable"]["without"], key=lambda rest: abs(rest["difference"]))
    assert least["task"] == "cola"
    assert "to {} points ({})".format(*said(least)) in text(page_of(FIXED))


def test_the_page_says_how_class_cmi_moved_in_class_space():
    for arm in ("class_min_1", "class_min_2", "class_max_1", "class_max_2"):
        moved = compared(Arm(CLASS, TEACHER, arm), "ce", "class_cmi", GLUE)
        assert cells(page_of(CLASS), f"`{arm}`")[1:] == [*said(moved, 3, 1)]


def test_the_page_says_on_how_many_tasks_the_larger_weight_of_class_space_loses():
    arm, metrics = Arm(CLASS, TEACHER, "class_min_2"), (None, "accuracy", "nll")
    moved = [[compared_on(task, arm, "ce", metric).mean for task in GLUE] for metric in metrics]
    falls = [sum(difference < 0 for difference in of_metric) for of_metric in moved]
    words = ("the first metric gets worse on", "and accuracy on", "minimising CMI lowers test NLL on")
    assert falls == [after(page_of(CLASS), start) for start in words]
    lower = [-difference for difference in moved[2] if difference < 0]
    assert f"by {min(lower):.2f} to {max(lower):.2f} nats. But the first metric" in text(page_of(CLASS))


def test_the_page_says_which_task_gains_most_at_each_rate():
    names, most = [], []
    for own, plain in AT_RATES:
        gains = {task: 100 * compared_on(task, own, plain.name).mean for task in WITHOUT_WNLI}
        names.append(max(gains, key=gains.get))
        most.append(f"{max(gains.values()):+.1f}")
    assert cells(page_of(RATES), "task with the largest gain, without WNLI") == [f"`{name}`" for name in names]
    assert cells(page_of(RATES), "its gain, points") == most


def test_the_page_compares_equal_rates_with_six_epochs_of_plain_fine_tuning():
    low, middle, high = (of_predictions(own, PLAIN) for own, _ in AT_RATES)
    for found, rate in ((low, "5e-5"), (middle, "1e-4"), (high, "2e-4")):
        label = f"CMI-min with eight epochs at {rate} against plain with six at 1e-4"
        assert cells(page_of(RATES), label) == [*said(found, 2)]


def test_the_page_compares_cmi_min_with_label_smoothing():
    own, smooth = Arm(CHOSEN, TEACHER, "cmi_min"), Arm(CHOSEN, TEACHER, "smooth")
    primary, label = of_predictions(own, smooth), "CMI-min teacher against label smoothing"
    told = [[*said(of_predictions(own, smooth, tasks=GLUE))], [*said(primary, 2)]]
    assert rows(page_of(CHOSEN), label) == told
    assert cells(page_of(CHOSEN), f"{label}, AUC") == [*said(of_predictions(own, smooth, "auc"), 2)]


def test_the_page_says_the_scores_of_plain_fine_tuning_in_two_studies():
    means = []
    for study in (FIXED, CHOSEN):
        arms = committed(study, "arms").query("role == 'teacher' and arm == 'ce'")
        primary = arms["metric"] == arms["task"].map({task: records(study, task).primary for task in GLUE})
        means.append(round(100 * arms[primary]["mean"].mean(), 1))
    words = ("fine-tuning at 1e-4 in `glue-minilm-fixed` scores", "`ce` scores")
    assert means == [after(page_of(CHOSEN), start) for start in words]


def test_the_pages_say_the_mean_best_epochs():
    chosen, fixed, rates = map(of_runs, (CHOSEN, FIXED, RATES))
    long = chosen["arm"] == "ce_long"
    teachers, students = chosen[(chosen["role"] == TEACHER) & ~long], chosen[chosen["role"] == STUDENT]
    groups = {
        (CHOSEN, "teachers without `ce_long`"): (teachers, 8),
        (CHOSEN, "`ce_long`"): (chosen[long], 16),
        (CHOSEN, "students"): (students, 10),
        (FIXED, "teachers"): (fixed[fixed["role"] == TEACHER], 6),
        (FIXED, "students"): (fixed[fixed["role"] == STUDENT], 8),
    }
    for (study, label), (runs, epochs) in groups.items():
        assert [f"{runs['best_epoch'].mean():.1f}", str(epochs)] in rows(page_of(study), label)
    of_rates = rates.query("role == 'teacher'").groupby("arm")["best_epoch"].mean()
    for label, place in {"plain": 1, "CMI-min": 0}.items():
        told = [f"{of_rates[pair[place].name]:.1f}" for pair in AT_RATES]
        assert cells(page_of(RATES), f"best epoch of 8, {label}, mean over runs without WNLI") == told


def test_the_page_says_which_rates_the_students_of_the_confirming_study_have():
    found = study_content(CHOSEN, *WHERE)
    assert found["student"]["training"]["lr"] == after(page_of(CHOSEN), "and distilled students have")
    of_tasks = [task["arms"].get("student", {}) for name, task in found["task_settings"].items() if name in GLUE]
    chosen = [arms["plain"]["training"]["lr"] for arms in of_tasks if "plain" in arms]
    assert chosen.count(1.5e-4) == 7
    assert not [name for arms in of_tasks for name in arms if name != "plain"]
    assert "`plain` chose its rate (1.5e-4 on seven tasks)" in text(page_of(CHOSEN))


@pytest.mark.parametrize(
    ("first", "second", "label"),
    [
        (Arm(CHOSEN, TEACHER, "smooth"), "ce", "label smoothing against plain fine-tuning"),
        (Arm(CHOSEN, TEACHER, "mse"), "ce", "squared distance against plain fine-tuning"),
        (Arm(CHOSEN, TEACHER, "ce_long"), "ce", "plain fine-tuning for 16 epochs against 8"),
        (Arm(CHOSEN, TEACHER, "cmi_max"), "ce", "CMI-max teacher against plain fine-tuning"),
        (Arm(CHOSEN, STUDENT, "kd-ce"), "plain", "`kd-ce` against no teacher"),
        (Arm(CHOSEN, STUDENT, "kd-ce_taught"), "plain", "`kd-ce_taught` against no teacher"),
        (Arm(FIXED, TEACHER, "cmi_max"), "ce", "CMI-max teacher against plain fine-tuning (lower on all eight tasks)"),
        (Arm(FIXED, STUDENT, "kd-ce"), "plain", "student of the plain teacher against no teacher"),
    ],
)
def test_the_pages_have_other_comparisons_of_their_studies(first, second, label):
    assert cells(page_of(first.study), label) == [*said(compared(first, second, None, GLUE))]


def test_the_pages_have_differences_in_their_text():
    taught = compared(Arm(CLASS, STUDENT, "kd-ce"), "plain", tasks=GLUE)
    assert "gain {} points over no teacher ({})".format(*said(taught)) in text(page_of(CLASS))
    for label, metric, digits in (("class CMI", "class_cmi", 3), ("NLL", "nll", 2)):
        moved = compared(AT_RATES[1][0], "ce_2", metric, GLUE)
        assert cells(page_of(RATES), label)[1:] == [*said(moved, digits, 1)]
    plain = committed(RATES, "arms").query("arm == 'ce_2' and metric == 'class_cmi'")
    assert cells(page_of(RATES), "class CMI")[0] == f"{plain['mean'].mean():.2f}"


def test_the_page_says_what_the_fixed_study_shows_on_single_tasks():
    page, arm = page_of(FIXED), Arm(FIXED, TEACHER, "cmi_min")
    tasks = ("qqp-sample", "mnli-sample", "qnli-sample", "rte", "wnli", "mrpc", "cola", "sst2")
    gains = [f"{100 * compared_on(task, arm, 'ce').mean:+.1f}" for task in tasks]
    assert f"| {' | '.join(gains)} |" in text(page)
    below = {task["task"]: task["p_holm"] for task in claims(FIXED)["alone"]["tasks"] if task["p_holm"] < 0.05}
    assert {*below} == {"qqp-sample"}
    assert f"over the eight tasks is below 0.05: {below['qqp-sample']:.4f}." in text(page)
    lower = [-compared_on(task, arm, "ce", "nll").mean for task in GLUE]
    assert f"on all eight tasks, by {min(lower):.2f} to {max(lower):.2f} nats" in text(page)
    assert all(compared_on(task, Arm(FIXED, TEACHER, "cmi_max"), "ce").mean < 0 for task in GLUE)


def test_the_page_compares_six_epochs_with_eight():
    page = page_of(RATES)
    both = without_task(claims(FIXED)["alone"], "wnli")
    assert cells(page, "CMI-min against plain, both six epochs, 1e-4") == [*said(both, 2)]
    for label, six, eight in (
        ("CMI-min", Arm(FIXED, TEACHER, "cmi_min"), AT_RATES[1][0]),
        ("plain", PLAIN, AT_RATES[1][1]),
    ):
        assert cells(page, f"{label}, six epochs against eight, 1e-4") == [*said(of_predictions(six, eight), 2)]
