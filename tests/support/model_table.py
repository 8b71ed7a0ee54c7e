"""A pytest plugin: lists the kinds of models that work (`pytest --model-table=FILE tests/unit/test_all_models.py`)."""

from pathlib import Path

import pytest
import transformers

HEAD = """# Kinds of models

Written by `make models` from its test run, not by hand. Of the {all} kinds that `AutoModelForSequenceClassification` of
transformers {version} knows, {served} serve and {refused} are refused: with the default settings of their configs (one
can ask for another pooling, and so for another h), and on a CPU.

To serve means, for a small model with random weights: h is all that enters the head, padding changes nothing, a step
against CMI in feature space moves h, a saved folder loads again as the same model, and a new head can be drawn. Layers
can be left out where it says yes: the student is the whole model with the other layers passed by, and what it saves
loads again as the same student. No other model is trained; it is refused in one line when it is loaded.
"""
VECTORS = {
    "whole": "the pooler's output",
    "first_token": "the first token's state",
    "last_token": "the state of the last token that is not padding",
    "mean_of_tokens": "the mean of the tokens' states",
}


class ModelTable:
    """Collects the properties that the tests of all kinds record with `record_property`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kinds: dict[str, dict[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the kind of a passed test."""
        found = dict(report.user_properties)
        if report.when == "call" and report.passed and "model" in found:
            self.kinds[found["model"]] = found

    def pytest_sessionfinish(self) -> None:
        """Write the tables."""
        served = {kind: found for kind, found in self.kinds.items() if "h" in found}
        refused = {kind: found for kind, found in self.kinds.items() if "refused" in found}
        counts = {"all": len(self.kinds), "served": len(served), "refused": len(refused)}
        parts = [HEAD.format(**counts, version=transformers.__version__)]
        parts.append("\n## They serve\n\n| kind | h | layers can be left out |\n|---|---|---|\n")
        for kind, found in served.items():
            cut = f"no: {found['uncut']}" if "uncut" in found else "yes"
            parts.append(f"| `{kind}` | {VECTORS[found['h']]} | {cut} |\n")
        parts.append("\n## They are refused\n\n| kind | why |\n|---|---|\n")
        parts += [f"| `{kind}` | {found['refused']} |\n" for kind, found in refused.items()]
        self.path.write_text("".join(parts), encoding="utf-8")
