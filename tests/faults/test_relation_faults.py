"""The relation loss, which reads the layers of a kept teacher: a distilled run, and models that cannot have it."""

import json
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

import stages.check
import stages.distill
import stages.finetune
from src.core.models.last_attention import RelationTeacher
from src.core.models.tokenizer import load_tokenizer
from src.kept_models import load_kept
from src.runs import RunName
from tests.conftest import word_tokenizer
from tests.faults.hostile.cases import FINETUNE, Case, table, write_params
from tests.support.repository import digests
from tests.support.tiny_models import save_tiny_model

KIND = "relations between tokens"
WEIGHT = "distill.recipes.kd.relation_weight"
DISTIL = ["--task", "tiny", "--recipe", "kd", "--teacher", "ce", "--seed", "0"]
STUDENT = Path("runs/tiny/student/kd-ce/0")
ONE_KIND = "set relation_weight to 0, or use a teacher and a student of one kind"
PARAMS = {
    "no weights": (
        "a recipe that reads the layers of a teacher, without kept weights",
        [(WEIGHT, 1.0)],
        "distill.recipes.kd: relation_weight needs the weights of the teachers, but runtime.keep_weights is false; set",
    ),
    "weights without a teacher": (
        "a relation loss of an arm, which has no teacher",
        [("student.arms.plain", {"relation_weight": 1.0}), ("runtime.keep_weights", True)],
        "student.arms.plain.relation_weight: unknown key",
    ),
    "weight below 0": (
        "a relation loss with a weight below 0",
        [(WEIGHT, -1.0), ("runtime.keep_weights", True)],
        f"{WEIGHT}: not acceptable (got -1.0); it should be greater than or equal to 0",
    ),
}


@table(PARAMS)
def test_params(workplace, refused, case: Case):
    write_params(*case.damage)
    refused(KIND, case, stages.check.main)


def ask(*changes: tuple[str, object], student: str = "model", layers: list[int] | None = None) -> None:
    """A recipe with a relation loss, and short runs of tiny models."""
    short = [(f"{section}.training.epochs", 2) for section in ("finetune", "student")]
    models = [
        ("models.teacher", {"source": "folder", "name": "model"}),
        ("models.student", {"source": "folder", "name": student, "layers": layers}),
    ]
    write_params(("runtime.keep_weights", True), (WEIGHT, 1.0), *short, *models, *changes)


def call(stage, *arguments: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["stage", *arguments])
        stage.main()


@pytest.fixture
def taught(model) -> Path:
    """The prepared task with a teacher that kept its model."""
    ask()
    call(stages.finetune, *FINETUNE)
    return Path("runs/tiny/teacher/ce/0")


def test_a_student_learns_its_teachers_relations_and_runs_are_equal(taught):
    ask(layers=[0, 3])
    call(stages.distill, *DISTIL)
    history = pd.read_csv(STUDENT / "history.csv")
    assert 0 < history["loss_relation"].iloc[-1] < history["loss_relation"].iloc[0]
    found = digests(STUDENT)
    shutil.rmtree(STUDENT)
    call(stages.distill, *DISTIL)
    assert digests(STUDENT) == found


def test_a_teacher_with_fewer_positions_than_max_length_is_read_again(workplace, prepared, tiny_encoder):
    """Its texts fit, so it trains; what it kept says how many tokens it takes."""
    shutil.copytree(prepared, "data")
    save_tiny_model("bert", load_tokenizer(tiny_encoder), Path("model"), max_position_embeddings=40)
    ask(("finetune.training.max_length", 128), ("student.training.max_length", 128))
    call(stages.finetune, *FINETUNE)
    kept = load_kept(RunName("tiny", "teacher", "ce", 0), ["negative", "positive"])
    assert (kept.max_length, kept.tokenizer.model_max_length) == (40, 40)
    call(stages.distill, *DISTIL)
    assert STUDENT.is_dir()
    torch.use_deterministic_algorithms(False)


def test_the_teachers_that_a_change_makes_have_the_layers_of_their_own(taught):
    """A calibrated teacher has other logits, so another loss. A student that hardly moves sees the same relations."""
    ask(("distill.calibrated", ["ce"]), ("student.training.lr", 1e-12))
    call(stages.distill, *DISTIL)
    call(stages.distill, *[argument.replace("ce", "ce_calibrated") for argument in DISTIL])
    plain, calibrated = (
        pd.read_csv(STUDENT.parents[1] / f"kd-{name}/0/history.csv") for name in ("ce", "ce_calibrated")
    )
    assert plain["loss_kd"][0] != calibrated["loss_kd"][0]
    assert plain["loss_relation"][0] == pytest.approx(calibrated["loss_relation"][0], rel=1e-5)


def test_a_teacher_reads_pairs_with_the_segments_that_its_student_lacks(taught, tiny_distilbert, monkeypatch):
    """BERT teaches DistilBERT, whose tokenizer gives no segments."""
    seen, real = [], RelationTeacher.last_layers
    monkeypatch.setattr(RelationTeacher, "last_layers", lambda self, inputs: seen.append(inputs) or real(self, inputs))
    folder = Path("other")
    shutil.copytree(tiny_distilbert.name, folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["model_input_names"] = ["input_ids", "attention_mask"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    ask(student="other")
    call(stages.distill, *DISTIL)
    assert all("token_type_ids" in inputs for inputs in seen)
    assert seen


def test_a_teacher_that_kept_no_model(taught, refused):
    ask()
    shutil.rmtree(taught / "model")
    expected = "runs/tiny/teacher/ce/0/model: the weights of this run were not kept; set runtime.keep_weights to true"
    refused(
        KIND, Case("a relation loss with a teacher that kept no model", None, expected), stages.distill.main, *DISTIL
    )


def test_recomputed_activations(taught, refused):
    ask(("runtime.recompute", True))
    expected = "tiny/student/kd-ce/0: relation_weight does not work with runtime.recompute; set recompute to false"
    refused(KIND, Case("a relation loss with recomputed activations", None, expected), stages.distill.main, *DISTIL)


@pytest.mark.parametrize(
    ("fault", "kind", "pad", "heads", "problem"),
    [
        ("with other heads", "bert", "[PAD]", 4, "they have 4 and 2 heads"),
        (
            "of another kind",
            "gpt2",
            "[PAD]",
            2,
            "a gpt2 model is none of albert, bert, camembert, electra, roberta, xlm-roberta, distilbert, mpnet",
        ),
        ("that reads other tokens", "bert", None, 2, "they read a text as different tokens"),
    ],
)
def test_students_that_do_not_fit(taught, refused, fault, kind, pad, heads, problem):
    tokenizer = word_tokenizer(pad)
    tokenizer.pad_token = "[PAD]"
    save_tiny_model(kind, tokenizer, Path("other"), num_attention_heads=heads)
    ask(student="other")
    compared = "relation_weight compares the last layers of student and teacher, but"
    expected = f"tiny/student/kd-ce/0: {compared} {problem}; {ONE_KIND}"
    refused(KIND, Case(f"a relation loss for a student {fault}", None, expected), stages.distill.main, *DISTIL)
