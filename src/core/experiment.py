"""One run from a prepared task to saved results: what the training stages share."""

import argparse
import os
import platform
import time

import numpy as np
import pandas as pd
import torch
import transformers
from accelerate import Accelerator

from src.core.encoding import EncodedSplit, encode
from src.core.inference import predict
from src.core.models import load_classifier, load_tokenizer
from src.core.objectives import Outputs, Processes, RunObjective
from src.core.training import LabelledSplit, TrainingData, TrainingResult, stream_seed, train
from src.data.prepared import SPLITS, PreparedTask
from src.files import write_json
from src.params import ModelSource, Objective, Runtime, Training
from src.runs import TIMING_FOLDER, RunName, RunResult, logits_table, save_run


def run_arguments(description: str, *choices: str) -> argparse.Namespace:
    """The command line of a training stage: --task, --seed and the options named in `choices`."""
    parser = argparse.ArgumentParser(description=description)
    for option in ("task", *choices):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--seed", type=int, required=True)
    return parser.parse_args()


def carry_out(
    run: RunName,
    task: PreparedTask,
    source: ModelSource,
    objective: Objective,
    training: Training,
    runtime: Runtime,
    teacher_logits: np.ndarray | None = None,
) -> None:
    """Train one model and save what it leaves (see `src.runs`).

    Args:
        teacher_logits: (N, C) for the N train rows, where the run has a teacher.
    """
    began = time.perf_counter()
    accelerator = start(runtime)
    accelerator.print(f"{run}: {len(task.train)} train rows, {training.epochs} epochs", flush=True)
    tokenizer = load_tokenizer(source)
    tokens = {split: encode(getattr(task, split).texts, tokenizer, training.max_length) for split in SPLITS}
    model = load_classifier(source, task.label_names, tokenizer.pad_token_id, stream_seed(run.seed, "head"))
    data = training_data(task, tokens, runtime.diagnostic_rows, teacher_logits)
    processes = Processes(accelerator.num_processes, lambda tensor: accelerator.reduce(tensor, "sum"))
    loaded = time.perf_counter()

    result = train(model, RunObjective(objective, data.num_classes, processes), data, training, run.seed, accelerator)
    trained = time.perf_counter()

    outputs = {split: predict(model, tokens[split], accelerator) for split in SPLITS}
    if accelerator.is_main_process:
        record = describe(run, source, objective, training, result, accelerator)
        saved = run_result(record, result, outputs, task, runtime.feature_rows)
        keep = (model.model.save_pretrained, tokenizer.save_pretrained) if runtime.keep_weights else ()
        save_run(run.folder(), saved, keep)
        rows = len(task.train) * len(result.history)
        write_timing(run, load=loaded - began, train=trained - loaded, predict=time.perf_counter() - trained, rows=rows)
    accelerator.end_training()


def start(runtime: Runtime) -> Accelerator:
    """Fix the threads, ask for deterministic kernels, and choose device and precision."""
    torch.set_num_threads(runtime.threads or os.cpu_count())
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic mode refuses cuBLAS without it
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a sixth of a CPU step, and nothing here reads it
    has_bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    wants_bf16 = runtime.precision == "bf16" or (runtime.precision == "auto" and has_bf16)
    return Accelerator(mixed_precision="bf16" if wants_bf16 else "no")


def training_data(
    task: PreparedTask, tokens: dict[str, EncodedSplit], diagnostic_rows: int, teacher_logits: np.ndarray | None
) -> TrainingData:
    """The tokenised task as the training loop wants it. Prepared splits are shuffled: their first rows are a sample."""
    teacher = None if teacher_logits is None else torch.tensor(teacher_logits)
    train_split = LabelledSplit(tokens["train"], torch.tensor(task.train.labels), teacher)
    return TrainingData(
        train=train_split,
        selection=LabelledSplit(tokens["selection"], torch.tensor(task.selection.labels)),
        diagnostic=train_split.first(diagnostic_rows),
        num_classes=len(task.label_names),
        metrics=task.metrics,
    )


def describe(
    run: RunName,
    source: ModelSource,
    objective: Objective,
    training: Training,
    result: TrainingResult,
    accelerator: Accelerator,
) -> dict:
    """What fixed the run and where it ended. Nothing in it changes from one equal run to the next."""
    return {
        "run": {"task": run.task, "role": run.role, "arm": run.arm, "seed": run.seed},
        "model": source.model_dump(),
        "objective": objective.model_dump(),
        "training": training.model_dump(),
        "best_epoch": result.best_epoch,
        "epochs": len(result.history),
        "steps": result.steps,
        "environment": environment(accelerator),
    }


def environment(accelerator: Accelerator) -> dict[str, str | int]:
    """What can change the last bits of a result besides code and params."""
    device = accelerator.device.type
    return {
        "device": torch.cuda.get_device_name()
        if device == "cuda"
        else f"{device} ({torch.backends.cpu.get_cpu_capability()})",
        "precision": "bf16" if accelerator.mixed_precision == "bf16" else "fp32",
        "processes": accelerator.num_processes,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def run_result(
    record: dict, result: TrainingResult, outputs: dict[str, Outputs], task: PreparedTask, feature_rows: int
) -> RunResult:
    """Everything a run leaves but its weights."""
    row_ids = {split: getattr(task, split).row_ids for split in SPLITS}
    return RunResult(
        record=record,
        history=pd.DataFrame(result.history),
        logits=logits_table({split: outputs[split].logits.numpy() for split in SPLITS}, row_ids),
        features={split: outputs[split].features[:feature_rows].numpy().copy() for split in ("selection", "test")},
    )


def write_timing(run: RunName, load: float, train: float, predict: float, rows: int) -> None:
    """Seconds of a run's parts and train rows a second, evaluation after each epoch included."""
    seconds = {"load_seconds": load, "train_seconds": train, "predict_seconds": predict}
    content = {name: round(value, 3) for name, value in seconds.items()} | {"rows_per_second": round(rows / train, 1)}
    write_json(run.folder(TIMING_FOLDER).with_suffix(".json"), content)
