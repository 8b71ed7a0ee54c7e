"""The pages of the studies on GLUE say how far CMI, the length of h, AUC and NLL moved, as tables and records say."""

import numpy as np
import pandas as pd
from scipy.special import softmax

from src.core.metrics import CLASS_SCORES, ClassCounts
from src.study.claims.moved import in_kept_epochs
from src.study.statistics.intervals import mean_over_seeds, mean_over_tasks
from tests.support.study_numbers import (
    AT_RATES,
    CHOSEN,
    FIXED,
    GLUE,
    RATES,
    WITHOUT_WNLI,
    Arm,
    after,
    cells,
    committed,
    compared,
    logits_by_seed,
    of_predictions,
    over_tasks_ratio,
    page_of,
    records,
    said,
    text,
    values,
)

LABEL = "CMI / length² of h on selection rows at the best epoch, ratio"


def test_the_page_has_the_table_of_what_became_of_cmi_and_the_length_of_h():
    runs = committed(FIXED, "runs").query("role == 'teacher' and task != 'wnli'").set_index(["task", "seed"])
    measures = _logs(runs["arm"], runs["feature_cmi"], runs["feature_norm"])
    for arm in ("cmi_min", "cmi_max"):
        ratios = [over_tasks_ratio(logs[arm] - logs["ce"]) for logs in measures]
        own = "{:.2f} to {:.2f}".format(*_for_just_these_tasks(measures[2][arm] - measures[2]["ce"]))
        told = [*("{:.2f} ({:.2f} to {:.2f})".format(*ratio) for ratio in ratios), own]
        assert cells(page_of(FIXED), f"`{arm}`") == told
    table = committed(FIXED, "moved").query("claim == 'alone' and split == 'test'")
    ratio = (
        table[table["measure"] == "feature_cmi_per_squared_length"].fillna({"task": "all"}).set_index("task")["value"]
    )
    told = f"the ratio of `cmi_min` is {ratio['all']:.2f}, because that of WNLI is {ratio['wnli']:.2f}."
    assert told in text(page_of(FIXED))
    per_squared_length = measures[2]["cmi_min"] - measures[2]["ce"]
    low, high = _for_just_these_tasks(per_squared_length)
    mean, *new = over_tasks_ratio(per_squared_length)
    told = [after(page_of("mechanism"), words) for words in ("CMI per squared length was", "The interval is")]
    assert told == [round(mean, 2), round(low, 2)]
    ends = "to {:.2f} for these tasks, and {:.2f} to {:.2f} for new ones".format(high, *new)
    assert ends in text(page_of("mechanism"))


def _for_just_these_tasks(logs: pd.Series) -> tuple[float, float]:
    """The interval of a geometric mean over these tasks, with seeds as the sample: the kind that verdicts use."""
    of_tasks = [mean_over_seeds(of_task.to_numpy()) for _, of_task in logs.groupby("task")]
    low, high = np.exp(mean_over_tasks(of_tasks).interval(0.95))
    return float(low), float(high)


def _logs(arms: pd.Series, cmi: pd.Series, length: pd.Series) -> list[pd.DataFrame]:
    """The logarithms of CMI, of the length, and of CMI per squared length: a column an arm."""
    logs = [np.log(cmi), np.log(length), np.log(cmi) - 2 * np.log(length)]
    return [pd.DataFrame({"arm": arms, "log": values}).pivot_table("log", ["task", "seed"], "arm") for values in logs]


def test_the_page_says_cmi_per_squared_length_at_equal_rates():
    of_tasks = {task: records(RATES, task) for task in WITHOUT_WNLI}
    kept = [in_kept_epochs(found.runs, found.history).assign(task=task) for task, found in of_tasks.items()]
    best = pd.concat(kept).query("role == 'teacher'").set_index(["task", "seed"])
    cmi = np.exp(best["selection_feature_log_cmi"])
    _, _, ratio = _logs(best["arm"], cmi, best["selection_feature_norm"])
    found = [over_tasks_ratio(ratio[own.name] - ratio[plain.name]) for own, plain in AT_RATES]
    assert cells(page_of(RATES), LABEL) == [f"{mean:.2f}" for mean, _, _ in found]
    assert all(low < 1 < high for _, low, high in found)
    low, high = _for_just_these_tasks(ratio["cmi_min_1"] - ratio["ce_1"])
    assert f"the ratio at 5e-5 is below 1 ({low:.2f} to {high:.2f})" in text(page_of(RATES))


def test_the_page_says_how_auc_and_tempered_nll_move_at_equal_rates():
    page = page_of(RATES)
    auc = [said(of_predictions(*pair, "auc")) for pair in AT_RATES]
    assert cells(page, "AUC, points") == [f"{mean} ({ends})" for mean, ends in auc]
    for metric, label in (("nll", ""), ("tempered_nll", " at each run's best temperature on selection")):
        moved = [f"{of_predictions(*pair, metric).mean:+.3f}" for pair in AT_RATES]
        assert cells(page, f"test NLL{label}, nats") == moved


def test_plain_fine_tuning_at_equal_rates_does_not_fall_late():
    falls = []
    for _, arm in AT_RATES:
        scores = []
        for task in WITHOUT_WNLI:
            history = records(RATES, task).history.query(f"role == 'teacher' and arm == '{arm.name}'")
            scores.append(history.groupby("epoch")[f"selection_{records(RATES, task).primary}"].mean())
        of_epochs = sum(scores) / len(scores)
        falls.append(100 * (of_epochs.max() - of_epochs.iloc[-1]))
    assert after(page_of(RATES), "after epoch 8 is at most") == round(max(falls), 1)


def test_the_page_says_what_ensembles_gain():
    gains = []
    for pair in AT_RATES:
        gains.append(np.mean([_ensemble(pair[0], task) - _ensemble(pair[1], task) for task in WITHOUT_WNLI]))
    single = [compared(own, plain.name).mean for own, plain in AT_RATES]
    labels = ("score of ensembles of all seeds (mean probabilities), points", "score of single runs, points")
    for label, values_of in zip(labels, (gains, single), strict=True):
        assert cells(page_of(RATES), label) == [f"{100 * value:+.1f}" for value in values_of]


def _ensemble(arm: Arm, task: str) -> float:
    """The first metric of the mean probabilities of an arm's runs."""
    found = records(arm.study, task)
    labels = found.split_labels("test")
    predicted = np.mean([softmax(rows.astype(float), axis=1) for rows in logits_by_seed(arm, task).values()], axis=0)
    return _score(found.primary, labels, predicted.argmax(axis=1), predicted.shape[1])


def _score(metric: str, labels: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    own, other = (np.eye(classes)[numbers] for numbers in (labels, predicted))
    return float(CLASS_SCORES[metric](ClassCounts((own * other).sum(0), own.sum(0), other.sum(0))))


def test_the_page_says_why_the_second_claim_could_hardly_show():
    page = text(page_of(FIXED))
    gains = [100 * compared(Arm(study, "student", "kd-ce"), "plain", tasks=GLUE).mean for study in (FIXED, CHOSEN)]
    assert "gains {:.1f} points over no teacher here, and {:.1f} in `glue-minilm`".format(*gains) in page
    moved = compared(Arm(FIXED, "teacher", "cmi_max"), "ce", "class_cmi", GLUE)
    assert "class CMI of test rows by {} nats ({})".format(*said(moved, 3, 1)) in page
    distances = {task: abs(_above_the_best_constant(task)) for task in GLUE}
    near = sorted(distances, key=distances.get)[:3]
    assert {*near} == {"mrpc", "rte", "wnli"}
    farthest = 100 * max(distances[task] for task in near)
    assert after(page_of(FIXED), "Without a teacher they are within") == round(farthest, 1)


def _above_the_best_constant(task: str) -> float:
    found, classes = records(FIXED, task), len(records(FIXED, task).label_names)
    labels = found.split_labels("test")
    constant = max(_score(found.primary, labels, np.full(len(labels), label), classes) for label in range(classes))
    return float(values(Arm(FIXED, "student", "plain"), task, found.primary).of_runs.mean()) - constant
