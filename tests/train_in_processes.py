"""Run by `tests/test_processes.py` in several processes: train a model without dropout and save what came out.

accelerate launch --cpu --num_processes N -m tests.train_in_processes MODEL_FOLDER OUTPUT_FOLDER CENTROID SPACE
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import save_file

from src.core.models import load_classifier
from src.core.objectives import NO_LABEL
from src.core.training import train
from src.params import ModelSource, Objective
from tests.test_objectives import BASE
from tests.test_training import SETTINGS, data_for


def main() -> None:
    folder, output, centroid, space = sys.argv[1:]
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
        "alpha": 0.5,
        "temperature": 2.0,
    }
    objective = Objective(**{**BASE, **weights, "centroid": centroid, "space": space})
    model = load_classifier(source, ["negative", "positive"], 0, 0)
    # 15 rows a batch: two processes get 8 and 7 of them.
    settings = SETTINGS.model_copy(update={"batch_size": 15, "epochs": 2, "plain_epochs": 1})
    accelerator = Accelerator(cpu=True)
    result = train(model, objective, data, settings, 0, accelerator)
    if accelerator.is_main_process:
        place = Path(output)
        save_file(
            {name: value.contiguous() for name, value in model.state_dict().items()}, place / "weights.safetensors"
        )
        facts = {"processes": accelerator.num_processes, "history": result.history}
        (place / "result.json").write_text(json.dumps(facts))
    accelerator.end_training()


if __name__ == "__main__":
    main()
