"""Published scores beside ours: keys that name split and metric, and what differs."""

from dataclasses import replace

import pytest

from src.glue_data.official import OFFICIAL_ROWS
from src.params import ModelSource
from src.study.drawing.study_results import load_results
from src.study.named.overrides import study_params
from src.study.report.published_scores import BERT, PUBLISHED, as_markdown, beside_published
from tests.conftest import REPOSITORY
from tests.support.study_numbers import WHERE


@pytest.fixture
def results(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    return load_results(study_params("glue-minilm-fixed", *WHERE))


def test_the_page_has_the_table_of_the_study(results):
    assert as_markdown(beside_published(results)) in (REPOSITORY / "docs/published.md").read_text()


def test_a_row_names_split_and_metric_on_both_sides(results):
    table = beside_published(results).set_index(["task", "published"])
    row = table.loc[("`cola`", "BERT-base (README of yoshitomo-matsubara/torchdistill)")]
    assert (row["its key"], row["its score"]) == ("`test_server_matthews`", "51.1")
    assert (row["our key"], row["comparable"]) == (
        "`validation_matthews`",
        "no: another split, another model, 1000 of 8551 train rows",
    )
    assert set(table.loc["`qqp-sample`"]["our key"]) == {"`validation_2000_rows_f1`"}


@pytest.mark.parametrize(("train_rows", "rest"), [(2400, []), (2241, ["2241 of 2490 train rows"])])
def test_the_same_model_on_nearly_all_rows_of_the_same_split_can_be_compared(results, train_rows, rest):
    """The numbers stay: only what the study is said to be made of changes. 95 % of 2,490 rows are 2,366."""
    params = results.params
    results.records["rte"].task["splits"]["train"]["rows"] = train_rows
    models = params.models.model_copy(update={"teacher": ModelSource(source="hub", name=BERT, revision="0" * 40)})
    changed = params.model_copy(update={"models": models, "tasks": ["rte"]})
    table = beside_published(replace(results, params=changed))
    assert table["comparable"].tolist() == [
        f"no: {', '.join(reasons + rest)}" if reasons + rest else "yes"
        for reasons in (
            [],
            ["another model"],
            ["another model"],
            ["another split"],
            ["another split", "another model", "distilled from BERT-large"],
        )
    ]


def test_published_scores_are_of_known_tasks():
    assert {task for entry in PUBLISHED for task in entry.scores} == set(OFFICIAL_ROWS)
