r"""Train a model in several processes and save the result. `tests/pipeline/test_processes.py` runs it.

python -m torch.distributed.run --nproc_per_node N -m tests.support.train_in_processes \
    MODEL OUTPUT CENTROID SPACE PRECISION [KILL_AT]

SPACE may also be a feature map. unit_softmax is feature space with that map, R-Drop, and centre loss on h / |h|. ncmi
is the loss of NCMI without labels or a teacher, with a phase of the head alone in place of the plain epoch.
With PRECISION fp32, weights are float64: AdamW enlarges the rounding of gradients near 0 on some CPUs.
With KILL_AT, the processes save a checkpoint whenever they can agree to, and are killed when that step is saved.
"""

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import save_file

from src.core.method.batch import NO_LABEL
from src.core.models.classifier import load_classifier
from src.core.speed.half_precision import round_products
from src.core.training.checkpoints import Checkpoints
from src.core.training.loop import Setup
from src.core.training.phases import train
from src.params import ModelSource, Objective
from tests.support.objectives import BASE
from tests.support.training import ALWAYS, LABELS, SETTINGS, data_for


class KilledAfter(Checkpoints):
    """Saves whenever it is called, and kills its process after a given step."""

    def __init__(self, folder: Path, step: int) -> None:
        super().__init__(folder, ALWAYS)
        self.step = step

    def save(self, step: int, state: dict) -> None:
        super().save(step, state)
        if step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def in_float64(head: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(vectors.double() for vectors in inputs)


def main() -> None:
    folder, output, centroid, space, precision, *kill_at = sys.argv[1:]
    torch.set_num_threads(1)
    source = ModelSource(source="folder", name=folder)
    data = data_for(source, noise=0.2)
    teacher = 3.0 * torch.nn.functional.one_hot(data.train.labels, 2).float()
    data = replace(data, train=replace(data.train, teacher_logits=teacher))
    data.train.labels[120:] = NO_LABEL  # the last rows are a transfer set
    weights = {
        "cmi_weight": 0.3,
        "separation_weight": 0.1,
        "confidence_penalty": 0.05,
        "centre_weight": 0.02,
        "norm_penalty": 0.01,
        "alpha": 0.5,
        "temperature": 2.0,
    }
    unit = {"feature_map": space, "tau": 0.1, "centre_map": "unit", "r_drop_weight": 0.5}
    place = {"space": space} if space in ("feature", "class") else unit
    if space == "ncmi":
        data = replace(data, train=replace(data.train, teacher_logits=None))
        weights, place = {"ncmi_weight": 1.0, "label_weight": 0.0}, {"feature_map": "unit_sigmoid", "tau": 0.5}
    objective = Objective(**{**BASE, **weights, "centroid": centroid, **place})
    model = load_classifier(source, LABELS, 0, 0)
    if precision == "fp32":
        model.double()
        # The phase of the head alone has features in float32.
        model.model.classifier.register_forward_pre_hook(in_float64)
    round_products(source, model, precision, 0)
    # 15 rows a batch: two processes get 8 and 7 of them.
    others = {"head_epochs": 1, "head_lr": 1e-4} if space == "ncmi" else {"plain_epochs": 1}
    settings = SETTINGS.model_copy(update={"batch_size": 15, "epochs": 2} | others)
    accelerator = Accelerator(cpu=True)
    checkpoints = KilledAfter(Path(output) / "checkpoints", int(kill_at[0])) if kill_at else None
    result = train(Setup(model, data, 0, accelerator, precision), objective, settings, checkpoints)
    if accelerator.is_main_process:
        place = Path(output)
        save_file(
            {name: value.contiguous() for name, value in model.state_dict().items()}, place / "weights.safetensors"
        )
        facts = {"processes": accelerator.num_processes, "history": result.history, "resumed_at": result.resumed_at}
        (place / "result.json").write_text(json.dumps(facts))
    accelerator.end_training()


if __name__ == "__main__":
    main()
