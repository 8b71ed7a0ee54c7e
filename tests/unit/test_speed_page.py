"""The figures of docs/speed-measurements.md and docs/controls.md are those of the files in benchmarks/."""

import json

import pytest

from benchmarks.cmi import RIVALS
from tests.support.repository import REPOSITORY

TASK, PRODUCTS, SHARE = "fine-tuning vader-movie", "matrix products alone / our step, vader-movie", "share of a step"
STEPS = ("", ", bf16", ", MPNet, bf16")  # MiniLM in float32, in bf16, and MPNet in bf16
AMX = "AMX: "  # before the names of figures from results-amx.json


def with_amx(name: str, end: str) -> list[str]:
    """A figure of MiniLM in bf16 without and with AMX, then the same of MPNet."""
    return [f"{machine}{name}{of}{end}" for of in STEPS[1:] for machine in ("", AMX)]


# The beginning of a line of a table, a format, and the figures that the line has in this order.
LINES = {
    "examples/s, vader-movie: over `Trainer` with run_glue's": ("{:.1f} x", [f"{TASK}: ours / Trainer, defaults"]),
    "examples/s, vader-movie: over `Trainer` at its best": ("{:.2f} x", [f"{TASK}: ours / Trainer, best"]),
    "examples/s, RTE": (
        "{:.2f} x",
        [f"fine-tuning glue-rte: ours / Trainer, {which}" for which in ("defaults", "best")],
    ),
    "matrix products alone": ("{:.0f} %", [PRODUCTS]),
    "distillation epoch": ("{:.2f} x", ["KD epoch: ours / online teacher, Trainer, best"]),
    "the same: over our own loop": ("{:.2f} x", ["KD epoch: ours / online teacher, our loop"]),
    "tokenisation": ("{:.1f} %", ["tokenisation and batching / training time"]),
    "stage start": ("{:.1f} s", ["stage start to first step"]),
    "memory of 67,000 rows": ("{:.0f} MB", ["scaling: memory of 67000 rows over 1000"]),
    "one checkpoint": ("{:.1f} %", ["checkpoint / interval of 300 s"]),
    "their time, as % of our step": ("{:.0f}", [PRODUCTS + of for of in STEPS]),
    "their rate, as % of a large": (
        "{:.0f}",
        [f"rate of our step's products / a large product's{of}" for of in STEPS],
    ),
    "training, bf16 / fp32": ("{:.2f} x", with_amx(TASK, ": ours / ours, fp32")),
    "predicting, bf16 / fp32": ("{:.2f} x", with_amx("predicting vader-movie", ": ours / ours, fp32")),
    "training / `Trainer` in bf16 at": ("{:.2f} x", with_amx(TASK, ": ours / Trainer, best")),
    "products alone / a step": ("{:.0f} %", with_amx(PRODUCTS, "")),
    "training / `Trainer` in bf16 with": (
        "{:.2f} x",
        [f"{AMX}{TASK}{of}: ours / Trainer, defaults" for of in STEPS[1:]],
    ),
}
KINDS = ["products of linear layers", "products of attention", "copies and zeros", "casts between types", "GELU"]
KINDS += ["AdamW, norm of the gradient", "softmax of attention, masks", "random numbers of dropout", "layer norm"]
KINDS += ["everything else"]
LINES |= {kind.split(",")[0]: ("{:.1f}", [f"{SHARE}{of}: {kind}" for of in STEPS]) for kind in KINDS}
GAINS = {
    "batches of similar length": "batches of similar length",
    "the last layer for": "the last layer for the first token alone",
    "cheaper random numbers": "dropout's cheaper random numbers",
    "embeddings in use only": "embeddings in use only",
    "memory kept between": "memory kept, huge pages",
    "masks of dropout without": "dropout's masks without booleans",
}
LINES |= {line: ("{:.2f} x", [f"speed gained{of} by: {name}" for of in STEPS[:2]]) for line, name in GAINS.items()}


@pytest.fixture(scope="module")
def figures() -> dict[str, float]:
    return {
        before + figure["name"]: figure["value"]
        for before, file in (("", "results.json"), (AMX, "results-amx.json"))
        for figure in json.loads((REPOSITORY / "benchmarks" / file).read_text())["figures"]
    }


@pytest.fixture(scope="module")
def page() -> str:
    return (REPOSITORY / "docs/speed-measurements.md").read_text()


@pytest.mark.parametrize("start", LINES)
def test_a_line_of_a_table_has_its_figures(start, figures, page):
    form, names = LINES[start]
    lines = [line for line in page.splitlines() if line.startswith(f"| {start}")]
    told = [form.format(figures[name]) for name in names]
    assert any(_has(line, told) for line in lines), f"{told} in none of {lines}"


def _has(line: str, told: list[str]) -> bool:
    """Whether a line has these texts, in this order."""
    for text in told:
        _, found, line = line.partition(text)
        if not found:
            return False
    return True


def test_the_short_page_says_what_emulated_bf16_gains():
    content = json.loads((REPOSITORY / "benchmarks/results-emulation.json").read_text())
    page = " ".join((REPOSITORY / "docs/speed.md").read_text().split())
    for figure, digits in zip(content["figures"][-2:], (1, 2), strict=True):
        told = [f"{value:.{digits}f}" for value in (figure["value"], min(figure["rounds"]), max(figure["rounds"]))]
        assert "{} x ({} to {})".format(*told) in page
    assert f"commit {content['commit']}," in page


@pytest.mark.parametrize(("file", "after"), [("results.json", ", "), ("results-amx.json", "\n")])
def test_the_page_names_the_commit_of_its_figures(page, file, after):
    content = json.loads((REPOSITORY / "benchmarks" / file).read_text())
    assert f"commit {content['commit']}{after}" in page


def test_the_page_of_controls_says_what_each_loss_adds_to_a_step():
    figures = json.loads((REPOSITORY / "benchmarks/results-losses.json").read_text())["figures"]
    added = {
        figure["name"]: round(figure["value"], 1) + 0.0 for figure in figures if "over the ce arm" in figure["name"]
    }
    assert {name.rpartition(": ")[2] for name in added} == {*RIVALS}
    told = f"It gave {min(added.values())} to {max(added.values())} %"
    assert max(added.values()) < 3
    assert told in " ".join((REPOSITORY / "docs/controls.md").read_text().split())
