"""Models to take away: an exported folder says in a fresh process, without torch, what its run said."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import src.export.checking
import stages.export
from src.data.prepared import load_test_labels
from src.export.card import onnx_card
from src.export.checking import Checked
from src.params import Lora
from src.runs import RunName, load_run, split_logits
from tests.conftest import REPOSITORY, params_content, word_tokenizer
from tests.support.kept_run import kept_run
from tests.support.repository import digests
from tests.support.tiny_models import save_tiny_model

RUN = ("--task", "tiny", "--role", "teacher", "--arm", "ce", "--seed", "0")
FOLDER = Path("exports/tiny/teacher/ce/0")
HERE = "path/to/this/folder"
PAIRS = '[("the first text", "the second"), ("another", "its second")]'
ASKED = "[tuple(pair) for pair in json.load(sys.stdin)]"
FRESH = """
import json, sys
{code}
assert "torch" not in sys.modules and "transformers" not in sys.modules
print(json.dumps([logits.tolist(), h.tolist()]))
"""
TYPES = '    "token_type_ids": np.array([row.type_ids for row in rows]),'  # which not every model takes
KIND = "a model to take away"
MODELS = ["encoder", "distilbert", "llama with LoRA"]


def code_of(page: str) -> str:
    """The block of Python on a page, or in a card, that uses an exported folder."""
    [code] = [block for block in re.findall(r"^```python\n(.*?)^```", page, re.M | re.S) if "onnxruntime" in block]
    return code


@pytest.fixture(scope="module", params=MODELS)
def exported(request, tmp_path_factory) -> tuple[Path, str]:
    """A folder with a run on pairs, of which some are cut, whose model is exported; and what the export printed."""
    folder = tmp_path_factory.mktemp("export")
    match request.param:
        case "encoder":
            model = request.getfixturevalue("tiny_encoder")
        case "distilbert":
            model = request.getfixturevalue("tiny_distilbert")
        case _:
            (folder / "llama").mkdir()
            llama = save_tiny_model("llama", word_tokenizer(None), folder / "llama")
            model = llama.model_copy(update={"lora": Lora(rank=2, alpha=4)})
    kept_run(folder, model)
    return folder, exporting(folder, "--int8")


def exporting(folder: Path, *more: str) -> str:
    """Export a run's model in a process of its own; what it prints."""
    command = [sys.executable, "-m", "stages.export", *RUN, *more]
    ended = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    return ended.stdout


def rows_of_test(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "data/tiny/splits/test.parquet")


def answers(folder: Path, file: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits and h of the test rows, by the code of the card in a fresh process without this project."""
    code = code_of((folder / FOLDER / "README.md").read_text())
    for old, new in ((HERE, str(FOLDER)), ("model.onnx", file), (PAIRS, ASKED)):
        assert old in code
        code = code.replace(old, new)
    pairs = json.dumps(rows_of_test(folder)[["text_a", "text_b"]].to_numpy().tolist())
    command = [sys.executable, "-c", FRESH.format(code=code)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        command, cwd=folder, input=pairs, stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    logits, h = json.loads(ended.stdout)
    return np.array(logits), np.array(h)


@pytest.mark.slow
def test_a_fresh_process_with_onnxruntime_alone_says_what_the_run_said(exported):
    folder, told = exported
    logits, h = answers(folder, "model.onnx")
    run = load_run(folder / "runs/tiny/teacher/ce/0")
    assert (
        np.abs(logits - split_logits(run.logits, "test", rows_of_test(folder)["row_id"].tolist(), folder)).max() < 1e-4
    )
    assert np.abs(h - run.features["test"]).max() < 1e-4
    assert "labels as the run itself predicted them: 60 of 60\n" in told


@pytest.mark.slow
def test_the_model_of_a_fold_is_checked_on_the_rows_of_its_fold(tiny_encoder, tmp_path):
    kept_run(tmp_path / "work", tiny_encoder, test_split=None, folds=5)
    told = exporting(tmp_path / "work")
    tested = len(pd.read_parquet(tmp_path / "work/data/tiny/splits/0/test.parquet"))
    assert abs(tested - 32) <= 2  # a fifth of 160, in whole groups of equal texts
    assert f"labels as the run itself predicted them: {tested} of {tested}\n" in told


@pytest.mark.slow
def test_both_scores_are_printed_and_in_the_card(exported):
    folder, told = exported
    card = (folder / FOLDER / "README.md").read_text()
    labels = load_test_labels("tiny", folder / "data")["label"].to_numpy()
    for file in ("model.onnx", "model.int8.onnx"):
        score = f"{(answers(folder, file)[0].argmax(axis=1) == labels).mean():.4f}"
        assert f"\n{file}: accuracy {score}, " in told
        assert f"| accuracy on test, 60 rows: `{file}` | {score} |" in card
    assert re.search(r"^farthest from torch: logits \d\.\de-0[5-9], h \d\.\de-0[5-9] \(allowed: 1e-04\)$", told, re.M)


@pytest.mark.slow
def test_a_folder_holds_what_it_needs_and_nothing_of_this_machine(exported):
    import onnxruntime  # an extra

    folder = exported[0] / FOLDER
    names = {path.name for path in folder.iterdir()}
    tokenizer = {"tokenizer.json", "tokenizer_config.json"}
    assert names == {"README.md", "config.json", "model.onnx", "model.int8.onnx"} | tokenizer
    for path in folder.iterdir():
        for place in (str(exported[0]), str(REPOSITORY), "site-packages"):
            assert place.encode() not in path.read_bytes(), path.name
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    inputs = ["input_ids", "attention_mask", "token_type_ids"]
    assert [one.name for one in session.get_inputs()] == inputs[: len(session.get_inputs())]
    assert all(one.shape == ["batch", "length"] for one in session.get_inputs())
    assert [(one.name, one.shape) for one in session.get_outputs()] == [("logits", ["batch", 2]), ("h", ["batch", 32])]


@pytest.mark.slow
def test_the_code_of_the_page_is_that_of_the_card(exported):
    """So the tests run both; a card names the inputs of its own model, and a row of its own task."""
    page = code_of((REPOSITORY / "docs/take-away.md").read_text())
    code = code_of((exported[0] / FOLDER / "README.md").read_text()).replace(PAIRS, '["a text", "another text"]')
    own = set(code.replace(HERE, "exports/vader-movie/student/kd-cmi_max/0").splitlines())
    assert own <= set(page.splitlines())
    assert {line for line in page.splitlines() if line not in own} <= {TYPES}


@pytest.mark.slow
@pytest.mark.fault
def test_a_model_that_differs_from_torch(exported, monkeypatch, capsys, record_fault):
    """Any difference is too much here; the older export stays."""
    before = digests(exported[0] / FOLDER, ".")
    monkeypatch.setattr(src.export.checking, "FARTHEST", 0.0)
    told = refused(exported[0], monkeypatch, capsys, *RUN)
    apart = r"logits differ from torch's by up to \d.\de-\d\d on the test rows, and h by up to \d.\de-\d\d; "
    assert re.fullmatch(rf"error: --format onnx: {apart}allowed: at most 0e\+00. Nothing was written\n", told)
    assert digests(exported[0] / FOLDER, ".") == before
    assert [path.name for path in (exported[0] / FOLDER).parent.iterdir()] == ["0"]
    record_fault(
        KIND, "an exported model that differs from torch", "one line with both differences; nothing is written"
    )


def test_a_label_with_a_bar_stays_in_its_cell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = RunName("tiny", "teacher", "ce", 0)
    (run.folder() / "model").mkdir(parents=True)
    (run.folder() / "model/README.md").write_text("---\nlicense: mit\n---\n| a | b |\n|---|---|\n")
    kept: Any = SimpleNamespace(max_length=8)
    task: Any = SimpleNamespace(label_names=["a|b", "c"], train=SimpleNamespace(texts=[("a text",)]))
    card = onnx_card(run, kept, task, ["input_ids"], Checked(1, "accuracy", {"model.onnx": 1.0}, 0.0, 0.0, 1))
    assert r"| labels, in the order of the logits | a\|b, c |" in card.text


@pytest.fixture
def place(tmp_path) -> Path:
    """A repository with params.yaml and a run that kept no weights, as far as the stage looks at it."""
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params_content(), sort_keys=False))
    (tmp_path / "runs/tiny/teacher/ce/0").mkdir(parents=True)
    (tmp_path / "runs/tiny/teacher/ce/0/record.json").write_text("{}")
    return tmp_path


def refused(folder: Path, monkeypatch, capsys, *arguments: str) -> str:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["export", *arguments])
    with pytest.raises(SystemExit) as end:
        stages.export.main()
    assert end.value.code == 1
    return capsys.readouterr().err


@pytest.mark.fault
def test_a_run_that_kept_no_weights(place, monkeypatch, capsys, record_fault):
    told = refused(place, monkeypatch, capsys, *RUN)
    allowed = "set runtime.keep_weights to true in params.yaml and run `dvc repro`"
    assert told == f"error: runs/tiny/teacher/ce/0/model: the weights of this run were not kept; {allowed}\n"
    record_fault(KIND, "the model of a run that kept none", f"`` {told.strip()} ``")


@pytest.mark.fault
def test_a_run_that_is_not_there(place, monkeypatch, capsys, record_fault):
    told = refused(place, monkeypatch, capsys, *RUN[:-3], "cmi_mni", "--seed", "0")
    assert told.startswith("error: runs/tiny/teacher/cmi_mni/0: this run has not been made; run `dvc repro`, or name ")
    assert told.endswith("teacher arm; params.yaml has the arms ce, cmi_min, cmi_max\n")
    record_fault(KIND, "the model of a run that is not there, its arm misspelt", f"`` {told.strip()} ``")


@pytest.mark.fault
def test_the_extra_is_not_installed(place, monkeypatch, capsys, record_fault):
    (place / "runs/tiny/teacher/ce/0/model").mkdir()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for name in ("onnx", "onnxscript"):
        monkeypatch.setitem(sys.modules, name, sys)
    told = refused(place, monkeypatch, capsys, *RUN)
    assert told == "error: --format onnx: onnxruntime not installed; run `make onnx`\n"
    record_fault(KIND, "without onnxruntime", f"`` {told.strip()} ``")


@pytest.mark.fault
def test_a_folder_that_holds_something_else(place, monkeypatch, capsys, record_fault):
    (place / "runs/tiny/teacher/ce/0/model").mkdir()
    (place / "mine").mkdir()
    (place / "mine/notes").touch()
    told = refused(place, monkeypatch, capsys, *RUN, "--out", "mine")
    assert told == "error: --out mine: exists already; delete it, or name a new folder\n"
    assert (place / "mine/notes").exists()
    record_fault(KIND, "`--out` with files in it", f"`` {told.strip()} ``")
