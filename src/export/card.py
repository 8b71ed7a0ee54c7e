"""The card of an exported model: its origin, from its run's card, then its scores and how to use the folder."""

from huggingface_hub import EvalResult, ModelCard

from src.core.models.model_card import PIPELINE
from src.data.prepared import PreparedTask
from src.export.checking import FLOAT, Checked
from src.export.graph import OPSET
from src.kept_models import KeptModel, kept_folder
from src.repository.committed import commit
from src.runs import RunName

TEXTS = {1: '["a text", "another text"]', 2: '[("the first text", "the second"), ("another", "its second")]'}
VALUES = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
TEXT = """
| in this folder | |
|---|---|
{scores}
| largest difference from torch on these rows | logits {logits_apart:.1e}, h {h_apart:.1e} |
| arm, seed | {arm}, {seed} |
| commit of the settings | {commit} |
| labels, in the order of the logits | {labels} |
| max_length | `tokenizer.json` cuts texts to {max_length} tokens |
| inputs, (batch, length), int64 | {inputs} |
| outputs, float32 | logits (batch, labels), and h (batch, d), the input of the head |
| opset | {opset} |

It needs onnxruntime and tokenizers, and no torch:

```python
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("path/to/this/folder/tokenizer.json")
session = onnxruntime.InferenceSession("path/to/this/folder/{file}")
rows = tokenizer.encode_batch({texts})
inputs = {{
{values}
}}
logits, h = session.run(["logits", "h"], inputs)
```
"""


def onnx_card(run: RunName, kept: KeptModel, task: PreparedTask, inputs: list[str], checked: Checked) -> ModelCard:
    """A card in the form of the Hugging Face hub; `inputs` are the names of the graph's inputs."""
    card = ModelCard.load(kept_folder(run) / "README.md")
    of_test = EvalResult(PIPELINE, run.task, run.task, checked.metric, checked.scores[FLOAT], dataset_split="test")
    card.data.library_name = "onnx"
    card.data.eval_results = [*(card.data.eval_results or ()), of_test]
    card.text = _making(card.text) + _use(run, kept, task, inputs, checked)
    return card


def _making(text: str) -> str:
    """A run's card up to the end of its table. The rest is about the run's own folder."""
    lines = text.splitlines()
    last = max(number for number, line in enumerate(lines) if line.startswith("|"))
    return "\n".join(lines[: last + 1]) + "\n"


def _use(run: RunName, kept: KeptModel, task: PreparedTask, inputs: list[str], checked: Checked) -> str:
    name = f"{checked.metric} on test, {checked.rows} rows"
    return TEXT.format(
        scores="\n".join(f"| {name}: `{file}` | {score:.4f} |" for file, score in checked.scores.items()),
        logits_apart=checked.logits_apart,
        h_apart=checked.h_apart,
        arm=run.arm,
        seed=run.seed,
        commit=commit(),
        labels=", ".join(name.replace("|", r"\|") for name in task.label_names),  # a | would end the cell
        max_length=kept.max_length,
        inputs=", ".join(inputs),
        opset=OPSET,
        file=FLOAT,
        texts=TEXTS[len(task.train.texts[0])],
        values="\n".join(f'    "{name}": np.array([row.{VALUES[name]} for row in rows]),' for name in inputs),
    )
