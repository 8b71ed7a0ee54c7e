"""docs/method.md and the pages of lowdata and human have the numbers of committed tables and records."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from src.study.claims.claims import hangs_on, without_task
from src.study.named.overrides import study_content
from src.study.statistics.intervals import Estimate, RunValues, mean_over_tasks
from tests.conftest import REPOSITORY
from tests.support.study_numbers import (
    WHERE,
    WITH_CLAIMS,
    Arm,
    after,
    cells,
    claims,
    committed,
    compared_on,
    comparison,
    page_of,
    rows,
    said,
    text,
    values,
)

LOWDATA, HUMAN = page_of("lowdata"), page_of("human")
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
    gain, taught, plain = (
        pooled("kd_{}-cmi_max", "kd_{}-ce"),
        pooled("kd_{}-cmi_max", "plain_{}"),
        pooled("kd_{}-ce", "plain_{}"),
    )
    told = {
        "CMI-max teacher against plain": gain,
        "CMI-max teacher against no": taught,
        "plain teacher against no": plain,
    }
    for label, found in told.items():
        assert cells(LOWDATA, f"{label} teacher, mean of five shares") == [*said(found, 2)]
    table = committed("lowdata", "over_tasks").set_index(["arm", "against"])
    for share in (10, 25, 50):
        found = table.loc[f"kd_{share}-cmi_max", f"plain_{share}"].to_dict()
        assert cells(LOWDATA, f"CMI-max teacher against no teacher, {share} % of the rows") == [*said(found)]


def test_the_page_of_few_rows_names_every_verdict_that_hangs_on_a_task():
    found = {name: [rest["task"] for rest in hangs_on(claim)] for name, claim in claims("lowdata").items()}
    hanging = {name: tasks for name, tasks in found.items() if tasks}
    assert hanging == {"max_5": ["vader-movie"], "max_50": ["sst2"], "kd_5": ["vader-movie"], "kd_100": ["sst2"]}
    for name in ("kd_5", "kd_100"):
        [task] = hanging[name]
        assert without_task(claims("lowdata")[name], task)["verdict"].startswith("cannot be told")
    for name, tasks in hanging.items():
        [row] = [line for line in (REPOSITORY / LOWDATA).read_text().splitlines() if line.startswith(f"| `{name}`: ")]
        assert f"hangs on `{tasks[0]}`" in row


def test_the_page_of_human_has_the_measures_of_its_arms():
    arms = committed("human", "arms").query("role == 'teacher'").set_index(["task", "arm", "metric"])["mean"]
    tasks = {task: (task, "") for task in ("vader-movie", "vader-tweets", "vader-nyt", "vader-amazon")}
    for line, (task, prefix) in (tasks | {"ChaosNLI": ("mnli-sample", "chaosnli_")}).items():
        measures = [f"{prefix}kl_to_human", f"{prefix}kl_to_human_tempered"]
        told = [", ".join(f"{arms[task, arm, measure]:.3f}" for measure in measures)
                 for arm in ("ce", "cmi_min", "cmi_max", "smooth", "mse")]  # fmt: skip
        assert told in [row[:5] for row in rows(HUMAN, line)]


def test_the_page_of_human_says_where_cmi_is_nearer_to_people():
    for name, against in {"shape_min": "ce", "shape_smooth": "smooth"}.items():
        [of_task] = [task for task in claims("human")[name]["tasks"] if task["task"] == "vader-nyt"]
        table = comparison("vader-nyt", Arm("human", "teacher", "cmi_min"), against, "kl_to_human_tempered")
        told = [f"{found['p_holm']:.3f}" for found in (of_task, table)]
        assert cells(HUMAN, f"`{against}`") == [*said(of_task, 3, 1), *told]
    wins = [claims("human")[name]["wins"] for name in ("shape", "shape_min")]
    assert wins == [after(HUMAN, words) for words in ("it is nearer on", "of 5 tasks, and CMI-min on")]


@pytest.mark.parametrize("study", [*WITH_CLAIMS, "glue-minilm-choice"])
def test_no_finished_study_uses_what_the_page_of_the_method_says(study):
    kept = {"separation_weight": 0, "plain_epochs": 0, "transfer": False, "centroid": "ema"}
    of_one_study = {"feature_map": "softmax", "clusters": "class"}
    found = set(settings_in(study_content(study, *WHERE)))
    assert {(key, value) for key, value in found if key in kept} == {*kept.items()}
    others = {key for key, value in found if key in of_one_study and value != of_one_study[key]}
    assert others == ({*of_one_study} if study == "mechanism" else set())
    told = "uses Γ in the loss, `plain_epochs`, transfer rows, or centroids other than `ema`"
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
    arm = Arm("lowdata", "teacher", "cmi_max")
    as_it_is, tempered = (comparison("vader-movie", arm, "ce", f"kl_to_human{end}") for end in ("", "_tempered"))
    label = "CMI-max teacher against plain teacher"
    assert cells(LOWDATA, label) == [*said(as_it_is, 3, 1)]
    assert cells(LOWDATA, f"{label}, at each model's best temperature") == [*said(tempered, 3, 1)]
    label = "plain teacher against no teacher"
    for share in (5, 10):
        student = Arm("lowdata", "student", f"kd_{share}-ce")
        nearer = compared_on("vader-movie", student, f"plain_{share}", "kl_to_human")
        assert cells(LOWDATA, f"student of the {label}, {share} % of the rows") == [*said(nearer, 1, 1)]
    taught = mean_over_tasks(
        [compared_on(task, Arm("lowdata", "student", "kd_5-ce"), "plain_5") for task in ("sst2", "vader-movie")]
    )
    assert cells(LOWDATA, f"{label}, 5 % of the rows") == [*said(taught)]
