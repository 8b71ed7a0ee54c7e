"""What `settings` looks at in every run: the whole of params.yaml, and the files that it names outside of the pipeline.

DVC by itself takes neither a key that no stage depends on nor another file under the same name for a change.
"""

import ast
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import pandas as pd
import pytest
import transformers
import yaml
from datasets import Dataset

import src.core.models.compatibility
import src.data.sources.labels
import stages.settings
from src.core.models.tokenizer import TOKENIZER_FILES
from src.core.training_code import TRAINING_CODE
from src.params import ModelSource, load_params
from src.repository.fingerprints import KEPT_FILE
from src.repository.settings import settings_are_written
from src.repository.watched import watched_model
from src.system.files import new_folder, write_parquet
from tests.conftest import REPOSITORY, labelled_texts, params_content
from tests.faults.hostile.cases import everything, write_params
from tests.support.repository import PATHLIB, clone_with, run, stages_run, start, tiny_study

KIND = "files that params.yaml names, changed under the same name"
DATA, TEACHER, STUDENT = "data.json", "teacher/ce.json", "student/plain.json"


@pytest.fixture
def model(workplace) -> Path:
    """A folder with the names of a model's files, of which `settings` reads no more than the bytes."""
    folder = workplace / "encoder"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "README.md"):
        (folder / name).write_text(name)
    source = {"source": "folder", "name": "encoder", "revision": None}
    own = params_content()["models"]
    own["teacher"] |= source
    write_params(("tasks", ["tiny"]), ("models", own))
    return folder


@pytest.fixture
def written(workplace, monkeypatch):
    """Runs the stage; what it wrote for the task `tiny`, by path."""

    def files() -> dict[str, dict]:
        monkeypatch.setattr(sys, "argv", ["stage"])
        stages.settings.main()
        folder = Path("settings/tiny")
        return {str(path.relative_to(folder)): json.loads(path.read_text()) for path in folder.rglob("*.json")}

    return files


def changed(before: dict[str, dict], after: dict[str, dict]) -> set[str]:
    return {path for path in before | after if before.get(path) != after.get(path)}


def relabel(path: Path) -> None:
    """Another label on the first row, in as many bytes and with the same time of the last change."""
    text, stat = path.read_text(), path.stat()
    label = text.index('"label": ') + len('"label": ')
    path.write_text(text[:label] + str(1 - int(text[label])) + text[label + 1 :])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def touch(path: Path) -> None:
    os.utime(path, (1, 1))


def write_below(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("changed")


CHANGES = {
    "labels": ("a label of a task's train file, with size and time as before", "source/train.jsonl", relabel, {DATA}),
    "second file": (
        "a second file for a split beside the first",
        "source/train.csv",
        lambda path: path.write_text("sentence,label\n"),
        {DATA},
    ),
    "weights": (
        "other weights in a model's folder",
        "encoder/model.safetensors",
        lambda path: path.write_text("MODEL.safetensors"),
        {TEACHER, "teacher/cmi_min.json", "teacher/cmi_max.json"},
    ),
    "tokenizer": (
        "another tokenizer in a model's folder",
        "encoder/tokenizer.json",
        lambda path: path.unlink(),
        {TEACHER, "teacher/cmi_min.json", "teacher/cmi_max.json"},
    ),
    "readme": (
        "a README in a model's folder, which nothing reads",
        "encoder/README.md",
        lambda path: path.write_text("changed"),
        set(),
    ),
    "other split": (
        "a file that the task does not read",
        "source/test.jsonl",
        lambda path: path.write_text("{}"),
        set(),
    ),
    "time": ("the time of a file, and nothing in it", "source/train.jsonl", touch, set()),
    "backup": (
        "a copy train.jsonl.bak, which nothing reads",
        "source/train.jsonl.bak",
        lambda path: path.write_text("changed"),
        set(),
    ),
    "file manager": ("a .DS_Store in a folder of a split's name", "source/train/.DS_Store", write_below, set()),
    "folder": ("a folder of Parquet files beside the file of a split", "source/train/0.parquet", write_below, {DATA}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_changes(model, written, record_fault, name):
    fault, path, change, expected = CHANGES[name]
    before = written()
    change(Path(path))
    assert settings_are_written(load_params()) == (not expected)
    assert changed(before, written()) == expected
    record_fault(KIND, fault, "what is made of it is made anew" if expected else "nothing is made anew")


def test_every_vocabulary_that_a_tokenizer_reads_is_watched(tmp_path):
    """Those that this project takes for a tokenizer, and those that the tokenizers of transformers name."""
    code = "".join(path.read_text() for path in Path(transformers.__path__[0]).glob("models/*/tokenization_*.py"))
    named = {name for files in re.findall(r"VOCAB_FILES_NAMES = (\{.*?\})", code, re.DOTALL) for name in _values(files)}
    assert {"bpe.codes", "source.spm", "target.spm", "prophetnet.tokenizer", "vocab.txt"} < named
    names = named | {pattern.replace("*", "any") for pattern in TOKENIZER_FILES}
    for name in names:
        (tmp_path / name).touch()
    source = ModelSource(source="folder", name=str(tmp_path), revision=None)
    [(_, files)] = watched_model(source).values()
    assert sorted(path.name for path in files) == sorted(names)


def _values(code: str) -> list[str]:
    """The names of files in the code of a dictionary."""
    return [name for name in ast.literal_eval(code).values() if isinstance(name, str)]


@pytest.mark.parametrize(
    ("key", "value", "path"),
    [
        ("also_test", {"name": "more", "source": "folder", "path": "second", "split": "test"}, "second/test.jsonl"),
        ("transfer_file", "more.jsonl", "more.jsonl"),
    ],
    ids=["also_test", "transfer_file"],
)
def test_a_file_of_another_key_changes(workplace, written, record_fault, key, value, path):
    Path("second").mkdir()
    shutil.copy("source/train.jsonl", path)
    rows = {"train": None, "selection": None, "test": None, "transfer": 1}
    task = f"task_settings.tiny.{key}"
    write_params(("tasks", ["tiny"]), ("task_settings.tiny.max_rows", rows), (task, value))
    before = written()
    relabel(Path(path))
    assert changed(before, written()) == {DATA}
    record_fault(KIND, f"the file of {key}", "what is made of it is made anew")


def test_a_file_whose_name_is_in_another_unicode_form_changes(workplace, written, record_fault):
    """As macOS has written names, and as people may type them: the reader takes the two forms for one name."""
    Path("source/train.jsonl").rename("source/cafe\u0301.jsonl")
    write_params(("tasks", ["tiny"]), ("task_settings.tiny.train_split", "caf\u00e9"))
    before = written()
    relabel(Path("source/cafe\u0301.jsonl"))
    assert changed(before, written()) == {DATA}
    record_fault(KIND, "a split as NFC in params.yaml, as NFD in its file's name", "what is made of it is made anew")


@pytest.mark.parametrize("name", ["data-00000-of-00001.arrow", "state.json", "dataset_info.json"])
def test_a_folder_of_save_to_disk_changes(workplace, written, name):
    Dataset.from_list(labelled_texts(160, 0)).save_to_disk("source/train")
    Path("source/train.jsonl").unlink()
    write_params(("tasks", ["tiny"]))
    before = written()
    Path("source/train/.DS_Store").write_text("changed")
    assert written() == before
    with Path("source/train", name).open("ab") as file:
        file.write(b" ")
    assert changed(before, written()) == {DATA}


def test_a_file_that_moves_to_another_split_changes_the_data(workplace, written):
    shutil.rmtree("source")
    for name in ("train/a", "train/b", "validation/c"):
        write_parquet(Path(f"source/{name}.parquet"), pd.DataFrame(labelled_texts(10, 0)))
    write_params(("tasks", ["tiny"]))
    before = written()
    Path("source/train/b.parquet").rename("source/validation/b.parquet")
    assert changed(before, written()) == {DATA}


def test_a_folder_of_glue_changes(workplace, written, record_fault):
    Path("glue").mkdir()
    shutil.copytree("source", "glue/rte")
    task = {"source": "glue", "part": "rte", "text": ["sentence"], "labels": ["a", "b"], "metrics": ["accuracy"]}
    write_params(("tasks", ["tiny"]), ("task_settings.tiny", task), ("glue.folder", "glue"))
    before = written()
    relabel(Path("glue/rte/validation.jsonl"))
    assert changed(before, written()) == {DATA}
    record_fault(KIND, "a file of glue.folder", "what is made of it is made anew")


def test_a_folder_that_is_not_on_this_machine(model, written, capsys, record_fault):
    """A colleague has the results and not the data: what is committed stays as it is."""
    before = written()
    shutil.rmtree("source")
    shutil.rmtree("encoder")
    capsys.readouterr()
    assert written() == before
    told = capsys.readouterr().err
    line = "warning: source does not exist here; settings/tiny/data.json keeps the fingerprint of its files"
    assert line in told.splitlines()
    record_fault(KIND, "the folders are on another machine only", f"nothing is made anew; `` {line} ``")

    write_params(("tasks", ["tiny"]), ("task_settings.tiny.path", "nowhere"))  # of another folder nothing is known
    assert "files" not in written()[DATA]


def test_a_folder_that_lost_its_files(workplace, written, capsys, record_fault):
    """Old results do not pass for those of the folder: `prepare` runs again, and names what is missing."""
    write_params(("tasks", ["tiny"]))
    before = written()
    for path in Path("source").iterdir():
        path.rename(path.with_suffix(".xlsx"))
    after = written()
    assert changed(before, after) == {DATA}
    assert "files" not in after[DATA]
    assert "keeps the fingerprint" not in capsys.readouterr().err
    record_fault(KIND, "a folder that lost its files", "what is made of them is made anew; it names what is missing")


ANOTHER_STUDY = {
    "the same task of another folder": (("tasks", ["tiny"]), ("task_settings.tiny.path", "elsewhere")),
    "other tasks": (("tasks", ["vader-tweets"]),),
}


@pytest.mark.parametrize("name", ANOTHER_STUDY)
def test_a_study_after_another_one_without_its_folder(workplace, written, record_fault, name):
    """`make study` of another study, and of the first one again: the commit still knows what the first was made of."""
    write_params(("tasks", ["tiny"]))
    before = written()
    run(Path(), "git", "init", "--quiet")
    run(Path(), "git", "add", "settings")
    run(Path(), "git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "made")
    shutil.rmtree("source")
    write_params(*ANOTHER_STUDY[name])
    assert "files" not in written().get(DATA, {})
    write_params(("tasks", ["tiny"]))
    assert written() == before
    record_fault(KIND, f"the folder elsewhere, after a study with {name}", "nothing is made anew")

    write_params(("tasks", ["tiny"]), ("task_settings.tiny.path", "nowhere"))
    assert "files" not in written()[DATA]


def killed_between_two_renames(files: int, *command: str) -> None:
    """Run Python until it has moved away what was there, after the renames of some files, and kill it then."""
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests" / "support" / "killing")])
    where = f"{sys.executable} | {PATHLIB}:Path.replace:return:{files + 1}"
    process = start(Path(), sys.executable, *command, PYTHONPATH=path, KILL_AT=where)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, told


def test_what_was_there_outlives_a_kill_between_two_renames(tmp_path, record_fault):
    target = tmp_path / "results"
    target.mkdir()
    (target / "kept").touch()
    code = "from pathlib import Path; from src.system.files import new_folder\n"
    code += f"with new_folder(Path({str(target)!r})): pass"
    killed_between_two_renames(0, "-c", code)
    assert not target.exists()
    with pytest.raises(ZeroDivisionError), new_folder(target):
        raise ZeroDivisionError
    assert everything(tmp_path) == {target, target / "kept"}
    record_fault(KIND, "killed while new results take the place of old ones", "the old ones have their name back")


def test_fingerprints_outlive_a_kill_between_two_renames(model, written, record_fault):
    """What is known of files that are not on this machine stands in the settings of before, and nowhere else."""
    before = written()
    shutil.rmtree("source")
    shutil.rmtree("encoder")
    killed_between_two_renames(len(before), "-m", "stages.settings")
    assert not Path("settings").exists()
    assert written() == before
    record_fault(KIND, "killed while `settings` replaces its files, the folders elsewhere", "nothing is made anew")


def test_a_file_that_did_not_change_is_read_once(model, written):
    """Its hash is kept, once its times are old enough to tell that it changed."""
    Path(KEPT_FILE).parent.mkdir(parents=True)
    weights = model / "model.safetensors"
    before = written()
    assert not Path(KEPT_FILE).exists()

    place = str(weights.resolve())
    stat = weights.stat()
    stamp = [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]
    Path(KEPT_FILE).write_text(json.dumps({place: [stamp, "kept"]}))
    assert changed(before, written()) == {TEACHER, "teacher/cmi_min.json", "teacher/cmi_max.json"}
    weights.write_text("model.safetensors")
    assert written() == before


@pytest.mark.parametrize("content", ["damaged", "[]", '{"a": 1}', '{"a": [1, 2]}', '{"a": [[1], 2]}'])
def test_kept_hashes_of_another_form(model, written, monkeypatch, record_fault, content):
    before = written()
    Path(KEPT_FILE).parent.mkdir(parents=True)
    Path(KEPT_FILE).write_text(content)
    monkeypatch.setattr("src.repository.fingerprints.SETTLED", -1)  # instead of waiting
    assert written() == before
    kept = json.loads(Path(KEPT_FILE).read_text())
    assert str((model / "model.safetensors").resolve()) in kept
    record_fault(KIND, f"`{KEPT_FILE}` holds {content}", "ignored, and written anew")


def test_dvc_sees_all_of_it(tmp_path, tiny_encoder, record_fault):
    """In a clone with real DVC, as far as the prepared task: what changed is made anew once, and nothing else is."""
    folder, source = tmp_path / "clone", tmp_path / "source"
    source.mkdir()
    clone_with(folder, tiny_study(tiny_encoder, source))
    prepare = ("dvc", "repro", "prepare@tiny")
    assert stages_run(run(folder, *prepare)) == ["settings", "prepare@tiny"]
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "prepared")

    assert stages_run(run(folder, *prepare)) == ["settings"]
    assert run(folder, "git", "status", "--porcelain") == ""
    relabel(source / "train.jsonl")
    assert stages_run(run(folder, *prepare)) == ["settings", "prepare@tiny"]
    assert stages_run(run(folder, *prepare)) == ["settings"]
    record_fault(KIND, "a label, in a clone with DVC's run cache", "`dvc repro` prepares the task anew, once")

    told = run(folder, "dvc", "exp", "run", "-S", "checkpoints.seconds=-5", "prepare@tiny", ok=False)
    assert "error: params.yaml: checkpoints.seconds: not acceptable (got -5); " in told


# Code that stages import and that has no effect on their outputs. Settings have files of their own in settings/.
WITHOUT_EFFECT = {f"src/{name}.py" for name in ("arms", "data/sources/labelled_text")}
WITHOUT_EFFECT |= {f"src/system/{name}.py" for name in ("command_line", "errors", "files", "interrupts", "locks")}
WITHOUT_EFFECT |= {f"src/system/{name}.py" for name in ("printing", "write_faults")}
OF_CHANGED = ("distill_matched", "distill_calibrated", "distill_mapped")
WITH_CODE = ("prepare", "finetune", "student", "distill", *OF_CHANGED, "submit")


@pytest.mark.parametrize("stage", WITH_CODE)
def test_a_stage_depends_on_the_code_that_it_imports(stage):
    content = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"][stage]
    [start] = [path for path in content["deps"] if path.startswith("stages/")]
    imported = {str(path.relative_to(REPOSITORY)) for path in imports_of(REPOSITORY / start)}
    covered = {name for name in imported if any(Path(name).is_relative_to(path) for path in content["deps"])}
    assert imported - covered <= WITHOUT_EFFECT


def test_records_and_checkpoints_hash_the_code_that_dvc_watches():
    watched = {stage: code_of(stage) for stage in ("finetune", "student", "distill", *OF_CHANGED)}
    assert set.union(*watched.values()) == set(TRAINING_CODE)
    assert {stage for stage in OF_CHANGED if watched[stage] != watched["distill"]} == set()


def code_of(stage: str) -> set[str]:
    """The code that a stage depends on."""
    deps = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"][stage]["deps"]
    return {path for path in deps if path.startswith(("src/", "stages/"))}


@pytest.mark.parametrize("used_in", [src.data.sources.labels, src.core.models.compatibility])
def test_stages_depend_on_the_form_in_which_names_are_compared(used_in):
    name = str(Path(used_in.canonical.__code__.co_filename).relative_to(REPOSITORY))
    stages_of = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
    for stage in WITH_CODE:
        assert any(Path(name).is_relative_to(path) for path in stages_of[stage]["deps"]), stage
    assert name in TRAINING_CODE


def imports_of(path: Path) -> set[Path]:
    """The files of src/, less those of params, that a file imports, and those that these import."""
    found, left = set(), [path]
    while left:
        for node in ast.walk(ast.parse(left.pop().read_text())):
            if not isinstance(node, ast.ImportFrom) or (node.module or "").startswith("src.params"):
                continue
            if (node.module or "").startswith("src.") and node.level == 0:
                file = REPOSITORY / f"{str(node.module).replace('.', '/')}.py"
                if file.is_file() and file not in found:
                    found.add(file)
                    left.append(file)
    return found


REFUSED = {
    "unknown key": ("+nokey=3", "params.yaml: nokey: unknown key; allowed: study, "),
    "misspelt section": ("+evaluat.ece_bins=5", "params.yaml: evaluat: unknown key; allowed: evaluate, "),
    "no dependency": ("checkpoints.seconds=-5", "params.yaml: checkpoints.seconds: not acceptable (got -5); "),
    "seed": ("seeds=[5.0]", "params.yaml: seeds.0: not acceptable (got 5.0); it should be a valid integer"),
    "arm to compare": ("evaluate.pairs=[{role: teacher, family: no, against: ce}]", "params.yaml: evaluate.pairs: "),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A clone of the default study whose settings are written, as far as a fault of them can be told."""
    folder = tmp_path_factory.mktemp("finished")
    clone_with(folder, params_content())
    run(folder, "dvc", "repro", "settings")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "settings")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_an_experiment_with_a_faulty_setting_ends_at_once(finished, record_fault, name):
    setting, expected = REFUSED[name]
    told = run(finished, "dvc", "exp", "run", "-S", setting, "settings", ok=False)
    run(finished, "git", "checkout", "--quiet", ".")
    [line] = [line for line in told.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: {expected}")
    record_fault("a setting of `dvc exp run` while all is up to date", f"-S '{setting}'", f"`` {line:.120} ``")
