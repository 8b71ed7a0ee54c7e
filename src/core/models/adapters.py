"""LoRA: small trained updates beside a model's frozen linear layers (Hu et al., arXiv 2106.09685), by peft.

A frozen weight W gets alpha / rank * B A beside it, with A of `rank` rows and B, of as many columns, 0 at the start: so
training begins at the pre-trained model. New weights, those of the head and of a pooler that the checkpoint lacks, are
trained in full and saved with the adapter, because they are not in the pre-trained model.
"""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from src.params import Lora, ModelSource
from src.system.errors import UserError

if TYPE_CHECKING:  # importing peft takes a second or more, which runs without it should not spend
    from peft import PeftModel

ADAPTER_FOLDER = "adapter"

Saver = Callable[[Path], object]


def add_lora(source: ModelSource, lora: Lora, model: PreTrainedModel, new: set[str], seed: int) -> "PeftModel":
    """Freeze a classifier's pre-trained backbone, and add LoRA to its linear layers, in place; A is drawn from `seed`.

    Args:
        new: names of the weights that are not pre-trained.

    Returns:
        peft's view of the model, which can merge and save what is trained.

    Raises:
        UserError: a target of `lora` names no linear layer, or there is none.
    """
    from peft import LoraConfig, get_peft_model

    in_full = _trained_in_full(model, new)
    targets = list(_targets(source, lora, model, in_full))
    torch.manual_seed(seed)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        modules_to_save=in_full,
        fan_in_fan_out=all(isinstance(model.get_submodule(name), Conv1D) for name in targets),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by a name that is on its way out
        adapted = get_peft_model(model, config)
    # Where the model lies on this machine, as peft has it, is of no use on another.
    config.base_model_name_or_path, config.revision = source.name, source.revision
    # peft makes sets of these, whose order is another in each process, and so would be the bytes of what is saved.
    config.target_modules, config.modules_to_save = sorted(targets), in_full
    return adapted


def halve_frozen_weights(model: PreTrainedModel) -> None:
    """Hold the frozen weights in bf16; those that are trained stay in float32."""
    for weight in model.parameters():
        if not weight.requires_grad:
            weight.data = weight.data.to(torch.bfloat16)


def adapter_savers(source: ModelSource, adapted: "PeftModel") -> list[Saver]:
    """What writes the adapter with the head to `adapter/` of a folder, and then the merged model to the folder.

    A student that was cut leaves no adapter: over the whole model peft would add it to other layers, without a word.
    """

    def adapter(folder: Path) -> None:
        adapted.save_pretrained(str(folder / ADAPTER_FOLDER), save_embedding_layers=False)

    def merged(folder: Path) -> None:
        adapted.float()  # before the update is added to weights in bf16, which would round it
        adapted.merge_and_unload().save_pretrained(folder)

    return [merged] if source.layers else [adapter, merged]


def _targets(source: ModelSource, lora: Lora, model: PreTrainedModel, in_full: list[str]) -> Iterator[str]:
    """Full names of the backbone's frozen linear layers that `lora.targets` names by their last part, or of all."""
    prefix = f"{model.base_model_prefix}."
    linear = [
        name
        for name, module in model.named_modules()
        if name.startswith(prefix) and name not in in_full and isinstance(module, (nn.Linear, Conv1D))
    ]
    known = sorted({name.rpartition(".")[2] for name in linear})
    if not known:
        problem = f"{source.name} has no linear layer with pre-trained weights"
        raise UserError("params.yaml: models: lora", problem, "another model, or lora: null")
    wanted = known if lora.targets == "all" else lora.targets
    if unknown := sorted(set(wanted) - set(known)):
        problem = f"{source.name} has no linear layer {unknown[0]!r:.100}"
        raise UserError("params.yaml: models: lora.targets", problem, f"all, or of: {', '.join(known)}")
    yield from (name for name in linear if name.rpartition(".")[2] in wanted)


def _trained_in_full(model: PreTrainedModel, new: set[str]) -> list[str]:
    """Names of the modules beside the backbone that have weights, and of those within it whose weights are new."""
    backbone = model.base_model_prefix
    head = {name for name, part in model.named_children() if name != backbone and [*part.parameters()]}
    return sorted(head | {name.rpartition(".")[0] for name in new if name.startswith(f"{backbone}.")})
