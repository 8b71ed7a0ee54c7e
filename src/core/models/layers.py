"""Cuts students from some of a model's layers, so that a saved student can be loaded again."""

import tempfile
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel


class CannotBeCut(Exception):
    """A model without some of its layers does not run, or changes when it is saved. The message says why."""


def keep_layers(model: PreTrainedModel, kept: list[int], inputs: dict[str, Tensor]) -> None:
    """Keep some of the transformer layers, in order.

    Args:
        inputs: a batch on which the model, saved and loaded again, must give the same logits, to float rounding.

    Raises:
        CannotBeCut: it gives other logits, or the model has no list of its layers.
    """
    config = model.config.get_text_config()
    total = config.num_hidden_layers
    lists = list(_lists_of_layers(model.base_model, total, _at_work(model, inputs)))
    if not lists and getattr(config, "num_hidden_groups", None) != 1:  # ALBERT: one layer, passed many times
        raise CannotBeCut(f"has no list of its {total} layers")
    for parent, name in lists:
        layers = getattr(parent, name)
        setattr(parent, name, nn.ModuleList(layers[number] for number in kept))
    _keep_in_config(config, kept, total)
    with torch.no_grad():
        difference = (model(**inputs).logits - _saved_and_loaded(model)(**inputs).logits).abs().max()
    if not difference <= 1e-5:
        raise CannotBeCut("gives other outputs once it is saved: a layer depends on its position")


def _at_work(model: PreTrainedModel, inputs: dict[str, Tensor]) -> set[nn.Module]:
    """The modules that texts pass through. Modules for images and unused experts are not among them."""
    found: set[nn.Module] = set()
    handles = [part.register_forward_pre_hook(lambda part, _: found.add(part)) for part in model.modules()]
    try:
        with torch.no_grad():
            model(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _lists_of_layers(module: nn.Module, total: int, at_work: set[nn.Module]) -> Iterator[tuple[nn.Module, str]]:
    """Parents and names of the lists with one module per layer, such as XLM's four, but not of lists within a layer."""
    for name, child in module.named_children():
        is_list = isinstance(child, nn.ModuleList) and len(child) == total
        if is_list and not any(at_work.isdisjoint(layer.modules()) for layer in child):
            yield module, name
        else:
            yield from _lists_of_layers(child, total, at_work)


def _keep_in_config(config: PretrainedConfig, kept: list[int], total: int) -> None:
    """Reduce values that a config has for each layer, such as kinds of attention, to the kept layers."""
    for key, value in list(vars(config).items()):
        if isinstance(value, list | tuple) and len(value) == total:
            setattr(config, key, [value[number] for number in kept])
    config.num_hidden_layers = len(kept)


def _saved_and_loaded(model: PreTrainedModel) -> PreTrainedModel:
    """The model that another process loads from these weights and this config."""
    with tempfile.TemporaryDirectory() as folder:
        model.config.save_pretrained(folder)
        config = AutoConfig.from_pretrained(folder)
    pair: Any = type(model).from_pretrained(  # with output_loading_info it returns two values
        None,
        config=config,
        state_dict=model.state_dict(),
        dtype=torch.float32,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    loaded, report = pair
    if lost := {*report["missing_keys"], *report["unexpected_keys"], *(key for key, *_ in report["mismatched_keys"])}:
        raise CannotBeCut(f"loses {min(lost)} once it is saved: its config cannot name these layers")
    return loaded
