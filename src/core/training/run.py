"""One run from a prepared task to saved results, for all training stages."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator

from src.core.machine.device import precision_of, reruns_are_equal, rounds_on_cpu
from src.core.machine.environment import environment, start
from src.core.method.spaces import Outputs
from src.core.models.adapters import Saver
from src.core.models.files import says_no_memory
from src.core.models.model_card import model_card
from src.core.monitoring.live import live_curve
from src.core.speed.instructions import bf16_instructions, emulates_bf16
from src.core.training.checkpoints import checkpoints_of, run_key
from src.core.training.inference import predict
from src.core.training.loading import LoadTeacher, PreparedRun, prepare_run, splits_to_predict
from src.core.training.loop import Setup
from src.core.training.phases import TrainingResult, train
from src.core.training.refusals import check_fit
from src.core.training.timing import memory_taken, stopwatch, write_timing
from src.data.prepared import PreparedTask, load_description
from src.params import RunSettings, Runtime
from src.runs import RunName, RunResult, logits_table, save_run
from src.system.errors import UserError, first_line

# What torch says in several processes of a model with such weights.
UNUSED_WEIGHTS = "parameters that were not used in producing loss"


def run_training(
    run: RunName,
    task: PreparedTask,
    settings: RunSettings,
    teacher_logits: np.ndarray | None = None,
    study: str | None = None,
    load_teacher: LoadTeacher | None = None,
) -> None:
    """Train one model, or go on from its last checkpoint, and save the results (see `src.runs`).

    Args:
        teacher_logits: (N, C) for the N train rows, followed by the transfer rows if the objective uses them.
        load_teacher: loads the teacher's model. The run does so if a term compares its last layer with the student's.
        study: the study whose folder gets the live curve if `runtime.live` is true; None: no curve.

    Raises:
        UserError: the settings do not fit the task, the loss is not finite, or memory or disk is full.
        Stopped: a signal came.
    """
    lap = stopwatch()
    accelerator = start(settings.runtime)
    rows, epochs = settings.training.learnt_of(len(task.train)), settings.training.all_epochs
    accelerator.print(f"{run}: {rows} train rows, {epochs} epochs", flush=True)
    shown_in = study if settings.runtime.live and accelerator.is_main_process else None
    with live_curve(shown_in, run) as curve, _explained(run):
        check_fit(run, task, settings, accelerator.num_processes)
        if accelerator.is_main_process:
            say_arithmetic(settings.runtime, accelerator.device)
        prepared = prepare_run(run, task, settings, teacher_logits, load_teacher)
        description = run_metadata(run, settings, accelerator)
        of_task = [task.metrics, task.label_names, settings.runtime.diagnostic_rows]
        key = run_key([description, *of_task, prepared.configuration()], prepared.tensors())
        with checkpoints_of(run, key, settings.checkpoints, accelerator) as checkpoints:
            load_seconds = lap()
            precision = precision_of(settings.runtime)
            setup = Setup(prepared.model, prepared.data, run.seed, accelerator, precision, curve, prepared.relations)
            result = train(setup, settings.objective, settings.training, checkpoints)
            train_seconds = lap()
            outputs = {
                split: predict(prepared.model, prepared.tokens[split], accelerator)
                for split in splits_to_predict(run, task)
            }
            memory = memory_taken(prepared.model, accelerator)
            if accelerator.is_main_process:
                left = run_result(description, result, outputs, task, settings.runtime.feature_rows)
                save_run(run.folder(), left, _savers(run, prepared, task, settings, result))
    if accelerator.is_main_process:
        seconds = {"load_seconds": load_seconds, "train_seconds": train_seconds, "predict_seconds": lap()}
        accelerator.print(f"memory: {memory.peak_gb:.2f} GB at most, of which {memory.weights_gb:.2f} GB are weights")
        write_timing(run, result, len(prepared.data.train.labels), seconds, memory)
    accelerator.end_training()


def say_arithmetic(runtime: Runtime, device: torch.device) -> None:
    """Print a line if auto chose bf16 on a CPU or bf16 is emulated, and a warning if reruns may differ."""
    if not reruns_are_equal(device.type):
        print(f"warning: on {device.type} two equal runs may differ in their last digits", file=sys.stderr)
    if not rounds_on_cpu(runtime):
        return
    if emulates_bf16():
        why = "because this CPU has neither AMX nor AVX512-BF16"
        print(f"runtime.precision: bf16 is emulated, {why}; fp32 rounds less and takes less memory", flush=True)
    elif runtime.precision == "auto":
        print(f"runtime.precision: auto chose bf16, because this CPU has {bf16_instructions()}", flush=True)


def _savers(
    run: RunName, prepared: PreparedRun, task: PreparedTask, settings: RunSettings, result: TrainingResult
) -> list[Saver]:
    """Functions that write the model with its tokenizer and its card, if the model is kept."""
    if not settings.runtime.keep_weights:
        return []
    card = model_card(run, settings, task, result.history[result.best_epoch - 1], load_description(run.task)["licence"])
    return [*prepared.savers(), lambda folder: card.save(folder / "README.md")]


@contextmanager
def _explained(run: RunName) -> Generator[None]:
    """Turn a loss that is not finite, or too little memory, into a UserError with advice, for the block within."""
    try:
        yield
    except FloatingPointError as error:
        allowed = "lower lr, cmi_weight or separation_weight of this arm in params.yaml"
        raise UserError(run, str(error), allowed) from None
    except (MemoryError, RuntimeError) as error:
        if UNUSED_WEIGHTS in str(error):
            problem = "the model has weights that its outputs do not use, and several processes need all of them"
            raise UserError(run, problem, "start it in one process") from None
        if not isinstance(error, MemoryError) and not says_no_memory(error):
            raise
        allowed = "lower batch_size or max_length in params.yaml, set precision to bf16, or use a smaller model"
        raise UserError(run, f"out of memory ({first_line(error)})", allowed) from None


def run_metadata(run: RunName, settings: RunSettings, accelerator: Accelerator) -> dict[str, Any]:
    """Everything that fixes a run, as plain values. Equal runs have equal values."""
    return {
        "run": {"task": run.task, "role": run.role, "arm": run.arm, "seed": run.seed},
        **settings.recorded(),
        "environment": environment(accelerator, settings.runtime),
    }


def run_result(
    description: dict[str, Any],
    result: TrainingResult,
    outputs: dict[str, Outputs],
    task: PreparedTask,
    feature_rows: int,
) -> RunResult:
    """The results of a run, except its weights."""
    row_ids = {split: task.splits[split].row_ids for split in outputs}
    end = {"best_epoch": result.best_epoch, "epochs": len(result.history), "steps": result.steps}
    return RunResult(
        record=description | end,
        history=pd.DataFrame(result.history),
        logits=logits_table({split: values.logits.numpy() for split, values in outputs.items()}, row_ids),
        features={split: outputs[split].features[:feature_rows].numpy().copy() for split in ("selection", "test")},
    )
