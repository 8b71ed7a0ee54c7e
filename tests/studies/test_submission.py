"""Files for the GLUE server, from data in the hub's form: unlabelled test splits, whose labels are -1."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import stages.finetune
import stages.prepare
import stages.submit
from src.params import check_params, load_params
from src.runs import RunName
from src.submission.asked import check_submissions
from src.submission.chosen import best_run
from src.submission.files import OFFICIAL_TESTS, table_of, write_submission
from src.system.errors import UserError
from src.system.files import read_json
from tests.conftest import params_content
from tests.support.hub_repositories import TASKS, glue, splits_of
from tests.support.repository import clone_with, run

ASKED = [{"role": "teacher", "arm": "ce"}]
CHOSEN = ["glue-cola", "glue-mnli", "glue-rte"]


def params_with(encoder, **changes) -> dict:
    content = params_content() | {"tasks": CHOSEN, "seeds": [0, 1], "study": "tiny"}
    content["models"]["teacher"] = encoder.model_dump()
    content["runtime"] |= {"threads": 1, "keep_weights": True} | changes
    content["finetune"]["training"] |= {"epochs": 1, "batch_size": 16}
    content["glue"]["folder"] = "glue"
    return content


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_encoder) -> Path:
    """A folder with two runs of each of three tasks, their weights kept."""
    folder = tmp_path_factory.mktemp("submission")
    for name, content in glue().files.items():
        if name.endswith(".parquet"):
            place = folder / "glue" / name.replace("-00000-of-00001", "")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    (folder / "params.yaml").write_text(yaml.safe_dump(params_with(tiny_encoder)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for task in CHOSEN:
            patch.setattr("sys.argv", ["prepare", "--task", task])
            stages.prepare.main()
            for seed in ("0", "1"):
                patch.setattr("sys.argv", ["finetune", "--task", task, "--arm", "ce", "--seed", seed])
                stages.finetune.main()
    return folder


@pytest.fixture
def place(trained, tmp_path, monkeypatch) -> Path:
    copy = shutil.copytree(trained, tmp_path / "copy")
    monkeypatch.chdir(copy)
    monkeypatch.setattr("sys.argv", ["submit", "--role", "teacher", "--arm", "ce"])
    return copy


def tables(archive: Path) -> dict[str, pd.DataFrame]:
    with zipfile.ZipFile(archive) as opened:
        return {name: pd.read_csv(opened.open(name), sep="\t") for name in opened.namelist()}


def test_each_official_test_split_has_its_file_in_the_servers_form(place):
    stages.submit.main()
    found = tables(place / "submissions/tiny/teacher-ce.zip")
    assert list(found) == ["CoLA.tsv", "MNLI-m.tsv", "MNLI-mm.tsv", "RTE.tsv"]
    for table in found.values():
        assert list(table) == ["index", "prediction"]
        assert table["index"].tolist() == list(range(20))
    assert set(found["CoLA.tsv"]["prediction"]) <= {0, 1}
    assert set(found["MNLI-mm.tsv"]["prediction"]) <= {"entailment", "neutral", "contradiction"}
    assert set(found["RTE.tsv"]["prediction"]) <= {"entailment", "not_entailment"}


def test_the_kept_model_predicts_what_its_run_predicted(place):
    """The labelled validation split in the place of the official one: the run has predicted its rows already."""
    for task, part in (("glue-cola", "cola"), ("glue-rte", "rte")):
        shutil.copy(place / f"glue/{part}/validation.parquet", place / f"glue/{part}/test.parquet")
        run = best_run(load_params(), task, "teacher", "ce")
        logits = pd.read_parquet(run.folder() / "logits.parquet").query("split == 'test'").set_index("row_id")
        expected = logits.filter(like="logit_").to_numpy().argmax(axis=1)[np.argsort(logits.index.map(row_number))]
        stages.submit.main()
        prediction = tables(place / "submissions/tiny/teacher-ce.zip")[OFFICIAL_TESTS[part][0].file]["prediction"]
        names = TASKS[part][1]
        assert [names[label] if part == "rte" else label for label in expected] == prediction.tolist()


def row_number(row_id: str) -> int:
    return int(row_id.rpartition("_")[2])


def test_the_run_with_the_best_selection_score_predicts_and_of_equal_ones_that_with_the_lower_nll(place):
    for seed, (score, nll) in {0: (0.7, 0.5), 1: (0.7, 0.4)}.items():
        history = RunName("glue-rte", "teacher", "ce", seed).folder() / "history.csv"
        table = pd.read_csv(history)
        table[["selection_accuracy", "selection_nll"]] = (score, nll)
        table.to_csv(history, index=False)
    assert best_run(load_params(), "glue-rte", "teacher", "ce").seed == 1


def test_equal_predictions_give_equal_bytes(place):
    stages.submit.main()
    first = (place / "submissions/tiny/teacher-ce.zip").read_bytes()
    stages.submit.main()
    assert (place / "submissions/tiny/teacher-ce.zip").read_bytes() == first


def test_the_table_of_three_rows(tmp_path):
    assert table_of([1, 0, 1], ["no", "yes"], by_name=True) == "index\tprediction\n0\tyes\n1\tno\n2\tyes\n"
    assert table_of([1, 0], ["no", "yes"], by_name=False) == "index\tprediction\n0\t1\n1\t0\n"
    write_submission(tmp_path / "one.zip", {"RTE.tsv": "index\tprediction\n"})
    assert zipfile.ZipFile(tmp_path / "one.zip").read("RTE.tsv") == b"index\tprediction\n"


def test_every_task_of_glue_has_its_splits():
    """As the hub's data set calls them."""
    assert {part: {test.split for test in tests} for part, tests in OFFICIAL_TESTS.items()} == {
        part: {split for split in splits_of(part) if split.startswith("test")} for part in TASKS
    }


def refused(capsys) -> str:
    with pytest.raises(SystemExit) as end:
        stages.submit.main()
    assert end.value.code == 1
    return capsys.readouterr().err


def test_it_is_a_stage_of_the_pipeline_where_params_ask_for_it(trained, tmp_path, tiny_encoder, warm_stages):
    content = params_with(tiny_encoder) | {"tasks": ["glue-rte"], "seeds": [0]}
    content["models"]["student"] = tiny_encoder.model_dump()
    content["glue"]["folder"] = str(trained / "glue")
    content["finetune"]["arms"], content["distill"]["recipes"] = {"ce": {"cmi_weight": 0.0}}, {}
    content["student"]["training"] |= {"epochs": 1}
    content["evaluate"]["claims"] = {}
    clone_with(tmp_path / "clone", content | {"submit": [{"role": "teacher", "arm": "ce"}]})
    run(tmp_path / "clone", "dvc", "repro", "submit")
    deps = yaml.safe_load((tmp_path / "clone/dvc.lock").read_text())["stages"]["submit@run0"]["deps"]
    assert "settings/submit.json" in {dep["path"] for dep in deps}
    [files] = read_json(tmp_path / "clone/settings/submit.json")["files"].items()
    assert (files[0], len(files[1])) == ("glue-rte", 64)
    assert list(tables(tmp_path / "clone/submissions/tiny/teacher-ce.zip")) == ["RTE.tsv"]
    assert run(tmp_path / "clone", "git", "status", "--short", "submissions") == ""


def test_weights_that_were_not_kept_are_missed(place, capsys):
    for folder in place.glob("runs/glue-mnli/teacher/ce/*/model"):
        shutil.rmtree(folder)
    told = refused(capsys)
    assert "model: the weights of this run were not kept; set runtime.keep_weights to true in params.yaml" in told
    assert not (place / "submissions").exists()


def test_by_hand_a_misspelt_arm_and_a_task_with_folds_are_told(place, tiny_encoder, capsys, monkeypatch):
    content = params_with(tiny_encoder) | {"tasks": ["glue-rte"]}
    content["task_settings"]["glue-rte"] |= {"folds": 5, "test_split": None}
    (place / "params.yaml").write_text(yaml.safe_dump(content))
    told = "error: params.yaml: task 'glue-rte': has folds, each with its own model, and a submission is of one model"
    assert refused(capsys).startswith(told)
    monkeypatch.setattr("sys.argv", ["submit", "--role", "teacher", "--arm", "cmi_mni"])
    assert refused(capsys) == "error: --arm: no teacher arm 'cmi_mni'; allowed: ce, cmi_max, cmi_min\n"
    assert not (place / "submissions").exists()


def test_a_study_without_a_task_of_glue_is_told(place, tiny_encoder, capsys):
    (place / "params.yaml").write_text(yaml.safe_dump(params_with(tiny_encoder) | {"tasks": ["vader-movie"]}))
    assert "params.yaml: tasks: no task has an official test split; add a task of source glue" in refused(capsys)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"submit": [{"role": "teacher", "arm": "cmi_mni"}]}, "submit: no teacher arm 'cmi_mni'; allowed: ce, cmi_min"),
        ({"submit": ASKED, "tasks": ["vader-movie"]}, "tasks: no task has an official test split"),
        ({"submit": ASKED, "kept": False}, "submit: needs the weights of the runs; set runtime.keep_weights to true"),
        (
            {"submit": ASKED, "twice": True},
            "tasks: two tasks would write the predictions of GLUE's rte; keep one of them",
        ),
        ({"submit": ASKED * 2}, "submit: holds a value twice; name each value once"),
        (
            {"submit": ASKED, "labels": ["acceptable", "unacceptable"]},
            "task_settings.glue-cola.labels: differs from GLUE's labels of cola, whose order the server counts; "
            r"allowed: \[unacceptable, acceptable\]",
        ),
    ],
)
def test_what_could_not_be_made_is_told_before_the_training(tiny_encoder, changes, told):
    content = params_with(tiny_encoder, keep_weights=changes.pop("kept", True))
    if changes.pop("twice", False):
        content["task_settings"]["again"] = content["task_settings"]["glue-rte"]
        content["tasks"] = ["glue-rte", "again"]
    if labels := changes.pop("labels", None):
        content["task_settings"]["glue-cola"]["labels"] = labels
    with pytest.raises(UserError, match=told):
        check_submissions(check_params(Path("params.yaml"), content | changes))


def test_a_test_split_that_is_not_there_is_told(place, tiny_encoder, capsys):
    (place / "glue/rte/test.parquet").unlink()
    assert "glue/rte/test" in refused(capsys)
    assert not (place / "submissions").exists()
    content = params_with(tiny_encoder) | {"submit": ASKED}
    told = "glue/rte: has no test split, and submit predicts GLUE's official test splits; add it as GLUE has it"
    with pytest.raises(UserError, match=told):
        check_submissions(check_params(Path("params.yaml"), content))


def test_names_of_labels_are_written_as_glue_has_them(place, tiny_encoder):
    content = params_with(tiny_encoder) | {"tasks": ["glue-rte"]}
    content["task_settings"]["glue-rte"]["labels"] = ["Entailment", "Not_Entailment"]
    (place / "params.yaml").write_text(yaml.safe_dump(content))
    stages.submit.main()
    names = tables(place / "submissions/tiny/teacher-ce.zip")["RTE.tsv"]["prediction"]
    assert set(names) <= {"entailment", "not_entailment"}
