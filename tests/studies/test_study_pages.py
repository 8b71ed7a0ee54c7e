"""docs/lowdata.md, human.md and method.md say what the committed tables and records say."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from src.study.claims.claims import hangs_on
from src.study.named.overrides import study_content
from src.study.statistics.intervals import Estimate, RunValues, mean_over_tasks
from tests.support.study_numbers import (
    CHOSEN,
    CLASS,
    FIXED,
    RATES,
    WHERE,
    Arm,
    claims,
    committed,
    compared_on,
    comparison,
    points,
    said,
    text,
    values,
)

STUDIES = (FIXED, CHOSEN, RATES, CLASS, "lowdata", "human")  # those that have claims with intervals
SHARES = (5, 10, 25, 50, 100)


def pooled(first: str, second: str) -> Estimate:
    """The gain of a student over another, on the mean over all shares of the rows and both tasks."""
    found = []
    for task in ("sst2", "vader-movie"):
        tables = []
        for share in SHARES:
            own, other = (Arm("lowdata", "student", name.format(share)) for name in (first, second))
            tables.append(values(own, task, "accuracy").of_rows - values(other, task, "accuracy").of_rows)
        table = np.mean(tables, axis=0)
        found.append(RunValues(table.mean(axis=1), table).estimate(list(range(len(table)))))
    return mean_over_tasks(found)


def test_the_page_of_few_rows_says_the_gain_over_all_shares():
    page = text("docs/lowdata.md")
    gain, taught, plain = (
        pooled("kd_{}-cmi_max", "kd_{}-ce"),
        pooled("kd_{}-cmi_max", "plain_{}"),
        pooled("kd_{}-ce", "plain_{}"),
    )
    assert f"{points(gain, 2)}. Against no teacher" in page
    ends = said(plain, 2)[1].replace("-0.00", "0.00")
    form = "gains {} points ({}) and the plain teacher {} ({})".format(*said(taught, 2), said(plain, 2)[0], ends)
    assert form.replace("gains +", "gains ").replace("teacher +", "teacher ") in page


def test_the_page_of_few_rows_names_every_verdict_that_hangs_on_a_task():
    found = {name: [rest["task"] for rest in hangs_on(claim)] for name, claim in claims("lowdata").items()}
    hanging = {name: tasks for name, tasks in found.items() if tasks}
    assert hanging == {"max_5": ["vader-movie"], "max_50": ["sst2"], "kd_5": ["vader-movie"], "kd_100": ["sst2"]}
    page = text("docs/lowdata.md")
    assert "(`kd_5`, which holds; without `vader-movie` it cannot be told)" in page
    assert "`kd_100` does not hold, and without `sst2` it cannot be told" in page


def test_the_page_of_human_has_the_measures_of_its_arms():
    arms = committed("human", "arms").query("role == 'teacher'").set_index(["task", "arm", "metric"])["mean"]
    tasks = {task: (task, "") for task in ("vader-movie", "vader-tweets", "vader-nyt", "vader-amazon")}
    for line, (task, prefix) in (tasks | {"ChaosNLI": ("mnli-sample", "chaosnli_")}).items():
        measures = [f"{prefix}kl_to_human", f"{prefix}kl_to_human_tempered"]
        cells = [", ".join(f"{arms[task, arm, measure]:.3f}" for measure in measures)
                 for arm in ("ce", "cmi_min", "cmi_max", "smooth", "mse")]  # fmt: skip
        assert f"| {line} | {' | '.join(cells)} |" in text("docs/human.md")


def test_the_page_of_human_says_where_cmi_is_nearer_to_people():
    row = comparison("vader-nyt", Arm("human", "teacher", "cmi_min"), "ce", "kl_to_human_tempered")
    told = "{} nats ({}; p with Holm's correction over the tasks {:.3f})"
    assert told.format(*said(row, 3, 1), row["p_holm"]) in text("docs/human.md")
    assert (claims("human")["shape"]["wins"], claims("human")["shape_min"]["wins"]) == (4, 2)
    assert "four tasks of five lean that way. CMI-min leans the other way on three of five" in text("docs/human.md")


@pytest.mark.parametrize("study", [*STUDIES, "glue-minilm-choice"])
def test_no_study_of_these_pages_uses_what_the_page_of_the_method_says(study):
    kept = {"separation_weight": 0, "plain_epochs": 0, "feature_map": "softmax", "transfer": False, "centroid": "ema"}
    found = set(settings_in(study_content(study, *WHERE)))
    assert {(key, value) for key, value in found if key in kept} == {*kept.items()}
    told = "uses Γ in the loss, `plain_epochs`, a `feature_map`, transfer rows, or centroids other than `ema`"
    assert told in text("docs/method.md")


def settings_in(content: Any) -> Iterator[tuple[str, Any]]:
    """All keys of a study with a plain value, wherever they stand."""
    if isinstance(content, list):
        for part in content:
            yield from settings_in(part)
    elif isinstance(content, dict):
        for key, value in content.items():
            if isinstance(value, dict | list):
                yield from settings_in(value)
            else:
                yield key, value


def test_the_page_of_few_rows_says_how_far_teachers_and_students_are_from_the_raters():
    page, arm = text("docs/lowdata.md"), Arm("lowdata", "teacher", "cmi_max")
    as_it_is, tempered = (comparison("vader-movie", arm, "ce", f"kl_to_human{end}") for end in ("", "_tempered"))
    told = "its KL is {} nats ({}) above the plain teacher's, and {} ({}) at each model's best temperature"
    assert told.format(*said(as_it_is, 3, 1), *said(tempered, 3, 1)).replace("+", "") in page
    nearer = [compared_on("vader-movie", Arm("lowdata", "student", f"kd_{share}-ce"), f"plain_{share}", "kl_to_human")
              for share in (5, 10)]  # fmt: skip
    gains = [said(-found, 1, 1) for found in nearer]
    assert "by {} nats at 5 % ({}) and {} at 10 % ({})".format(*sum(gains, ())).replace("+", "") in page
    taught = mean_over_tasks(
        [compared_on(task, Arm("lowdata", "student", "kd_5-ce"), "plain_5") for task in ("sst2", "vader-movie")]
    )
    assert (
        "students are {} points ({}) above those without a teacher".format(*said(taught)).replace("are +", "are ")
        in page
    )
