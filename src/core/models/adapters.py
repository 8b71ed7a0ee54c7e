"""LoRA, by peft: small trained updates beside a model's frozen linear layers (Hu et al., arXiv 2106.09685).

A frozen weight W gets the update alpha / rank * B A. A has `rank` rows and B has `rank` columns. B is 0 at the start,
so training begins at the pre-trained model. New weights are trained in full: the head, and a pooler that the checkpoint
lacks. They are saved with the adapter, because the pre-trained model does not have them.
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

if TYPE_CHECKING:  # importing peft takes a second or more, which runs without LoRA need not spend
    from peft import PeftModel

ADAPTER_FOLDER = "adapter"

Saver = Callable[[Path], object]


def add_lora(source: ModelSource, lora: Lora, model: PreTrainedModel, new: set[str], seed: int) -> "PeftModel":
    """Freeze a classifier's pre-trained backbone, and add LoRA to its linear layers, in place. A is drawn from `seed`.

    Args:
        new: names of the weights that are not pre-trained.

    Returns:
        peft's view of the model, which can merge and save the trained weights.

    Raises:
        UserError: a target of `lora` names no linear layer, or the backbone has no linear layer.
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
        warnings.simplefilter("ignore", FutureWarning)  # peft uses a deprecated name of transformers
        adapted = get_peft_model(model, config)
    # peft records the model's path on this machine, which is useless on another.
    config.base_model_name_or_path, config.revision = source.name, source.revision
    # peft keeps these as sets. Their order differs between processes, and so would the saved bytes.
    config.target_modules, config.modules_to_save = sorted(targets), in_full
    return adapted


def halve_frozen_weights(model: PreTrainedModel) -> None:
    """Convert the frozen weights to bf16. Trained weights stay in float32.

    So does the first state of a module that is trained in full. No pass uses it, but peft keeps it inside that module,
    which would else count as one in bf16.
    """
    for name, weight in model.named_parameters():
        if not weight.requires_grad and ".original_module." not in name:
            weight.data = weight.data.to(torch.bfloat16)


def adapter_savers(source: ModelSource, adapted: "PeftModel") -> list[Saver]:
    """Functions that write the adapter with the head to `adapter/` of a folder, and the merged model to the folder.

    A cut student saves no adapter, because peft would silently add it to other layers of the whole model.
    """

    def adapter(folder: Path) -> None:
        adapted.save_pretrained(str(folder / ADAPTER_FOLDER), save_embedding_layers=False)

    def merged(folder: Path) -> None:
        adapted.float()  # or weights in bf16 would round the update that is added to them
        adapted.merge_and_unload().save_pretrained(folder)

    return [merged] if source.layers else [adapter, merged]


def _targets(source: ModelSource, lora: Lora, model: PreTrainedModel, in_full: list[str]) -> Iterator[str]:
    """Full names of the backbone's frozen linear layers that `lora.targets` selects by the last part of the name."""
    prefix = f"{model.base_model_prefix}."
    linear = [
        name
        for name, module in model.named_modules()
        if name.startswith(prefix) and name not in in_full and isinstance(module, (nn.Linear, Conv1D))
    ]
    known = sorted({name.rpartition(".")[2] for name in linear})
    if not known:
        problem = f"{source.name} has no linear layer with pre-trained weights"
        raise UserError("params.yaml: models: lora", problem, "use another model, or set lora to null")
    wanted = known if lora.targets == "all" else lora.targets
    if unknown := sorted(set(wanted) - set(known)):
        problem = f"{source.name} has no linear layer {unknown[0]!r:.100}"
        raise UserError("params.yaml: models: lora.targets", problem, f"allowed: all, or some of {', '.join(known)}")
    yield from (name for name in linear if name.rpartition(".")[2] in wanted)


def _trained_in_full(model: PreTrainedModel, new: set[str]) -> list[str]:
    """Names of the modules outside the backbone that have weights, and of the modules within it with new weights."""
    backbone = model.base_model_prefix
    head = {name for name, part in model.named_children() if name != backbone and [*part.parameters()]}
    return sorted(head | {name.rpartition(".")[0] for name in new if name.startswith(f"{backbone}.")})
