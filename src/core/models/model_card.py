"""The card of a kept model: its origin, and its scores on selection."""

from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from src.data.prepared import PreparedTask
from src.fetching.pinned import licence_of_model
from src.params import ModelSource, RunSettings
from src.params.types import KeptEpoch
from src.runs import RunName

PIPELINE = "text-classification"
EXAMPLES = {1: '"a text"', 2: '{"text": "the first text", "text_pair": "the second"}'}
WHICH: dict[KeptEpoch, str] = {"best": "the best on selection", "last": "the last one"}
SAID_AT_0 = ("label_weight",)  # 0 is not its default
TEXT = """
# {run}

A text classifier, fine-tuned by a run of this project on the task `{task}` ({labels}). It started from
`{base}`{layers}{lora}.

| | |
|---|---|
| rows | {rows} of train, {selection_rows} of selection |
| objective | {objective} |
| epoch | {epoch} of {epochs}, {which} |
| licence of the data | {data_licence} |
| licence of the base model | {base_licence} |

Its scores are from selection{chosen}. The study's tables have the scores on test.

```python
from transformers import pipeline

classify = pipeline("text-classification", "path/to/this/folder", truncation=True)
classify({example})
```

In training, texts were cut to {max_length} tokens; `truncation=True` does the same.
"""


def model_card(
    run: RunName, settings: RunSettings, task: PreparedTask, kept: dict[str, float], data_licence: str
) -> ModelCard:
    """A card in the form of the Hugging Face hub; `kept` is the kept epoch's row of the history."""
    model, objective = settings.model, settings.objective.model_dump()
    rule = settings.training.keep_epoch
    scores = {metric: kept[f"selection_{metric}"] for metric in (*task.metrics, "nll")}
    data = ModelCardData(
        model_name=str(run),
        base_model=model.name if model.source == "hub" else None,
        library_name="transformers",
        pipeline_tag=PIPELINE,
        eval_results=[
            EvalResult(PIPELINE, task.name, task.name, metric, score, dataset_split="selection")
            for metric, score in scores.items()
        ],
    )
    text = TEXT.format(
        run=run,
        task=task.name,
        labels=", ".join(task.label_names),
        base=model.name if model.source != "folder" else Path(model.name).name,
        layers="" if model.layers is None else f", layers {', '.join(map(str, model.layers))}",
        lora=_lora(model),
        example=EXAMPLES[len(task.train.texts[0])],
        max_length=settings.training.max_length,
        rows=settings.training.learnt_of(len(task.train)),
        selection_rows=len(task.selection),
        objective=", ".join(f"{key} {value}" for key, value in objective.items() if value or key in SAID_AT_0),
        epoch=int(kept["epoch"]),
        which=WHICH[rule],
        chosen=", which chose the epoch" if rule != "last" else "",
        epochs=settings.training.all_epochs,
        data_licence=data_licence,
        base_licence=licence_of_model(model.name) if model.source == "pypi" else "see the base model's card",
    )
    return ModelCard(f"---\n{data.to_yaml()}\n---\n{text}")


def _lora(model: ModelSource) -> str:
    """The end of the sentence about the base model: LoRA, if there is any."""
    if model.lora is None:
        return ""
    rounded = ", trained over the base model in bfloat16" if model.dtype == "bf16" else ""
    return ", with LoRA, merged" + ("" if model.layers else f"; the adapter alone is in `adapter/`{rounded}")
