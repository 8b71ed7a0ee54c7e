"""params.yaml is checked once, before any work. Refusals: tests/faults/hostile/."""

import copy
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import jsonschema
import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import dump_yaml, load_yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

import stages.study
from src.params import Params, load_params, read_yaml, tasks
from src.params.models import ModelSource, Runtime
from src.params.reading import parse_yaml, yaml_text
from src.params.runs import ObjectiveDefaults, Training
from src.study.named.overrides import (
    NULL_IS_A_VALUE,
    READ_BY_DVC,
    checked_content,
    merged_content,
    study_content,
    study_params,
    study_text,
)
from src.system.errors import UserError
from tests.conftest import REPOSITORY, params_content
from tests.support.repository import run, start


def changed(key: str, value: object) -> dict:
    content = copy.deepcopy(params_content())
    *path, last = key.split(".")
    section = content
    for part in path:
        section = section[part]
    section[last] = value
    return content


def written(tmp_path, content: dict):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


SCALARS = ["010", "0o10", "0x1F", "0b1", "1_000", "+5", "yes", "no", "on", "off", "y", "12:30", "190:20:30", "2e-05"]
SCALARS += ["1e5", "1.5E+3", ".5", "5.", "._1", ".inf", "-.INF", ".nan", "~", "null", "Null", "True", "TRUE", "''"]
SCALARS += ["2001-01-01", "2001-12-14t21:59:43.10-05:00", "!!str 010", "!!int '010'", "!!float 1", "- 1"]


@pytest.mark.parametrize("scalar", SCALARS)
def test_a_value_is_what_dvc_takes_it_for(tmp_path, scalar):
    """YAML 1.1, which PyYAML reads, takes many of them for something else: 010 for 8, yes for true, 12:30 for 750."""
    path = tmp_path / "some.yaml"
    path.write_text(f"value:\n  {scalar}\nbase: &base {{a: 1, b: 2}}\nmerged:\n  <<: *base\n  b: 3\n")
    assert repr(read_yaml(path)) == repr(load_yaml(path))


def test_texts_that_look_like_numbers_stay_texts(tmp_path):
    content = {"arms": {"5e5": {"lr": 5e-5}, "1e-4": None, "0o7": True}, "labels": ["no", "1_0", "12:30", "2026-11-30"]}
    (tmp_path / "params.yaml").write_text(yaml_text(content))
    assert read_yaml(tmp_path / "params.yaml") == content


def test_a_seed_of_010_is_ten_and_2e_05_a_number(tmp_path):
    path = tmp_path / "params.yaml"
    text = (REPOSITORY / "params.yaml").read_text().replace("lr: 1.5e-4", "lr: 2e-05").replace("- 0\n- 1\n", "- 010\n")
    path.write_text(text)
    params = load_params(path)
    assert (params.seeds, params.finetune.training.lr) == ([10], 2e-5)


@pytest.mark.parametrize(
    ("setting", "lines"),
    [
        ("seeds=[0,1]", []),
        (
            "finetune.arms.cmi_min.cmi_weight=20.0",
            ["-    cmi_min: {cmi_weight: 5.0}", "+    cmi_min: {cmi_weight: 20.0}"],
        ),
        ("finetune.training.lr=2e-5", ["-    lr: 1.5e-4", "+    lr: 2e-05"]),
        ("distill.recipes.kd.cmi_weight=-2.0", ["-      cmi_weight: 0.0", "+      cmi_weight: -2.0"]),
        ("seeds=[0,1,2]", ["+- 2"]),
        ("models.student.layers=[0,2]", ["-    - 4"]),
        ("+finetune.arms.strong.cmi_weight=10.0", ["+    strong:", "+      cmi_weight: 10.0"]),
    ],
)
def test_dvc_changes_no_line_of_params_but_what_it_is_told_to(tmp_path, setting, lines):
    """Comments, empty lines, nulls and numbers come back as they were, so that a diff shows the change alone."""
    path = Path(shutil.copy(REPOSITORY / "params.yaml", tmp_path))
    before = path.read_text().splitlines()
    apply_overrides(path, [setting])
    diff = list(difflib.unified_diff(before, path.read_text().splitlines(), n=0, lineterm=""))
    assert [line for line in diff[2:] if not line.startswith("@@")] == lines


def test_an_arm_overrides_the_defaults_and_nothing_else(tmp_path):
    content = changed("finetune.arms.strong", {"cmi_weight": 2.0, "space": "class", "training": {"lr": 3e-5}})
    params = load_params(written(tmp_path, content))
    strong, plain = params.teacher("vader-movie", "strong"), params.teacher("vader-movie", "ce")
    assert strong.objective == plain.objective.model_copy(update={"cmi_weight": 2.0, "space": "class"})
    assert strong.training == plain.training.model_copy(update={"lr": 3e-5})


def test_the_more_particular_setting_wins(tmp_path):
    """A task's over its section's, an arm's over the task's, a task's arm's over the arm's."""
    content = changed("task_settings.vader-movie.training", {"teacher": {"lr": 2e-5, "epochs": 7, "warmup": 0.3}})
    content["finetune"]["arms"]["cmi_min"] = {"cmi_weight": 5.0, "tau": 2.0, "training": {"epochs": 8, "warmup": 0.4}}
    own = {"cmi_weight": 1.0, "training": {"warmup": 0.5}}
    content["task_settings"]["vader-movie"]["arms"] = {"teacher": {"cmi_min": own}, "recipe": {"kd": {"alpha": 0.5}}}
    params = load_params(written(tmp_path, content))
    plain, strong = params.teacher("vader-movie", "ce"), params.teacher("vader-movie", "cmi_min")
    assert (plain.training.lr, plain.training.epochs, plain.training.warmup) == (2e-5, 7, 0.3)
    assert (strong.training.lr, strong.training.epochs, strong.training.warmup) == (2e-5, 8, 0.5)
    assert (strong.objective.cmi_weight, strong.objective.tau) == (1.0, 2.0)
    assert params.distilled_student("vader-movie", "kd").objective.alpha == 0.5
    other = params.teacher("vader-nyt", "cmi_min")
    assert (other.training.epochs, other.training.warmup, other.objective.cmi_weight) == (8, 0.4, 5.0)
    assert params.distilled_student("vader-nyt", "kd").objective.alpha == 0.9


def test_a_task_with_more_seeds(tmp_path):
    content = changed("tasks", ["vader-movie", "vader-nyt"]) | {"more_seeds": {"tasks": ["vader-nyt"], "seeds": [7]}}
    params = load_params(written(tmp_path, content))
    assert (params.seeds_of("vader-movie"), params.seeds_of("vader-nyt")) == ([0, 1], [0, 1, 7])


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        (
            "more_seeds",
            {"tasks": ["vader-nyt"], "seeds": [7]},
            r"more_seeds\.tasks: unknown 'vader-nyt'; allowed: vader-m",
        ),
        ("more_seeds", {"tasks": ["vader-movie"], "seeds": [1]}, "seeds and more_seeds.seeds: holds a value twice"),
        ("more_seeds", {"tasks": [], "seeds": [7]}, "tasks and seeds should both be empty or both be filled"),
        (
            "task_settings.vader-movie.arms",
            {"teacher": {"cmi_mni": {}}},
            r"task_settings\.vader-movie\.arms\.teacher: unknown teacher 'cmi_mni'; allowed: ce, cmi_m",
        ),
        (
            "task_settings.vader-movie.arms",
            {"recipe": {"kd": {"alpa": 1.0}}},
            r"recipe\.kd\.alpa: unknown key; allowed: alpha",
        ),
        (
            "task_settings.vader-movie.training",
            {"teacher": {"lr": 0}},
            r"training\.teacher\.lr: not acceptable \(got 0\)",
        ),
        (
            "task_settings.vader-movie.arms",
            {"teacher": {"ce": {"label_loss": "mse", "label_smoothing": 0.1}}},
            r"task_settings\.vader-movie\.arms\.teacher\.ce: label_smoothing needs label_loss ce",
        ),
    ],
)
def test_faulty_settings_of_a_task_are_refused(tmp_path, key, value, told):
    with pytest.raises(UserError, match=told):
        load_params(written(tmp_path, changed(key, value)))


def test_label_names_may_have_joiners_and_blanks_that_do_not_break():
    """As in Persian, in an emoji of several persons, and in French."""
    names = ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\U0001f468\u200d\U0001f467", "50\u00a0%"]
    content = changed("task_settings.mine", {"source": "folder", "path": "mine", "text": ["text"], "labels": names})
    content["task_settings"]["mine"]["metrics"] = ["accuracy"]
    assert Params.model_validate(content).task("mine").labels == names
    jsonschema.validate(content, json.loads((REPOSITORY / "params.schema.json").read_text()))


def test_a_recipe_gives_alpha_and_temperature(params: Params):
    objective = params.distilled_student("vader-movie", "kd").objective
    assert (objective.alpha, objective.temperature) == (0.9, 2.0)
    assert params.plain_student("vader-movie", "plain").objective.alpha == 0


def study_of(folder: Path, overrides: dict) -> Params:
    """A study of those overrides over the committed params.yaml, from the text that DVC would read."""
    (folder / "some").mkdir(exist_ok=True)
    dump_yaml(folder / "some/study.yaml", overrides)
    text = study_text("some", REPOSITORY / "params.yaml", folder)
    (folder / "params.yaml").write_bytes(text)
    found = study_params("some", REPOSITORY / "params.yaml", folder)
    assert load_params(folder / "params.yaml") == found
    return found


def test_a_named_study_is_params_yaml_with_its_overrides():
    glue = study_params("glue", REPOSITORY / "params.yaml", REPOSITORY / "studies")
    assert (glue.study, glue.seeds) == ("glue", [0, 1, 2, 3, 4])
    assert glue.models.teacher.name == "google-bert/bert-base-uncased"
    assert glue.models.student.layers is None


def test_the_text_of_a_study_has_the_comments_of_params_yaml_and_differs_in_its_settings_alone(tmp_path):
    study_of(tmp_path, {"seeds": [7], "finetune": {"arms": {"strong": {"cmi_weight": 2.0}}}})
    before, after = ((folder / "params.yaml").read_text().splitlines() for folder in (REPOSITORY, tmp_path))
    diff = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]
    lines = sorted(line.partition("#")[0].rstrip() for line in diff if not line.startswith("@@"))
    assert lines == sorted(
        ["-study: default", "+study: some", "-- 0", "-- 1", "+- 7", "+    strong:", "+      cmi_weight: 2.0"]
    )


@pytest.mark.parametrize("name", ["human", "rivals-choice", "smollm2"])
def test_dry_prints_the_studys_changes_of_params_yaml(monkeypatch, capsys, name):
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(sys, "argv", ["study", "--name", name, "--dry"])
    stages.study.main()
    changes = parse_yaml(Path("the output"), capsys.readouterr().out.encode())
    assert merged_content(params_content(), changes) == study_content(name)


def test_a_study_may_add_arms(tmp_path):
    arms = {"strong": {"cmi_weight": 2.0}, "as_it_is": {}}
    found = study_of(tmp_path, {"finetune": {"arms": arms}, "student": {"arms": {"plain_b": {}}}})
    assert found.teacher("vader-movie", "strong").objective.cmi_weight == 2.0
    assert found.teacher("vader-movie", "as_it_is") == found.teacher("vader-movie", "ce")
    assert list(found.student.arms) == ["plain", "plain_b"]


def test_a_study_may_leave_arms_and_claims_out(tmp_path):
    claims = dict.fromkeys(["kd", "kd_max", "raters", "shape"])
    found = study_of(tmp_path, {"finetune": {"arms": {"cmi_max": None}}, "evaluate": {"claims": claims}})
    assert (list(found.finetune.arms), list(found.evaluate.claims)) == (["ce", "cmi_min"], ["alone"])


def test_a_study_may_have_no_claim(tmp_path):
    claims = params_content()["evaluate"]["claims"]
    assert study_of(tmp_path, {"evaluate": {"claims": dict.fromkeys(claims)}}).evaluate.claims == {}


def test_where_a_mapping_loses_all_entries_the_text_has_no_comments(tmp_path):
    claims = dict.fromkeys(["kd", "kd_max", "raters", "shape"])
    study_of(tmp_path, {"evaluate": {"families": dict.fromkeys(["teacher", "student"]), "claims": claims}})
    assert "#" not in (tmp_path / "params.yaml").read_text()


def test_parts_apply_in_order_and_a_studys_own_overrides_last(tmp_path):
    """A part may include another; null leaves out an entry of params.yaml or of a part."""
    (tmp_path / "parts").mkdir()
    inner = {
        "seeds": [1],
        "finetune": {"arms": {"one": {}, "two": {"tau": 2.0}}},
        "evaluate": {"claims": {"raters": None}},
    }
    outer = {"include": ["inner"], "seeds": [2], "finetune": {"arms": {"two": {"cmi_weight": 3.0}}}}
    later = {"seeds": [3], "finetune": {"arms": {"three": {}}}}
    for name, part in {"inner": inner, "outer": outer, "later": later}.items():
        dump_yaml(tmp_path / f"parts/{name}.yaml", part)
    found = study_of(
        tmp_path, {"include": ["outer", "later"], "finetune": {"arms": {"one": None, "two": {"tau": 4.0}}}}
    )
    assert "raters" not in found.evaluate.claims
    assert (found.seeds, list(found.finetune.arms)) == ([3], ["ce", "cmi_min", "cmi_max", "two", "three"])
    two = found.teacher("vader-movie", "two").objective
    assert (two.tau, two.cmi_weight) == (4.0, 3.0)


def test_null_is_a_value_where_the_default_is_another(tmp_path):
    cut = {"task_settings": {"glue-sst2": {"test_split": None}}}
    assert "test_split" not in params_content()["task_settings"]["glue-sst2"]
    assert study_of(tmp_path, cut).task("glue-sst2").test_split is None

    arms = {"patient": {"training": {"patience": None, "head_lr": None, "lr": None}}, "other": {}}
    training = {"patience": 2, "head_epochs": 1, "head_lr": 1e-3}
    found = study_of(tmp_path, {"finetune": {"training": training, "arms": arms}})
    patient, other = (found.teacher("vader-movie", arm).training for arm in arms)
    assert (patient.patience, patient.head_lr, patient.lr) == (None, None, other.lr)
    assert (other.patience, other.head_lr) == (2, 1e-3)

    sections = [one for one in vars(tasks).values() if isinstance(one, type) and issubclass(one, tasks.Section)]
    fields = [(key, field) for one in sections for key, field in one.model_fields.items()]
    kept = {key for key, field in fields if field.default is not None and type(None) in get_args(field.annotation)}
    assert kept | {key for key in Training.model_fields if Training.may_be_null(key)} == NULL_IS_A_VALUE


@pytest.mark.parametrize("name", READ_BY_DVC)
def test_a_list_that_dvc_reads_is_missed_before_dvc_says_something_else(name):
    content = params_content()
    section, _, key = name.rpartition(".")
    (content[section] if section else content).pop(key)
    told = f"params.yaml: {name}: is missing, and dvc.yaml reads it; write {key}: []"
    with pytest.raises(UserError, match=re.escape(told)):
        checked_content(Path("params.yaml"), content)
    assert f"${{{name}}}" in (REPOSITORY / "dvc.yaml").read_text()


HARD_TEXTS = [
    "/data/it's here (copy), final",
    "\"'\\",
    "${glue.revision}",
    "\\${a}\\",
    "$HOME=~/a,b",
    "null",
    "010",
    "1e5",
]
HARD_TEXTS += ["???", "{a: [b]}", "a ${b} c:d=e", " on \n\tfilm: \u00e9\u4e2d\U0001f600 "]
TEXTS = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), min_size=1)
TEXTS |= st.text("ab01'\"\\ ${}[](),:=~+-.#%&*!|>@`_eE\n\t", min_size=1)


@pytest.mark.study
@settings(max_examples=8, deadline=None, derandomize=True)
@example(HARD_TEXTS)
@given(st.lists(TEXTS, min_size=12, max_size=12))
def test_texts_of_a_study_come_through(tmp_path_factory, texts):
    """Here a path for each task, and columns. Names of arms and tasks may look like numbers."""
    known = params_content()["task_settings"]
    tasks = {task: {"path": text, "text": [text]} for task, text in zip(known, texts, strict=True)}
    tasks["20news"] = {"source": "folder", "path": ".", "text": ["a"], "labels": ["x", "y"], "metrics": ["f1"]}
    arms = {"1e5": {"cmi_weight": 1.0}}
    found = study_of(tmp_path_factory.mktemp("study"), {"task_settings": tasks, "finetune": {"arms": arms}})
    assert [found.task_settings[task].path for task in known] == texts
    assert (list(found.task_settings)[-1], list(found.finetune.arms)[-1]) == ("20news", "1e5")


@pytest.mark.process
def test_dvc_runs_what_a_study_says(tmp_path):
    """`dvc exp run` itself, with one stage that keeps the params that it sees."""
    study = "student: {arms: {plain: null, plain_b: {}}}\nevaluate: {claims: {kd: null, kd_max: {reference: null}}}\n"
    study += 'glue: {folder: "/data/it\'s here (copy), final"}\n'
    (tmp_path / "studies/hard").mkdir(parents=True)
    (tmp_path / "studies/hard/study.yaml").write_text(study)
    (tmp_path / "dvc.yaml").write_text(
        "stages: {see: {cmd: cp params.yaml seen.yaml, params: [glue], outs: [seen.yaml]}}"
    )
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    for command in ("git init -q", "dvc init -q", "git add -A", "git -c user.name=a -c user.email=a@b commit -qm all"):
        run(tmp_path, *command.split())
    environment = {"PYTHONPATH": str(REPOSITORY), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    with start(tmp_path, sys.executable, "-m", "stages.study", "--name", "hard", **environment) as study:
        refused = study.stdout.read().splitlines()
    assert refused[-1].startswith("error: git user.name: is not set, and DVC needs it for an experiment")
    for key in ("name", "email"):
        run(tmp_path, "git", "config", f"user.{key}", "a@b")
    with start(tmp_path, sys.executable, "-m", "stages.study", "--name", "hard", **environment) as study:
        told = study.stdout.read()
    assert study.returncode == 0, told
    expected = study_params("hard", REPOSITORY / "params.yaml", tmp_path / "studies")
    assert load_params(tmp_path / "seen.yaml") == expected
    assert list(expected.student.arms) == ["plain_b"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [("nosuch", None, "no such study; allowed: wrong"), ("wrong", "finetune: {trainings: 1}", "unknown key")],
)
def test_a_faulty_study_is_refused_before_anything_runs(tmp_path, name, text, expected):
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong/study.yaml").write_text(text or "seeds: [0]")
    with pytest.raises(UserError, match=expected):
        study_text(name, REPOSITORY / "params.yaml", tmp_path)


def test_a_misspelt_arm_in_the_pairs_of_a_study_is_found_before_it_runs(tmp_path):
    pairs = {"evaluate": {"pairs": [{"role": "teacher", "family": "cmi_mni", "against": "ce"}]}}
    with pytest.raises(
        UserError, match=r"evaluate\.pairs: unknown teacher arm or family 'cmi_mni'; allowed: ce, cmi_min, cmi_max"
    ):
        study_of(tmp_path, pairs)


@pytest.mark.process
@pytest.mark.parametrize(
    "command",
    ["benchmarks.plan --teacher-rate 9 --student-rate 9", "stages.study --name glue --dry"],
    ids=["plan", "study"],
)
def test_a_command_ends_without_a_word_where_nobody_reads_on(command):
    """As `| head` leaves it; the exit status is that of SIGPIPE, 128 + 13."""
    command = [sys.executable, "-m", *command.split()]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 141


SCHEMA = json.loads((REPOSITORY / "params.schema.json").read_text())


OUR_STUDIES = sorted(path.parent.name for path in REPOSITORY.glob("studies/*/study.yaml"))


@pytest.mark.parametrize("study", ["default", *OUR_STUDIES])
def test_editors_are_told_that_our_own_files_are_right(study, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    jsonschema.validate(study_content(study), SCHEMA)


@pytest.mark.parametrize(
    ("key", "value"),
    [("finetune.training.lrr", 1e-4), ("objective.space", "classes"), ("runtime.threads", 0), ("seeds", 3)],
)
def test_editors_are_told_what_is_wrong(key, value):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed(key, value), SCHEMA)


@pytest.mark.parametrize(
    ("place", "section"),
    [
        ("models.teacher", ModelSource),
        ("models.student", ModelSource),
        ("runtime", Runtime),
        ("objective", ObjectiveDefaults),
        ("finetune.training", Training),
        ("student.training", Training),
    ],
)
def test_params_yaml_has_every_key_that_a_run_depends_on(place, section):
    """So that `dvc exp run -S` can set each as it stands there."""
    own = params_content()
    for key in place.split("."):
        own = own[key]
    assert set(own) == set(section.model_fields)


def test_every_key_is_described():
    undescribed = [line for line in (REPOSITORY / "docs/params.md").read_text().splitlines() if line.endswith("|  |")]
    assert undescribed == []


@pytest.mark.process
def test_a_stale_page_of_params_is_told(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/params.md").write_text("# Every key\n")
    done = subprocess.run(
        [sys.executable, "-m", "src.params.reference", "--check"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == "error: docs/params.md: does not match src/params; run `make params`\n"
