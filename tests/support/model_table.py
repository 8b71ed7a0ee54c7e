"""A pytest plugin: writes which kinds of models work (`pytest --model-table=FILE tests/unit/test_all_models.py`)."""

from pathlib import Path

import pytest
import transformers

HEAD = """# Kinds of models

`make models` tests every kind of model that `AutoModelForSequenceClassification` of transformers {version} knows, and
writes this page. {served} of {all} kinds work and {refused} are refused. The test uses a small model with random
weights and the default settings of its config, on a CPU. Other settings can give another pooling, and so another h.

A kind works if all of these hold:

- h is all that enters the head.
- Padding changes nothing.
- A step against CMI in feature space moves h.
- A saved folder loads again as the same model.
- A new head can be drawn.

The last column of the first table says whether a student can be made from some of the layers. If so, it computes the
same as the whole model without the other layers, and a saved student loads again as the same model. Any other model is
refused in one line when it is loaded.
"""
VECTORS = {
    "whole": "the pooler's output",
    "first_token": "the first token's state",
    "last_token": "the state of the last token that is not padding",
    "mean_of_tokens": "the mean of the tokens' states",
}


class ModelTable:
    """Gathers what the tests of all kinds record with `record_property`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kinds: dict[str, dict[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in one passed test."""
        found = dict(report.user_properties)
        if report.when == "call" and report.passed and "model" in found:
            self.kinds[found["model"]] = found

    def pytest_sessionfinish(self) -> None:
        """Write the tables."""
        served = {kind: found for kind, found in self.kinds.items() if "h" in found}
        refused = {kind: found for kind, found in self.kinds.items() if "refused" in found}
        counts = {"all": len(self.kinds), "served": len(served), "refused": len(refused)}
        parts = [HEAD.format(**counts, version=transformers.__version__)]
        parts.append("\n## Kinds that work\n\n| kind | h | student from some layers |\n|---|---|---|\n")
        for kind, found in served.items():
            cut = f"no: {found['uncut']}" if "uncut" in found else "yes"
            parts.append(f"| `{kind}` | {VECTORS[found['h']]} | {cut} |\n")
        parts.append("\n## Kinds that are refused\n\n| kind | why |\n|---|---|\n")
        parts += [f"| `{kind}` | {found['refused']} |\n" for kind, found in refused.items()]
        self.path.write_text("".join(parts), encoding="utf-8")
