"""Published scores: those of the page are those of the code, and when a score of ours stands beside one."""

from dataclasses import replace

import pytest

from src.glue_data.official import OFFICIAL_ROWS
from src.params import ModelSource
from src.study.drawing.study_results import load_results
from src.study.named.overrides import study_params
from src.study.report.published_scores import PUBLISHED, as_markdown, comparable_scores
from tests.conftest import REPOSITORY
from tests.support.study_numbers import WHERE


@pytest.fixture
def results(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    return load_results(study_params("glue-minilm-fixed", *WHERE))


def test_the_page_has_the_scores():
    page = (REPOSITORY / "docs/published.md").read_text()
    for entry in PUBLISHED:
        cells = [str(entry.scores.get(task, "")) for task in OFFICIAL_ROWS]
        assert f"| {entry.model} | validation | {' | '.join(cells)} |" in page


def test_no_score_of_another_model_on_fewer_rows_can_be_compared(results):
    assert comparable_scores(results).empty


@pytest.mark.parametrize(
    ("train_rows", "share", "compared"),
    [(2400, 1.0, ["BERT-base-uncased"]), (2400, 0.99, ["BERT-base-uncased"]), (2400, 0.98, []), (2241, 1.0, [])],
)
def test_the_same_model_on_nearly_all_rows_of_the_same_split_can_be_compared(results, train_rows, share, compared):
    """The numbers stay: only the model and the rows that the study is said to have change. 95 % of 2,490 are 2,366."""
    results.records["rte"].task["splits"]["train"]["rows"] = train_rows
    bert = ModelSource(source="hub", name="google-bert/bert-base-uncased", revision="0" * 40)
    models = results.params.models.model_copy(update={"teacher": bert})
    finetune = results.params.finetune
    learning = finetune.model_copy(update={"training": finetune.training.model_copy(update={"train_share": share})})
    params = results.params.model_copy(update={"models": models, "finetune": learning})
    table = comparable_scores(replace(results, params=params))
    assert [row["model"] for _, row in table.iterrows()] == compared
    if compared:
        row = (
            "| rte | BERT-base-uncased | README of DistilBERT in transformers' examples | accuracy | ce | 69.3 | 53.8 |"
        )
        assert as_markdown(table).splitlines()[-1] == row
