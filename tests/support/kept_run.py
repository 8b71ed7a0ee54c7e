"""Runs on pairs of texts that keep their model, and checkpoints of a backbone alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import stages.finetune
import stages.prepare
from src.params import ModelSource
from tests.conftest import labelled_texts, params_content
from tests.support.training import LABELS

LONGEST = 16  # tokens; some pairs have more


def without_new_weights(source: ModelSource, folder: Path) -> ModelSource:
    """A checkpoint of the backbone alone, without pooler and head, as sentence encoders have it."""
    shutil.copytree(source.name, folder)
    weights = load_file(folder / "model.safetensors")
    kept = {name: values for name, values in weights.items() if "pooler" not in name and "classifier" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    return ModelSource(source="folder", name=str(folder))


def kept_run(folder: Path, model: ModelSource, **settings: Any) -> Path:
    """The folder of a run on pairs, some of them too long. It keeps its model; `settings` are keys of the task."""
    (folder / "source").mkdir(parents=True)
    for split, rows, seed in (("train", 160, 0), ("validation", 60, 1)):
        seconds = [row["sentence"] for row in labelled_texts(rows, seed + 2)]
        texts = [row | {"second": second} for row, second in zip(labelled_texts(rows, seed), seconds, strict=True)]
        (folder / f"source/{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    content = params_content()
    task = {"source": "folder", "path": "source", "text": ["sentence", "second"], "metrics": ["accuracy"]}
    content["task_settings"]["tiny"] = task | {"labels": LABELS} | settings
    content["models"]["teacher"] = model.model_dump()
    content["runtime"] |= {"keep_weights": True, "threads": 1}
    content["finetune"]["training"] |= {"epochs": 1, "max_length": LONGEST, "lr": 0.01}
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["prepare", "--task", "tiny"])
        stages.prepare.main()
        patch.setattr("sys.argv", ["finetune", "--task", "tiny", "--arm", "ce", "--seed", "0"])
        stages.finetune.main()
    torch.use_deterministic_algorithms(False)
    return folder / "runs/tiny/teacher/ce/0"
