"""Exports a run's kept model to a folder, after checking it on the task's test rows.

model.onnx           the model in float32; outputs are logits and h
model.int8.onnx      the model in 8 bits, with --int8
tokenizer.json       a tokenizer that cuts and pads as in training, with transformers' other files of it
config.json          the model's config, with its labels
README.md            the card
"""

import shutil
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from src.core.speed.first_token import compute_first_token_only
from src.data.prepared import load_task
from src.export.card import onnx_card
from src.export.checking import FLOAT, INT8, Checked, check, rows_of_test
from src.export.graph import input_names, write_graph
from src.export.int8 import write_int8
from src.kept_models import kept_folder, load_kept
from src.params import Runtime
from src.runs import RunName
from src.system.errors import UserError
from src.system.files import new_folder


def export_run(run: RunName, runtime: Runtime, target: Path, int8: bool) -> Checked:
    """Write the folder of a run's kept model, all of it or nothing.

    Args:
        int8: also write the model in 8 bits.

    Raises:
        UserError: the run or its model is missing, or the exported model differs from it.
    """
    if runtime.threads is not None:
        torch.set_num_threads(runtime.threads)
    task = load_task(run.task, seed=run.seed)
    kept = load_kept(run, task.label_names)
    compute_first_token_only(kept.model.model)
    rows = rows_of_test(run, task, kept)
    inputs = input_names(kept.model, rows.tokens)
    with new_folder(target) as draft:
        write_graph(kept.model, inputs, draft / FLOAT)
        if int8:
            write_int8(draft / FLOAT, draft / INT8)
        checked = check(draft, rows, task.metrics[0], runtime.threads)
        write_tokenizer(kept.tokenizer, kept.max_length, draft)
        shutil.copy(kept_folder(run) / "config.json", draft)
        onnx_card(run, kept, task, inputs, checked).save(draft / "README.md")
    return checked


def write_tokenizer(tokenizer: PreTrainedTokenizerBase, max_length: int, folder: Path) -> None:
    """Write a tokenizer's files. `tokenizer.json` alone is enough to cut and pad texts as in training.

    Raises:
        UserError: the tokenizer has no such file.
    """
    tokenizer.save_pretrained(folder)
    if not (path := folder / "tokenizer.json").is_file():
        problem = f"the tokenizer of {tokenizer.name_or_path} is written in Python and has no tokenizer.json"
        raise UserError("--format onnx", problem, "use a model whose tokenizer has one")
    own = Tokenizer.from_file(str(path))
    own.enable_truncation(max_length, direction=tokenizer.truncation_side)
    own.enable_padding(pad_id=tokenizer.pad_token_id, pad_token=str(tokenizer.pad_token))
    own.save(str(path))
