"""Models of a study whose speed can be measured, and their size beside BERT-base's.

A model of the hub is none that a plan should fetch. For those that studies/ names, a model of the same shape with
random weights stands in: it is as fast.
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

SHAPES: dict[str, PretrainedConfig] = {  # their defaults are the shapes of these two
    "google-bert/bert-base-uncased": BertConfig(pad_token_id=0),
    "distilbert/distilbert-base-uncased": DistilBertConfig(),
}
BERT_BASE = SHAPES["google-bert/bert-base-uncased"]
LONGEST = 4  # texts of vader-movie in one row
OTHERS = 8  # rows of selection and test, which are not measured


def stand_in(source: ModelSource) -> PretrainedConfig | None:
    """The shape of the model that stands in for one of the hub; None where the model itself is at hand."""
    return SHAPES.get(source.name) if source.source == "hub" else None


def measurable(source: ModelSource, scratch: Path) -> ModelSource:
    """The model, or what stands in for it."""
    if (shape := stand_in(source)) is None:
        return source
    own = save_model(shape, scratch / Path(source.name).name)
    return own.model_copy(update={"layers": source.layers, "lora": source.lora})


def measured_task(params: Params, source: ModelSource, rows: int, scratch: Path) -> PreparedTask:
    """Rows of few to many tokens: of one to four texts of vader-movie, or of made words where a model stands in."""
    if shape := stand_in(source):
        longest = params.finetune.training.max_length
        return made_task(rows, (6, longest - 2), shape.vocab_size, others=OTHERS)
    if not (scratch / "vader-movie").is_dir():
        prepare_task("vader-movie", params, scratch)
    return lengthened(load_task("vader-movie", scratch), rows)


def lengthened(task: PreparedTask, rows: int) -> PreparedTask:
    """Train rows of one to four texts joined."""
    texts, own = [text for (text,) in task.train.texts], []
    for row in range(rows):
        chosen = [texts[(row + number) % len(texts)] for number in range(1 + row % LONGEST)]
        own.append((" ".join(chosen),))
    labels = task.train.labels[[row % len(texts) for row in range(rows)]]
    return replace(task, train=LabelledSplit([str(row) for row in range(rows)], own, labels))


def size_over_bert_base(source: ModelSource) -> float:
    """Products of a model for each token, over BERT-base's."""
    return products(config_of(source), source.layers) / products(BERT_BASE, None)


def config_of(source: ModelSource) -> PretrainedConfig:
    """A model's shape."""
    if shape := stand_in(source):
        return shape
    location = locate(source)
    return AutoConfig.from_pretrained(location, **gguf_of(location))


def products(config: PretrainedConfig, layers: list[int] | None) -> float:
    """Multiplications of all layers for a token. The last one may be computed for the first token alone."""
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    each = 4 * config.hidden_size**2 + 2 * config.hidden_size * inner
    spared = each - 2 * config.hidden_size**2 if config.model_type in LAST_LAYERS else 0
    return layers_of(config, layers) * each - spared


def layers_of(config: PretrainedConfig, layers: list[int] | None) -> int:
    """How many layers a model has of those of its config."""
    return config.num_hidden_layers if layers is None else len(layers)
