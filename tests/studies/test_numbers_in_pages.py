"""Numbers on the pages of human, lowdata and the studies of glue-minilm that no claim has."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from src.study.claims.claims import without_task
from src.study.named.overrides import study_content
from tests.support.study_numbers import (
    CHOSEN,
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
    compared_on,
    logits_by_seed,
    page_of,
    records,
    rows,
    said,
    text,
)

HUMAN, LOWDATA, CHOICE = page_of("human"), page_of("lowdata"), page_of("glue-minilm-choice")
TEACHERS = ("ce", "cmi_min", "cmi_max", "smooth", "mse")
VADER = ("vader-movie", "vader-tweets", "vader-nyt", "vader-amazon")


@pytest.mark.parametrize("task", [*VADER, "mnli-sample"])
def test_the_page_of_human_has_the_confidence_of_the_teachers(task):
    assert [f"{_confidence(Arm('human', 'teacher', arm), task):.3f}" for arm in TEACHERS] in rows(HUMAN, task)


def _confidence(arm: Arm, task: str) -> float:
    """The mean of the largest probability on test, over rows and seeds."""
    runs = logits_by_seed(arm, task).values()
    return float(np.mean([softmax(logits.astype(float), axis=1).max(axis=1).mean() for logits in runs]))


@pytest.mark.parametrize("task", VADER)
def test_the_page_of_human_has_the_distance_of_a_constant_from_people(task):
    """KL of the mean of all votes from the votes on each text."""
    votes = records("human", task).labels["test"].filter(like="human_").to_numpy()
    terms = votes * np.log(np.where(votes > 0, votes, 1) / votes.mean(axis=0))
    assert f"{terms.sum(axis=1).mean():.3f}" in [row[-1] for row in rows(HUMAN, task)]


def test_the_page_of_human_says_how_teachers_do_on_chaosnli():
    arms = committed("human", "arms").query("task == 'mnli-sample' and role == 'teacher'").set_index("metric")["mean"]
    accuracy, kl = (arms[f"chaosnli_{metric}"] for metric in ("accuracy", "kl_to_human_tempered"))
    told = [f"{100 * accuracy.min():.1f} to {100 * accuracy.max():.1f} %",
            f"{kl.min():.3f} to {kl.max():.3f} at the best temperatures"]  # fmt: skip
    assert cells(HUMAN, "the five teachers") == told
    rest = without_task(claims("human")["shape"], "mnli-sample")
    assert "Without ChaosNLI, `shape` is {} nats ({})".format(*said(rest, 3, 1)) in text(HUMAN)


def test_the_page_of_few_rows_says_how_much_nearer_to_the_raters_students_are_from_25_percent_on():
    found = [
        compared_on("vader-movie", Arm("lowdata", "student", f"kd_{share}-{teacher}"), f"plain_{share}", "kl_to_human")
        for share in (25, 50, 100)
        for teacher in ("ce", "cmi_max")
    ]
    nearer = [-estimate.mean for estimate in found]
    assert f"the difference is {min(nearer):.1f} to {max(nearer):.1f} nats" in text(LOWDATA)
    assert all(low < 0 < high for low, high in (estimate.interval(0.95) for estimate in found))


def test_the_page_of_few_rows_says_how_far_students_of_both_teachers_are_from_the_raters():
    students = [
        [Arm("lowdata", "student", f"kd_{share}-{name}") for name in ("cmi_max", "ce")]
        for share in (5, 10, 25, 50, 100)
    ]
    found = [compared_on("vader-movie", own, other.name, "kl_to_human") for own, other in students]
    means = [estimate.mean for estimate in found]
    assert f"are {min(means):.2f} to {max(means):.2f} nats farther than those of the plain teacher" in text(LOWDATA)
    assert all(low < 0 < high for low, high in (estimate.interval(0.95) for estimate in found))


@pytest.mark.parametrize("task", ["sst2", "vader-movie"])
def test_the_page_of_few_rows_says_the_cmi_of_the_teachers(task):
    arms = committed("lowdata", "arms").query("task == @task").set_index(["metric", "arm"])["mean"]
    measures = [arms[f"{space}_cmi", arm] for space in ("feature", "class") for arm in ("ce", "cmi_max")]
    assert cells(LOWDATA, f"`{task}`") == [f"{measure:.3f}" for measure in measures]


def test_the_page_of_few_rows_says_the_best_epochs():
    runs = committed("lowdata", "runs")
    students = runs[runs["role"] == "student"]
    groups = {
        "teachers": (runs[runs["role"] == "teacher"], 4),
        "students with 5 % of the rows": (students[students["arm"].str.contains(r"_5(?:-|$)")], 30),
        "students with all rows": (students[students["arm"].str.contains("_100")], 6),
    }
    for label, (group, epochs) in groups.items():
        best = group.groupby(["task", "arm"])["best_epoch"].mean()
        assert [f"{best.min():.1f} to {best.max():.1f}", str(epochs)] in rows(LOWDATA, label)


def test_the_page_of_the_choice_says_how_far_trials_are_apart():
    trials = committed("glue-minilm-choice", "trials").query("role == 'teacher' and task != 'wnli'")
    scores = trials.groupby(["task", "family"])["selection"]
    apart = 100 * (scores.max() - scores.min())
    told = f"are {apart.min():.1f} to {apart.max():.1f} points apart on selection (median {apart.median():.1f})"
    assert told in text(CHOICE)


def test_the_page_of_the_choice_has_the_chosen_settings():
    content = study_content(CHOSEN, *WHERE)
    own = {task: content["task_settings"][task]["arms"] for task in GLUE}
    weights = pd.Series({task: arms["teacher"]["cmi_min"]["cmi_weight"] for task, arms in own.items()})
    assert (weights == 5).sum() == 5
    assert weights[weights != 5].to_dict() == {"cola": 25, "mnli-sample": 25, "sst2": 1}
    assert cells(CHOICE, "`cmi_min`") == ["weight 5 on five tasks, 25 on `cola` and `mnli-sample`, 1 on `sst2`", "5"]
    weights = pd.Series({task: arms["teacher"]["cmi_max"]["cmi_weight"] for task, arms in own.items()})
    assert (weights == -8).sum() == 4
    others = {"cola": -2, "rte": -2, "mrpc": -0.5, "wnli": -0.5}
    assert weights[weights != -8].to_dict() == others
    [told] = {row[0] for row in rows(CHOICE, "teachers of `kd-cmi_max`")}
    assert told == "weight -8 on four tasks, -2 on `cola` and `rte`, -0.5 on `mrpc` and `wnli`"
    lowest = [arms["teacher"].get("ce", {}).get("training", {}).get("lr") for arms in own.values()]
    assert lowest.count(5e-5) == 5
    assert cells(CHOICE, "`ce`") == ["learning rate 5e-5, the lowest, on five tasks", "1e-4"]


def test_the_page_says_which_tasks_gain_alone_at_equal_rates():
    of_tasks = {(name, task["task"]): task for name, claim in claims(RATES).items() for task in claim["tasks"]}
    gains = {key: task for key, task in of_tasks.items() if task["p_holm"] < 0.05}
    assert {*gains} == {("rate_1", "sst2"), ("rate_1", "rte"), ("rate_2", "wnli")}
    for task in ("sst2", "rte"):
        alone = gains["rate_1", task]
        told = f"`{task}` ({100 * alone['difference']:+.1f} points, p {alone['p_holm']:.3f})"
        assert told in text(page_of(RATES))


def test_the_page_of_the_fixed_study_says_its_scores_on_hard_tasks():
    arms = committed(FIXED, "arms").query("role == 'teacher' and arm == 'ce'").set_index(["task", "metric"])["mean"]
    assert f"Matthews correlation is {arms['cola', 'matthews']:.2f}" in text(page_of(FIXED))
    majority = records(FIXED, "rte").labels["test"]["label"].value_counts(normalize=True).max()
    told = f"accuracy is {100 * arms['rte', 'accuracy']:.0f} %, and the majority label has {100 * majority:.0f} %"
    assert told in text(page_of(FIXED))


def test_the_page_says_how_much_worse_the_chosen_cmi_max_teachers_are():
    most = min(compared_on(task, Arm(CHOSEN, "teacher", "cmi_max"), "ce").mean for task in WITHOUT_WNLI)
    on_qnli = compared_on("qnli-sample", Arm(CHOSEN, "teacher", "cmi_max"), "ce").mean
    assert most == on_qnli
    assert after(page_of(CHOSEN), "mostly at weight -8 (") == round(100 * on_qnli, 1)
    lower = sum(compared_on(task, Arm(CHOSEN, "teacher", "cmi_min"), "ce", "nll").mean < 0 for task in GLUE)
    assert lower == 4  # "on four tasks of eight"
    assert "lower test NLL than plain ones on four tasks of eight" in text(page_of(CHOSEN))
