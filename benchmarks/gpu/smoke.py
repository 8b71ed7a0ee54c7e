"""Check that the losses of each epoch agree between a GPU and the CPU of the same machine, for every objective.

The runs are whole, like those of stages: loading, training, selection, checkpoints and saving. The CPU computes in
float32. "graphs" means with `runtime.cuda_graphs`, which may refuse a model.
"""

import argparse
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu.made import DROPOUT_SHAPE, made_task, run_settings, save_model, small_shapes
from benchmarks.gpu.parts import started
from src.core.method.losses import KD_LOSSES
from src.core.training.run import run_training
from src.runs import RunName
from src.system.errors import UserError
from src.system.files import read_csv

TOLERANCES = {"fp32": 1e-4, "fp32 graphs": 1e-4, "tf32": 1e-2, "bf16": 2e-2, "bf16 graphs": 2e-2, "fp16": 1e-2}
COLUMNS = ["loss_total", "loss_cmi", "selection_nll", "selection_feature_cmi"]
KD = {"alpha": 0.9, "temperature": 2.0}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "ce": {},
    "cmi_min": {"cmi_weight": 5.0},
    "cmi_max": {"cmi_weight": -2.0},
    "class cmi_min": {"space": "class", "cmi_weight": 0.5},
    "class cmi_max, batch": {"space": "class", "cmi_weight": -0.2, "centroid": "batch"},
    "cmi_max, epoch": {"cmi_weight": -2.0, "centroid": "epoch"},
    "cmi_min, frozen": {"cmi_weight": 5.0, "centroid": "frozen"},
    "unit_softmax cmi_max": {"feature_map": "unit_softmax", "tau": 0.5, "cmi_weight": -1.0},
    "unit_sigmoid cmi_min": {"feature_map": "unit_sigmoid", "tau": 0.1, "cmi_weight": 0.5},
    "one centroid": {"clusters": "all", "cmi_weight": 5.0},
    "centre": {"centre_weight": 0.013},
    "unit centre": {"centre_weight": 1.0, "centre_map": "unit"},
    "norm": {"norm_penalty": 0.01},
    # The weights give divergences of at least 0.01 nats: in a ratio of smaller ones, rounding would show.
    "ncmi": {"feature_map": "unit_sigmoid", "tau": 0.1, "ncmi_weight": 0.1, "centroid": "epoch"},
    "ncmi, no labels": {"feature_map": "unit_sigmoid", "tau": 0.1, "ncmi_weight": 1.0, "label_weight": 0.0},
    "several temperatures": {"space": "class", "cmi_weight": 0.5, "taus": [0.5, 1.0, 2.0, 4.0]},
    "contrastive": {"contrastive_weight": 0.5},
    "separation": {"space": "class", "cmi_weight": 0.5, "separation_weight": 0.1},
    "smoothing": {"label_smoothing": 0.1},
    "mse": {"label_loss": "mse"},
    "confidence penalty": {"confidence_penalty": 0.1},
    "kd": KD,
    **{f"kd, {name}": KD | {"kd_loss": name} for name in KD_LOSSES if name != "kl"},
    "kd, transfer": KD | {"transfer": True},
}
# Objectives that need dropout have their own shape. Dropout's masks differ between devices, so losses may differ by:
WITH_DROPOUT: dict[str, dict[str, Any]] = {"r-drop": {"r_drop_weight": 0.5}}
APART_BY_DROPOUT = 0.05
FEW = ("ce", "cmi_max", "kd")  # for shapes other than BERT, and for fp16, which skips first steps of other objectives


def measure(root: Path, tiny: bool) -> Iterator[dict[str, Any]]:
    """The largest difference of each way to run from the CPU, and the runs that differ too much."""
    processes = {kind: _start(root / kind.replace(" ", "-"), kind, tiny) for kind in ("cpu", *TOLERANCES)}
    truth = json.loads(_output(processes.pop("cpu")))
    yield {"runs": len(truth)}
    passed = True
    for kind, process in processes.items():
        try:
            found = json.loads(_output(process))
        except RuntimeError as error:  # the other ways are compared
            passed = False
            yield {f"{kind}, failed": str(error)}
            continue
        # CPUs round bf16 in different ways, and one of them differs by 2.5e-2 with `dist`.
        tolerance = TOLERANCES[kind] * (2 if tiny and kind.startswith("bf16") else 1)
        compared = _compared(found, truth, tolerance)
        passed = passed and not (compared["too far"] or compared.get("refused"))
        yield {f"{kind}, {name}": value for name, value in compared.items()}
    yield {"passed": passed}


def _compared(found: dict[str, Any], truth: dict[str, Any], tolerance: float) -> dict[str, Any]:
    """The runs of one way against those of the CPU. Runs with dropout have a tolerance of their own."""
    refused = {name: reason for name, reason in found.items() if isinstance(reason, str)}
    of_runs = {name: _distance(found[name], truth[name]) for name in found.keys() - refused.keys()}
    allowed = {name: APART_BY_DROPOUT if _has_dropout(name) else tolerance for name in of_runs}
    result = {
        "largest difference": max((far for name, far in of_runs.items() if not _has_dropout(name)), default=None),
        "allowed": tolerance,
        "too far": {name: far for name, far in sorted(of_runs.items()) if not far <= allowed[name]},
    }
    return result | ({"refused": refused} if refused else {})


def _has_dropout(name: str) -> bool:
    return name.startswith(f"{DROPOUT_SHAPE}, ")


def _objectives(shape: str, kind: str) -> dict[str, dict[str, Any]]:
    """The objectives of a shape by name."""
    if shape == DROPOUT_SHAPE:
        return {} if kind == "fp16" else WITH_DROPOUT
    return OBJECTIVES if shape == "BERT" and kind != "fp16" else {name: OBJECTIVES[name] for name in FEW}


def _start(folder: Path, kind: str, tiny: bool) -> subprocess.Popen:
    folder.mkdir(parents=True)
    options = ["--kind", kind, *(["--tiny"] if tiny else [])]
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if kind == "cpu" else {}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return started("benchmarks.gpu.smoke", folder, options, hidden, **streams)


def _output(process: subprocess.Popen) -> str:
    output, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(errors[-3000:])
    return output.splitlines()[-1]


def _distance(found: list[list[float]], truth: list[list[float]]) -> float:
    """The largest difference, which is relative if the true value is above 1."""
    ours, theirs = np.array(found), np.array(truth)
    return float(np.max(np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))))


def main() -> None:
    """Train all runs of one kind in the working folder, and print their losses as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", required=True, choices=("cpu", *TOLERANCES))
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    print(json.dumps(dict(_losses(Path("models").resolve(), arguments.kind, arguments.tiny))))


def _losses(models: Path, kind: str, tiny: bool) -> Iterator[tuple[str, list[list[float]] | str]]:
    task = made_task(rows=64 if tiny else 96, words=(5, 40), vocabulary=1000, labels=3, transfer=32)
    training = {"epochs": 2, "batch_size": 16, "lr": 5e-4, "max_length": 48}
    way = "fp32" if kind == "cpu" else kind
    teacher = np.random.default_rng(1).normal(size=(len(task.train) + len(task.transfer), 3)).astype(np.float32)
    for shape, config in (small_shapes(16, 2) if tiny else small_shapes()).items():
        source = save_model(config, models / shape)
        for name, objective in _objectives(shape, kind).items():
            own = training if objective.get("label_weight") != 0 else training | {"head_epochs": 1}
            settings = run_settings(source, way, own, **objective)
            run = RunName("made", "student" if "kd" in name else "teacher", f"{shape}-{name}".replace(" ", "_"), 0)
            rows = len(teacher) if settings.objective.transfer else len(task.train)
            try:
                run_training(run, task, settings, teacher[:rows] if "kd" in name else None)
                yield f"{shape}, {name}", read_csv(run.folder() / "history.csv")[COLUMNS].to_numpy().tolist()
            except UserError as refusal:
                if not kind.endswith("graphs"):
                    raise
                yield f"{shape}, {name}", str(refusal)


if __name__ == "__main__":
    main()
