"""params.yaml is checked once, and every fault in it is one line that names the key."""

import copy

import pytest
import yaml

from src.errors import UserError
from src.params import Params, load_params
from src.study.overrides import study_arguments
from tests.conftest import REPOSITORY, params_content

FAULTS = {
    # key to set: (value, what the message must say)
    "finetune.training.learning_rate": (1e-5, "unknown key; allowed: "),
    "finetune.arms.ce.cmi_wieght": (1.0, "unknown key; allowed: cmi_weight"),
    "task_settings.vader-movie.max_rows.trian": (3, "unknown key; allowed: train"),
    "finetune.training.lr": (-1, "it should be greater than 0"),
    "finetune.training.epochs": ("three", "it should be a valid integer"),
    "finetune.training.batch_size": (0, "it should be greater than or equal to 1"),
    "finetune.training.warmup": (1.0, "it should be less than 1"),
    "finetune.training.max_length": (2, "it should be greater than or equal to 4"),
    "finetune.arms.cmi_min.space": ("logits", "it should be 'feature' or 'class'"),
    "finetune.arms.cmi_min.centroid": ("mean", "it should be 'batch', 'ema', 'epoch' or 'frozen'"),
    "finetune.arms.cmi_min.cmi_weight": (float("nan"), "it should be a finite number"),
    "finetune.arms.cmi-strong": ({}, "should match pattern"),
    "finetune.arms": ({}, "at least 1"),
    "objective.tau": (0, "it should be greater than 0"),
    "objective.momentum": (1.0, "it should be less than 1"),
    "distill.recipes.kd.alpha": (1.5, "it should be less than or equal to 1"),
    "distill.recipes.kd.temperature": (None, "it should be a valid number"),
    "models.teacher.source": ("hub", "source hub needs a revision"),
    "models.student.layers": ([4, 2], "layers must ascend"),
    "runtime.keep_weights": ("maybe", "it should be a valid boolean"),
    "runtime.precision": ("fp16", "it should be 'auto', 'fp32' or 'bf16'"),
    "splits.test": (1.0, "it should be less than 1"),
    "evaluate.baseline": ("plain", "unknown arm 'plain'; allowed: ce"),
    "evaluate.confidence": (95, "it should be less than 1"),
    "tasks": (["glue-stsb"], "unknown task 'glue-stsb'; allowed: "),
    "seeds": (3, "it should be a valid list"),
    "study": ("My Study", "should match pattern"),
    "task_settings.mine": ({"source": "hub", "metrics": ["accuracy"]}, "needs path, revision, text, labels"),
    "task_settings.vader-movie.metrics": (["spearman"], "it should be 'accuracy'"),
    "finetune": (None, "it should be a valid dictionary"),
}


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


@pytest.mark.parametrize("key", FAULTS)
def test_a_fault_is_one_line_that_names_the_key(tmp_path, key):
    value, expected = FAULTS[key]
    with pytest.raises(UserError) as caught:
        load_params(written(tmp_path, changed(key, value)))
    message = str(caught.value)
    assert "\n" not in message
    assert key.removesuffix(".source") in message
    assert expected in message


@pytest.mark.parametrize("text", ["finetune: [", "\tstudy: x", ""])
def test_a_file_that_is_no_params_file_is_one_line(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"params\.yaml"):
        load_params(path)


def test_a_missing_key_is_named(tmp_path):
    content = params_content()
    del content["finetune"]["training"]["lr"]
    with pytest.raises(UserError, match=r"finetune\.training\.lr: missing"):
        load_params(written(tmp_path, content))


def test_a_misspelt_key_is_named_before_the_missing_one(tmp_path):
    text = (REPOSITORY / "params.yaml").read_text().replace("    lr: 1.0e-4", "    lrr: 1.0e-4")
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(
        UserError, match=r"finetune\.training\.lrr: unknown key; allowed: lr, .*\(1 more after this one\)"
    ):
        load_params(tmp_path / "params.yaml")


def test_a_number_that_yaml_reads_as_text_is_a_number(tmp_path):
    """`dvc exp run -S finetune.training.lr=2e-5` writes `2e-05`, which PyYAML reads as a string."""
    path = tmp_path / "params.yaml"
    path.write_text((REPOSITORY / "params.yaml").read_text().replace("lr: 1.0e-4", "lr: 2e-05"))
    assert isinstance(yaml.safe_load(path.read_text())["finetune"]["training"]["lr"], str)
    assert load_params(path).finetune.training.lr == 2e-5


def test_an_arm_overrides_the_defaults_and_nothing_else(tmp_path):
    content = changed("finetune.arms.strong", {"cmi_weight": 2.0, "space": "class", "training": {"lr": 3e-5}})
    params = load_params(written(tmp_path, content))
    strong, plain = params.teacher("strong"), params.teacher("ce")
    assert strong.objective == plain.objective.model_copy(update={"cmi_weight": 2.0, "space": "class"})
    assert strong.training == plain.training.model_copy(update={"lr": 3e-5})


def test_a_recipe_gives_alpha_and_temperature(params: Params):
    objective = params.distilled_student("kd").objective
    assert (objective.alpha, objective.temperature) == (0.9, 2.0)
    assert params.plain_student("plain").objective.alpha == 0


def test_a_named_study_is_params_yaml_with_its_overrides():
    command = study_arguments("glue", REPOSITORY / "params.yaml", REPOSITORY / "studies")
    assert command[:5] == ["dvc", "exp", "run", "--name", "glue"]
    assert "study=glue" in command
    assert "models.teacher.name=google-bert/bert-base-uncased" in command
    assert "models.student.layers=null" in command
    assert "seeds=[0, 1, 2, 3, 4]" in command


def test_a_study_may_add_arms(tmp_path):
    (tmp_path / "more.yaml").write_text("finetune: {arms: {strong: {cmi_weight: 2.0}}}\n")
    command = study_arguments("more", REPOSITORY / "params.yaml", tmp_path)
    assert "+finetune.arms.strong.cmi_weight=2.0" in command


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [("nosuch", None, "no such study; allowed: wrong"), ("wrong", "finetune: {trainings: 1}", "unknown key")],
)
def test_a_faulty_study_is_refused_before_anything_runs(tmp_path, name, text, expected):
    (tmp_path / "wrong.yaml").write_text(text or "seeds: [0]")
    with pytest.raises(UserError, match=expected):
        study_arguments(name, REPOSITORY / "params.yaml", tmp_path)
