"""One run from a prepared task to saved results: what the training stages share."""

import argparse
import ctypes
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
import transformers
from accelerate import Accelerator

from src.core.encoding import EncodedSplit, encode
from src.core.inference import predict
from src.core.models import load_classifier, load_tokenizer
from src.core.objectives import NO_LABEL, Outputs
from src.core.training import LabelledSplit, TrainingData, TrainingResult, stream_seed, train
from src.data.prepared import SPLITS, PreparedTask
from src.errors import UserError
from src.files import write_json
from src.params import ModelSource, Objective, Runtime, Training
from src.runs import TIMING_FOLDER, RunName, RunResult, logits_table, save_run

# Options of glibc's malloc.h: no block by mmap (M_MMAP_MAX), and none of the heap's top given back (M_TRIM_THRESHOLD).
GLIBC_MALLOC = {-4: 0, -1: 2**31 - 1}


def run_arguments(description: str, *choices: str, optional: str | None = None) -> argparse.Namespace:
    """The command line of a training stage: --task, --seed, the options named in `choices`, and an optional one."""
    parser = argparse.ArgumentParser(description=description)
    for option in ("task", *choices):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--seed", type=int, required=True)
    if optional is not None:
        parser.add_argument(f"--{optional}")
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
        teacher_logits: (N, C) for the N train rows and, where the objective wants them, the transfer rows after them.
    """
    began = time.perf_counter()
    accelerator = start(runtime)
    accelerator.print(f"{run}: {len(task.train)} train rows, {training.epochs} epochs", flush=True)
    _check_fit(run, task, objective, training, accelerator.num_processes)
    tokenizer = load_tokenizer(source)
    # Only a teacher is asked about the transfer rows: its students may learn from what it says.
    predicted = [*SPLITS, "transfer"] if run.role == "teacher" and len(task.transfer) else list(SPLITS)
    tokens = {split: encode(getattr(task, split).texts, tokenizer, training.max_length) for split in predicted}
    longest = max(int(split.lengths.max()) for split in tokens.values())
    model = load_classifier(source, task.label_names, tokenizer.pad_token_id, stream_seed(run.seed, "head"), longest)
    extra = encode(task.transfer.texts, tokenizer, training.max_length) if objective.transfer else None
    data = training_data(task, tokens, extra, runtime.diagnostic_rows, teacher_logits)
    loaded = time.perf_counter()

    with _explained(run):
        result = train(model, objective, data, training, run.seed, accelerator)
    trained = time.perf_counter()

    outputs = {split: predict(model, tokens[split], accelerator) for split in predicted}
    if accelerator.is_main_process:
        record = describe(run, source, objective, training, result, accelerator)
        weights = (model.model.save_pretrained, tokenizer.save_pretrained) if runtime.keep_weights else ()
        save_run(run.folder(), run_result(record, result, outputs, task, runtime.feature_rows), weights)
        rows = len(data.train.labels) * len(result.history)
        write_timing(run, load=loaded - began, train=trained - loaded, predict=time.perf_counter() - trained, rows=rows)
    accelerator.end_training()


def start(runtime: Runtime) -> Accelerator:
    """Fix the threads, ask for deterministic kernels, and choose device and precision."""
    if runtime.threads is not None:
        torch.set_num_threads(runtime.threads)
    _keep_freed_memory()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic mode refuses cuBLAS without it
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a sixth of a CPU step, and nothing here reads it
    has_bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    wants_bf16 = runtime.precision == "bf16" or (runtime.precision == "auto" and has_bf16)
    # Without cpu=True accelerate does not join several processes where there is no GPU.
    on_cpu = not torch.accelerator.is_available()
    return Accelerator(cpu=on_cpu, mixed_precision="bf16" if wants_bf16 else "no")


@contextmanager
def _explained(run: RunName) -> Iterator[None]:
    """Say of a loss that is not finite what the user can do about it."""
    try:
        yield
    except FloatingPointError as error:
        allowed = "lower lr, cmi_weight or separation_weight of this arm in params.yaml"
        raise UserError(run, str(error), allowed) from None


def _check_fit(run: RunName, task: PreparedTask, objective: Objective, training: Training, processes: int) -> None:
    """Settings that params.yaml allows but that this task or this launch cannot use."""
    distils = run.role == "student" and objective.alpha > 0
    if distils and objective.kd_loss == "logit_std" and len(task.label_names) == 2:
        problem = "kd_loss logit_std has no gradient with two classes, whose standardised logits are always -1 and 1"
        raise UserError(run, problem, "allowed: kl, dist")
    if distils and objective.kd_loss == "dist" and processes > 1:
        raise UserError(run, f"kd_loss dist is not defined over {processes} processes", "use one, or kl or logit_std")
    if training.batch_size < 2 * processes:
        problem = f"batch_size {training.batch_size} leaves some of {processes} processes without rows"
        raise UserError(run, problem, f"at least {2 * processes}")


def _keep_freed_memory() -> None:
    """Have glibc keep freed blocks instead of handing them back to the kernel.

    The gradient of the token embeddings is a block of tens of megabytes, new at every step. With its pages kept, a
    CPU step took 5 to 7 % less time; results are the same to the last bit.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for option, value in GLIBC_MALLOC.items():
            libc.mallopt(option, value)


def training_data(
    task: PreparedTask,
    tokens: dict[str, EncodedSplit],
    transfer: EncodedSplit | None,
    diagnostic_rows: int,
    teacher_logits: np.ndarray | None,
) -> TrainingData:
    """The tokenised task as the training loop wants it, transfer rows (without labels) after the train rows.

    Prepared splits are shuffled: their first rows are a sample.
    """
    labels, train_tokens = torch.tensor(task.train.labels), tokens["train"]
    labelled = LabelledSplit(train_tokens, labels)
    if transfer is not None:
        labels = torch.cat([labels, torch.full((len(transfer),), NO_LABEL)])
        train_tokens = train_tokens.joined(transfer)
    teacher = None if teacher_logits is None else torch.tensor(teacher_logits)
    return TrainingData(
        train=LabelledSplit(train_tokens, labels, teacher),
        selection=LabelledSplit(tokens["selection"], torch.tensor(task.selection.labels)),
        diagnostic=labelled.first(diagnostic_rows),
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
    return {
        "device": _device_name(accelerator.device.type),
        "precision": "bf16" if accelerator.mixed_precision == "bf16" else "fp32",
        "processes": accelerator.num_processes,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _device_name(kind: str) -> str:
    """The model of a GPU; the instruction set of a CPU, by which its kernels are chosen."""
    if kind == "cuda":
        return torch.cuda.get_device_name()
    return f"cpu {torch.backends.cpu.get_cpu_capability()}" if kind == "cpu" else kind


def run_result(
    record: dict, result: TrainingResult, outputs: dict[str, Outputs], task: PreparedTask, feature_rows: int
) -> RunResult:
    """Everything a run leaves but its weights."""
    row_ids = {split: getattr(task, split).row_ids for split in outputs}
    return RunResult(
        record=record,
        history=pd.DataFrame(result.history),
        logits=logits_table({split: values.logits.numpy() for split, values in outputs.items()}, row_ids),
        features={split: outputs[split].features[:feature_rows].numpy().copy() for split in ("selection", "test")},
    )


def write_timing(run: RunName, load: float, train: float, predict: float, rows: int) -> None:
    """Seconds of a run's parts and train rows a second, evaluation after each epoch included."""
    seconds = {"load_seconds": load, "train_seconds": train, "predict_seconds": predict}
    content = {name: round(value, 3) for name, value in seconds.items()} | {"rows_per_second": round(rows / train, 1)}
    write_json(run.folder(TIMING_FOLDER).with_suffix(".json"), content)
