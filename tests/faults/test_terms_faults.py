"""Terms of the objective that a run cannot have: values out of range, a shared batch, a model without dropout."""

from pathlib import Path

import pytest

import stages.check
import stages.finetune
from src.core.training.refusals import check_fit
from src.data.prepared import load_task
from src.params import load_params
from src.runs import RunName
from src.system.errors import UserError
from src.system.files import read_csv
from tests.faults.hostile.cases import FINETUNE, Case, table, write_params
from tests.faults.hostile.model_damage import config

KIND = "terms of the objective"
CE = "finetune.arms.ce"
SHARED = (
    "contrastive_weight compares all pairs of rows in a batch, but several processes or parts share the batch; "
    "start one process with accumulate 1, or set contrastive_weight to 0"
)
VALUES = {
    "share above 1": (
        "a contrastive loss that takes more than the loss on labels",
        {"contrastive_weight": 1.5},
        f"{CE}.contrastive_weight: not acceptable (got 1.5); it should be less than or equal to 1",
    ),
    "share of all": (
        "a contrastive loss that leaves nothing to the labels, without a teacher",
        {"contrastive_weight": 1.0},
        f"{CE}: the loss does not train the head (label_weight is 0, or contrastive_weight is 1); set training",
    ),
    "tau of 0": (
        "a contrastive loss at a temperature of 0",
        {"contrastive_tau": 0.0},
        f"{CE}.contrastive_tau: not acceptable (got 0.0); it should be greater than 0",
    ),
    "unknown map": (
        "an unknown map for centre loss",
        {"centre_map": "sphere"},
        f"{CE}.centre_map: not acceptable (got 'sphere'); it should be 'none' or 'unit'",
    ),
    "weight below 0": (
        "R-Drop with a weight below 0",
        {"r_drop_weight": -1.0},
        f"{CE}.r_drop_weight: not acceptable (got -1.0); it should be greater than or equal to 0",
    ),
    "centre below 0": (
        "centre loss with a weight below 0",
        {"centre_weight": -0.1},
        f"{CE}.centre_weight: not acceptable (got -0.1); it should be greater than or equal to 0",
    ),
    "length below 0": (
        "a penalty on the length of h with a weight below 0",
        {"norm_penalty": -0.1},
        f"{CE}.norm_penalty: not acceptable (got -0.1); it should be greater than or equal to 0",
    ),
    "misspelt": ("a misspelt weight", {"rdrop_weight": 1.0}, f"{CE}.rdrop_weight: "),
}


@table(VALUES)
def test_values_out_of_range(workplace, refused, case: Case):
    write_params((CE, case.damage))
    refused(KIND, case, stages.check.main)


KD = "distill.recipes.kd"


def test_an_unknown_distance_of_a_student_to_its_teacher(workplace, refused):
    case = Case("an unknown distance", "cosine", f"{KD}.kd_loss: not acceptable (got 'cosine'); it should be 'kl', ")
    write_params((f"{KD}.kd_loss", case.damage))
    refused(KIND, case, stages.check.main)


def test_pairs_of_a_batch_in_parts(model, refused):
    own = {"contrastive_weight": 0.5, "training": {"accumulate": 2}}
    write_params(("models.teacher", {"source": "folder", "name": "model"}), (CE, own))
    case = Case("a contrastive loss of a batch in two parts", own, f"tiny/teacher/ce/0: {SHARED}")
    refused(KIND, case, stages.finetune.main, *FINETUNE)


def test_pairs_of_a_batch_that_processes_share(model, record_fault):
    write_params((CE, {"contrastive_weight": 0.5}))
    settings = load_params().teacher("tiny", "ce")
    run, task = RunName("tiny", "teacher", "ce", 0), load_task("tiny")
    check_fit(run, task, settings, processes=1)
    with pytest.raises(UserError) as caught:
        check_fit(run, task, settings, processes=2)
    assert str(caught.value) == f"tiny/teacher/ce/0: {SHARED}"
    record_fault(KIND, "a contrastive loss in two processes", f"`` {caught.value} ``")


def test_two_passes_of_a_model_without_dropout(model, refused):
    config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)(model)
    write_params(("models.teacher", {"source": "folder", "name": "model"}), (CE, {"r_drop_weight": 1.0}))
    expected = "models: model has no dropout, so r_drop_weight would compare two equal passes; set r_drop_weight to 0"
    refused(KIND, Case("R-Drop of a model without dropout", None, expected), stages.finetune.main, *FINETUNE)


def test_two_passes_whose_only_dropout_is_that_of_lora(model, record_fault):
    """At the start LoRA changes no output, so no trial shows its dropout."""
    config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)(model)
    lora = {"rank": 2, "alpha": 4, "dropout": 0.5}
    own = {"source": "folder", "name": "model", "lora": lora}
    write_params(("models.teacher", own), (CE, {"r_drop_weight": 1.0}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["stage", *FINETUNE])
        stages.finetune.main()
    history = read_csv(Path("runs/tiny/teacher/ce/0/history.csv"))
    assert history["loss_r_drop"].iloc[-1] > 0
    record_fault(KIND, "R-Drop of a model whose only dropout is LoRA's", "trains")
