"""Loads pre-trained classifiers, and cuts students from them.

Encoders and decoder-only models work if their head reads one vector of a text; docs/models.md lists the kinds. Weights
are safetensors or GGUF. Code that comes with a model is never run.
"""

from collections.abc import Sequence
from contextlib import nullcontext, redirect_stderr
from io import StringIO
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers import logging as transformers_logging

from src.core.method.spaces import Outputs
from src.core.models.adapters import Saver, adapter_savers, add_lora, halve_frozen_weights
from src.core.models.compatibility import check_labels, check_left_out, check_length, check_loaded, check_token
from src.core.models.files import DAMAGE, damage_named, gguf_of, locate, raise_if_memory
from src.core.models.head_input import (
    HeadInput,
    Unreadable,
    trial_inputs,
    try_model,
    understood,
    watch,
)
from src.core.models.layers import CannotBeCut, keep_layers
from src.params import ModelSource
from src.system.errors import UserError, first_line

MOST_LAYERS = 1000  # more than any model has; transformers builds the layers before it looks at the weights

transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()


class Classifier(nn.Module):
    """A sequence classifier that also returns h, the vector that enters its classification head.

    In BERT, h is the pooled output before dropout, because dropout is noise of training and no property of the sample.
    If the head does its own pooling, h is the hidden state that it pools to: the first token's, the mean over tokens,
    or in decoder-only models the last token's. `src.core.models.head_input` finds h.

    Args:
        savers: functions that write the model to a folder; by default its own `save_pretrained`.
    """

    def __init__(self, model: PreTrainedModel, head_input: HeadInput, savers: Sequence[Saver] = ()) -> None:
        super().__init__()
        self.model = model
        self.head_input = head_input
        self.savers = list(savers) or [model.save_pretrained]
        self._seen: dict[str, Tensor] = {}
        watch(model, self._seen)

    def forward(self, **inputs: Tensor) -> Outputs:
        """Logits (n, C) and h (n, d) of a batch from `EncodedSplit.batch`."""
        logits = self.model(**understood(self.model, inputs)).logits
        vectors = self._seen[self.head_input.source]
        self._seen.clear()
        return Outputs(logits, self.head_input.rule(vectors, inputs, self.model.config.pad_token_id))


def load_classifier(source: ModelSource, label_names: list[str], pad_id: int, seed: int, tokens: int = 0) -> Classifier:
    """A pre-trained model with a classification head for these labels; a new head is drawn from `seed`.

    The head is new if none was saved, if the saved one has another number of labels, or if `source.new_head` is true.

    Args:
        tokens: the length of the longest input that the model will get.

    Raises:
        UserError: the model cannot be found, is damaged, is no safetensors model, or is neither an encoder nor a
            decoder; it lacks weights of its backbone, or its config has no place for some of them; it has other labels,
            or the same in another order; it lacks the layers or the targets of LoRA that `source` names.
    """
    location = locate(source)
    config = _load_config(source, location)
    check_labels(source, config, label_names)
    model, new = _load_model(source, location, label_names, seed)
    for part in (model.config, model.config.get_text_config()):
        part.pad_token_id = pad_id
        part.return_dict, part.use_cache = True, False
    # The saved model's own type could make a pipeline squash the logits in another way.
    model.config.problem_type = "single_label_classification"
    head_input = _try(source, model, pad_id)
    check_length(source, model, tokens)
    if source.layers is not None:
        _keep_layers(source, source.layers, model, pad_id)
    savers = []
    if source.lora is not None:
        savers = adapter_savers(source, add_lora(source, source.lora, model, new, seed))
    if source.dtype == "bf16":
        halve_frozen_weights(model)
    return Classifier(model, head_input, savers)


def _load_model(
    source: ModelSource, location: str, label_names: list[str], seed: int
) -> tuple[PreTrainedModel, set[str]]:
    """The model, and the names of the weights that are not pre-trained; only its pooler and head may have such."""
    names = dict(enumerate(label_names))
    torch.manual_seed(seed)
    gguf = gguf_of(location)
    silent = redirect_stderr(StringIO()) if gguf else nullcontext()  # GGUF's progress bar cannot be switched off
    with damage_named(source), silent:
        model, report = AutoModelForSequenceClassification.from_pretrained(
            location,
            trust_remote_code=False,
            use_safetensors=True,
            **gguf,
            dtype=torch.float32,
            id2label=names,
            label2id={name: number for number, name in names.items()},
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
        if gguf and model.hf_quantizer is not None:
            model.hf_quantizer.remove_quantization_config(model)  # the weights are float32 now and can be saved
        if source.new_head:
            model = _with_new_head(model, seed)
    new = {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}
    check_loaded(source, model, new)
    check_left_out(source, model, set(report["unexpected_keys"]))
    return model, new


def _load_config(source: ModelSource, location: str) -> Any:
    with damage_named(source):
        config = AutoConfig.from_pretrained(location, trust_remote_code=False, **gguf_of(location))
        text = config.get_text_config()  # the part for texts, if the model also takes images
        if not isinstance(text, PretrainedConfig):
            raise TypeError(f"text_config is {text!r:.100}")
    if config.is_encoder_decoder:
        problem = f"{source.name} is a {config.model_type} model, an encoder with a decoder"
        raise UserError("params.yaml: models", problem, "use an encoder, or a decoder-only model")
    if not 1 <= (layers := getattr(text, "num_hidden_layers", 1)) <= MOST_LAYERS:
        raise UserError("params.yaml: models", f"{source.name} has {layers} layers", f"allowed: 1 to {MOST_LAYERS}")
    return config


def _with_new_head(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """A model with the same backbone and a new head: it is loaded as if only the backbone had been saved."""
    backbone = f"{model.base_model_prefix}."
    weights = {name: values for name, values in model.state_dict().items() if name.startswith(backbone)}
    torch.manual_seed(seed)
    return type(model).from_pretrained(None, config=model.config, state_dict=weights, dtype=torch.float32)


def _try(source: ModelSource, model: PreTrainedModel, pad_id: int) -> HeadInput:
    """The vector that enters the head. A forward pass that fails because of the config fails here, before training."""
    kind = f"{source.name} is a {model.config.model_type} model"
    try:
        check_token(source, model, pad_id)
        return try_model(model, pad_id)
    except DAMAGE as error:
        raise_if_memory(error)
        problem = f"{kind} and fails on a short text ({type(error).__name__}: {first_line(error)})"
        raise UserError("params.yaml: models", problem, "use a model that runs on texts of any length") from None
    except Unreadable as error:
        problem = f"{kind}: {error}"
        allowed = (
            "use a model that pads on the right, and whose head reads a pooled vector, one of the first or last token, "
            "or the tokens' mean"
        )
        raise UserError("params.yaml: models", problem, allowed) from None


def _keep_layers(source: ModelSource, layers: list[int], model: PreTrainedModel, pad_id: int) -> None:
    """Keep some of the transformer layers, in order."""
    total = getattr(model.config.get_text_config(), "num_hidden_layers", 0)
    if max(layers) >= total:
        problem = f"{source.name} has no layer {max(layers)}"
        raise UserError("params.yaml: models", problem, f"allowed: layers 0 to {total - 1}")
    try:
        keep_layers(model, layers, understood(model, trial_inputs(model, pad_id)))
    except (*DAMAGE, CannotBeCut) as error:
        raise_if_memory(error)
        problem = f"a {model.config.model_type} model with only layers {layers} of {source.name}"
        reason = error if isinstance(error, CannotBeCut) else f"does not work ({first_line(error)})"
        allowed = "set layers to others, or to null for all"
        raise UserError("params.yaml: models", f"{problem} {reason}", allowed) from None
