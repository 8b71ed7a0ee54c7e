"""Published scores beside ours: keys that name split and metric, and what differs."""

from dataclasses import replace

import pytest

from src.params import ModelSource
from src.study.overrides import study_params
from src.study.published import BERT, OFFICIAL_ROWS, PUBLISHED, as_markdown, beside_published
from src.study.results import load_results
from tests.conftest import REPOSITORY
from tests.test_committed_studies import WHERE


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
        "no: another split, another model, 1000 train rows",
    )
    assert set(table.loc["`qqp-sample`"]["our key"]) == {"`validation_2000_rows_f1`"}


def test_the_same_model_on_all_rows_of_the_same_split_can_be_compared(results):
    """The numbers stay: only what the study is said to be made of changes."""
    params = results.params
    models = params.models.model_copy(update={"teacher": ModelSource(source="hub", name=BERT, revision="0" * 40)})
    whole = params.task("rte").max_rows.model_copy(update={"train": None})
    rte = params.task("rte").model_copy(update={"max_rows": whole})
    changed = params.model_copy(update={"models": models, "tasks": ["rte"], "task_settings": {"rte": rte}})
    table = beside_published(replace(results, params=changed)).set_index("published")
    assert table.loc["BERT-base-uncased (README of DistilBERT in transformers' examples)"]["comparable"] == "yes"
    assert sorted(table["comparable"]) == [
        *("no: another model", "no: another model", "no: another split"),
        *("no: another split, another model, distilled from BERT-large", "yes"),
    ]


def test_published_scores_are_of_known_tasks():
    assert {task for entry in PUBLISHED for task in entry.scores} == set(OFFICIAL_ROWS)
