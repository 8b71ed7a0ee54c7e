"""Models of a study whose speed can be measured, and their size relative to BERT-base.

A plan does not fetch models from the hub. For the hub's models in studies/, it measures a model of the same shape with
random weights, which has the same speed.
"""

from dataclasses import replace
from pathlib import Path

from transformers import AutoConfig, BertConfig, DistilBertConfig, PretrainedConfig

from benchmarks.gpu.made import made_task, save_model
from src.core.models.files import gguf_of, locate
from src.core.speed.first_token import LAST_LAYERS
from src.data.preparation import prepare_task
from src.data.prepared import LabelledSplit, PreparedTask, load_task
from src.params import ModelSource, Params

SHAPES: dict[str, PretrainedConfig] = {  # the defaults of these configs are the shapes of the two models
    "google-bert/bert-base-uncased": BertConfig(pad_token_id=0),
    "distilbert/distilbert-base-uncased": DistilBertConfig(),
}
BERT_BASE = SHAPES["google-bert/bert-base-uncased"]
LONGEST = 4  # the most texts of vader-movie in one row
OTHERS = 8  # rows of selection, and of test, which are not measured


def stand_in(source: ModelSource) -> PretrainedConfig | None:
    """The shape of the model that replaces one from the hub; None for other sources."""
    return SHAPES.get(source.name) if source.source == "hub" else None


def measurable(source: ModelSource, scratch: Path) -> ModelSource:
    """The model, or its replacement with random weights."""
    if (shape := stand_in(source)) is None:
        return source
    own = save_model(shape, scratch / Path(source.name).name)
    return own.model_copy(update={"layers": source.layers, "lora": source.lora})


def measured_task(params: Params, source: ModelSource, rows: int, scratch: Path) -> PreparedTask:
    """Rows of few to many tokens: one to four texts of vader-movie, or made-up words for a replaced model."""
    if shape := stand_in(source):
        longest = params.finetune.training.max_length
        return made_task(rows, (6, longest - 2), shape.vocab_size, others=OTHERS)
    if not (scratch / "vader-movie").is_dir():
        prepare_task("vader-movie", params, scratch)
    return lengthened(load_task("vader-movie", scratch, params.seeds[0]), rows)


def lengthened(task: PreparedTask, rows: int) -> PreparedTask:
    """The task with train rows of one to four joined texts."""
    texts, own = [text for (text,) in task.train.texts], []
    for row in range(rows):
        chosen = [texts[(row + number) % len(texts)] for number in range(1 + row % LONGEST)]
        own.append((" ".join(chosen),))
    labels = task.train.labels[[row % len(texts) for row in range(rows)]]
    return replace(task, train=LabelledSplit([str(row) for row in range(rows)], own, labels))


def size_over_bert_base(source: ModelSource) -> float:
    """The multiplications of a model per token, over BERT-base's."""
    return products(config_of(source), source.layers) / products(BERT_BASE, None)


def config_of(source: ModelSource) -> PretrainedConfig:
    """A model's shape."""
    if shape := stand_in(source):
        return shape
    location = locate(source)
    return AutoConfig.from_pretrained(location, **gguf_of(location))


def products(config: PretrainedConfig, layers: list[int] | None) -> float:
    """The multiplications of all layers per token. The last layer may be computed for the first token alone."""
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    each = 4 * config.hidden_size**2 + 2 * config.hidden_size * inner
    spared = each - 2 * config.hidden_size**2 if config.model_type in LAST_LAYERS else 0
    return layers_of(config, layers) * each - spared


def layers_of(config: PretrainedConfig, layers: list[int] | None) -> int:
    """The number of a model's layers, which may be fewer than its config has."""
    return config.num_hidden_layers if layers is None else len(layers)
