"""What `stages.describe` tells of a task's data before training."""

import json
from pathlib import Path

import pytest

import stages.describe
from tests.conftest import params_content
from tests.faults.conftest import refused, workplace  # noqa: F401  fixtures
from tests.faults.hostile.cases import TINY, Case, write_params

KIND = "local data"


def rows_of(split: str) -> list[dict]:
    return [json.loads(line) for line in Path(f"source/{split}.jsonl").read_text().splitlines()]


def write_rows(split: str, rows: list[dict]) -> None:
    Path(f"source/{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def describe(workplace, tiny_encoder, monkeypatch, capsys):  # noqa: F811
    """Describe the task `tiny` with some keys set; what is printed, and its warnings."""

    def told(*changes: tuple[str, object]) -> tuple[str, list[str]]:
        model = tiny_encoder.model_dump()
        write_params(("models", {"teacher": model, "student": model | {"layers": [0, 2]}}), *changes)
        monkeypatch.setattr("sys.argv", ["stage", "--task", "tiny"])
        capsys.readouterr()
        stages.describe.main()
        printed = capsys.readouterr()
        return printed.out, printed.err.splitlines()

    return told


def line_of(printed: str, *beginning: str) -> list[str]:
    return next(line.split() for line in printed.splitlines() if line.split()[: len(beginning)] == [*beginning])


def test_splits_labels_and_tokens_are_counted(describe):
    """Words are tokens here, and [CLS] and [SEP] are two more."""
    printed, warnings = describe()
    rows = rows_of("train") + rows_of("validation")
    train, selection = (int(line_of(printed, split)[1]) for split in ("train", "selection"))
    negative = line_of(printed, "negative")
    assert printed.startswith("tiny: folder source; text in sentence, label in label; train from train, test from val")
    assert (train + selection, line_of(printed, "test")[1]) == (160, "60")
    assert int(negative[1]) + int(negative[3]) == sum(row["label"] == 0 for row in rows_of("train"))
    assert int(negative[1]) + int(line_of(printed, "positive")[1]) == train
    longest = max(int(line_of(printed, "teacher", split)[4]) for split in ("train", "selection", "test"))
    assert longest == 2 + max(len(row["sentence"].split()) for row in rows)
    assert line_of(printed, "teacher", "test")[2:] == line_of(printed, "student", "test")[2:]
    assert warnings == []
    assert {path.name for path in Path().iterdir()} == {"source", "params.yaml"}


def test_labels_of_test_change_nothing(describe):
    before = describe()
    write_rows("validation", [row | {"label": 1 - row["label"]} for row in rows_of("validation")])
    assert describe() == before
    assert "accuracy 0." in before[0]


def test_what_deserves_a_second_look_is_a_warning(describe):
    """Six of 168 rows have the third label, one text has two labels and is also in test, and rows are cut."""
    known = rows_of("validation")[0]
    rare = [{"sentence": f"the film {word}", "label": 2} for word in ("a", "was", "and", "plot", "light", "sound")]
    write_rows("train", [*rows_of("train"), *rare, known, known | {"label": 1 - known["label"]}])
    write_rows("validation", [*rows_of("validation"), *(row | {"sentence": row["sentence"] + " plot"} for row in rare)])
    training = params_content()["finetune"]["training"] | {"max_length": 9, "batch_size": 16}
    named = TINY | {"labels": ["negative", "positive", "mixed"]}
    _, warnings = describe(("task_settings.tiny", named), ("finetune.training", training))
    assert [line for line in warnings if "label 'mixed' is rare: a teacher's batch of 16 holds 0." in line]
    assert [line for line in warnings if "of the rows of train are longer than max_length 9 of the teacher" in line]
    assert "warning: 2 rows of train have a text that also occurs with another label" in warnings
    assert "warning: 2 rows of train have a text of test; set test_overlap to drop to leave them out" in warnings


def test_of_two_labels_none_is_to_be_left_out(describe):
    _, warnings = describe(("finetune.training", params_content()["finetune"]["training"] | {"batch_size": 1}))
    [line] = [line for line in warnings if "'positive' is rare" in line]
    assert line.endswith("a teacher's batch of 1 holds 0.43 rows of it on average; raise batch_size")


@pytest.mark.fault
@pytest.mark.parametrize("split", ["train", "validation"])
def test_faults_are_those_of_prepare(workplace, refused, split):  # noqa: F811
    write_rows(split, [row for row in rows_of(split) if row["label"] == 0])
    expected = f"split '{split}' has no row of label 'positive'"
    refused(
        KIND, Case(f"describe: no row of a label in {split}", None, expected), stages.describe.main, "--task", "tiny"
    )


@pytest.mark.fault
def test_a_task_that_is_not_there(workplace, refused):  # noqa: F811
    case = Case("describe: a task that params.yaml lacks", None, "task_settings: has no entry 'mine'; allowed: ")
    refused(KIND, case, stages.describe.main, "--task", "mine")
