"""params.yaml is checked once; test_hostile.py shows what is refused."""

import copy

import pytest
import yaml

from src.errors import UserError
from src.params import Params, load_params
from src.study.overrides import study_arguments
from tests.conftest import REPOSITORY, params_content


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


def test_a_number_that_yaml_reads_as_text_is_a_number(tmp_path):
    """`dvc exp run -S finetune.training.lr=2e-5` writes `2e-05`, which PyYAML reads as a string."""
    path = tmp_path / "params.yaml"
    path.write_text((REPOSITORY / "params.yaml").read_text().replace("lr: 1.5e-4", "lr: 2e-05"))
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
