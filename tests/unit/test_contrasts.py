"""Contrasts: pooled effects and interactions over several pairs of arms, by the intervals and the rule of claims."""

import io
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import yaml

import stages.collect
import stages.evaluate
from src.audit.verdicts import both_verdicts
from src.errors import UserError
from src.files import read_json
from src.params import Claim, Contrast, load_params
from src.study.claims import judged
from src.study.claims_figure import draw_claims
from src.study.clusters import clustered
from src.study.contrasts import claim_of, judged_contrast
from src.study.intervals import Estimate, RunValues, mean_over_seeds, mean_over_seeds_and_rows, products_of
from src.study.measuring import MeasuredTask, measured_task
from src.study.pairs import pairs_to_compare
from src.study.records import load_records
from src.study.report import chart_specs, write_report
from src.study.results import load_results
from src.study.statistics import holm
from src.study.summary import ComparedTask, comparisons_table
from tests.conftest import params_content
from tests.support.synthetic_study import make_study

SEEDS, ROWS = 6, 200
OF_CLAIMS = {"statement", "role", "direction", "metric", "worthwhile"}
ARMS = ("ce_6", "ce_8", "ce_12", "min_6", "min_8", "min_12")
PAIRS = [["min_6", "ce_6"], ["min_8", "ce_8"], ["min_12", "ce_12"]]


def contrast(combine: str = "mean", **more) -> Contrast:
    pairs = PAIRS if combine == "mean" else [PAIRS[0], PAIRS[-1]]
    asked = {"statement": "Some is better", "role": "teacher", "pairs": pairs, "combine": combine}
    return Contrast.model_validate(asked | {"direction": "higher", "worthwhile": 0.01} | more)


def tables(*gains: float, noise: float = 0.02) -> dict[str, np.ndarray]:
    """Values (S, N) of each arm in each row. Arms share effects of seeds and rows; gains are exact."""
    generator = np.random.default_rng(0)
    shared = 0.5 + generator.normal(0, 0.3, (SEEDS, 1)) + generator.normal(0, 0.3, (1, ROWS))
    own = generator.normal(0, noise, (len(ARMS), SEEDS, ROWS))
    own += np.array([0, 0, 0, *gains])[:, None, None] - own.mean(axis=(1, 2), keepdims=True)
    return {arm: shared + values for arm, values in zip(ARMS, own, strict=True)}


CLUSTERS = np.minimum(np.arange(ROWS) // 3, 40)  # the last has 80 rows


def compared(values: dict[str, np.ndarray], form: str = "rows") -> ComparedTask:
    """A task of these arms, with the values of rows, their products, the values of clusters, or those of runs alone."""
    of_rows = np.concatenate(list(values.values()))
    of_runs = of_rows.mean(axis=1)
    of_clusters, number = clustered(of_rows, CLUSTERS)
    found = {
        "rows": RunValues(of_runs, of_rows),
        "products": RunValues(of_runs, products=products_of(of_rows), rows=ROWS),
        "clusters": RunValues(of_runs, of_clusters, rows=number),
        "runs": RunValues(of_runs),
    }[form]
    lines = {("teacher", arm): [*range(n * SEEDS, (n + 1) * SEEDS)] for n, arm in enumerate(values)}
    return ComparedTask(MeasuredTask("t", "accuracy", pd.DataFrame(), {"accuracy": found}), lines)


@pytest.mark.parametrize("form", ["rows", "products", "clusters", "runs"])
@pytest.mark.parametrize("combine", ["mean", "change"])
def test_a_contrast_is_the_interval_of_the_combined_table(combine, form):
    """The table of each pair's differences, combined cell by cell and judged as one table."""
    values = tables(0.01, 0.02, 0.06)
    first, second, third = (values[arm] - values[against] for arm, against in PAIRS)
    by_hand = (first + second + third) / 3 if combine == "mean" else third - first
    expected = _estimate_of(by_hand, form)
    found = judged_contrast("some", contrast(combine), {"t": compared(values, form)}, 0.95)
    low, high = expected.interval(0.95)
    assert (found["difference"], found["low"], found["high"]) == pytest.approx((expected.mean, low, high), abs=1e-9)
    assert found["verdict"] == "holds"


def _estimate_of(table: np.ndarray, form: str) -> Estimate:
    means = table.mean(axis=1)
    if form == "runs":
        return mean_over_seeds(means)
    if form == "clusters":
        of_clusters, number = clustered(table, CLUSTERS)
        return mean_over_seeds_and_rows(means, products_of(of_clusters), number)
    return mean_over_seeds_and_rows(means, products_of(table), ROWS)


def test_what_arms_of_a_seed_share_cancels():
    """Seeds and rows that differ by 0.3 leave the interval of a difference of 0.02 a width of 0.002."""
    found = judged_contrast("some", contrast(), {"t": compared(tables(0.02, 0.02, 0.02))}, 0.95)
    assert found["low"] == pytest.approx(0.02, abs=0.002)
    assert found["high"] - found["low"] < 0.005


def test_that_only_the_longer_ones_hold_is_no_interaction():
    """Each pair alone, then both contrasts: the gains may all be one."""
    task, verdicts = compared(tables(0.012, 0.024, 0.024, noise=0.2)), []
    claim = Claim(family="min_6", against="ce_6", **contrast().model_dump(include=OF_CLAIMS))
    for arm, against in PAIRS:
        pair = claim.model_copy(update={"family": arm, "against": against})
        table = comparisons_table([task], [("teacher", arm, against)], 0.95)
        verdicts.append(judged("some", pair, table, {"t": task}, 0.95)["verdict"])
    assert verdicts == ["cannot be told at this size", "holds", "holds"]
    assert judged_contrast("some", contrast(), {"t": task}, 0.95)["verdict"] == "holds"
    assert judged_contrast("some", contrast("change"), {"t": task}, 0.95)["verdict"] == "cannot be told at this size"


def test_the_sides_are_named_as_what_they_are():
    assert claim_of(contrast()).family == "mean of (min_6 + min_8 + min_12)"
    change = claim_of(contrast("change"))
    assert (change.family, change.against) == ("(min_12 + ce_6)", "(ce_12 + min_6)")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"pairs": [["cmi_min", "ce"], ["cmi_mix", "ce"]]},
            r"contrasts\.some: unknown teacher arm or family 'cmi_mix'",
        ),
        ({"pairs": [["ce", "ce"], ["cmi_min", "ce"]]}, r"contrasts\.some\.pairs: .* a pair should be of two arms"),
        ({"pairs": [["cmi_min", "ce"]]}, r"contrasts\.some\.pairs: not acceptable"),
        ({"pairs": [["cmi_min", "ce"]] * 2}, r"contrasts\.some\.pairs: .* each pair may be named once"),
        ({"pairs": [["cmi_min", "ce"], ["ce", "cmi_min"]]}, r"contrasts\.some\.pairs: .* each pair may be named once"),
        (
            {"pairs": [["cmi_min", "ce"], ["cmi_max", "ce"], ["cmi_max", "cmi_min"]], "combine": "change"},
            r"contrasts\.some: .*combine change takes two pairs",
        ),
        ({"pairs": [["cmi_min", "ce", "ce"], ["ce", "cmi_min"]]}, r"contrasts\.some\.pairs\.0: not acceptable"),
        ({"combine": "sum"}, r"contrasts\.some\.combine: .* it should be 'mean' or 'change'"),
    ],
)
def test_a_faulty_contrast_is_refused(tmp_path, change, told):
    asked = contrast(pairs=[["cmi_min", "ce"], ["cmi_max", "ce"]]).model_dump() | change
    content = params_content()
    content["evaluate"]["contrasts"] = {"some": asked}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=told):
        pairs_to_compare(load_params(path))


PAIR = {"statement": "Some is better", "role": "teacher", "direction": "higher", "worthwhile": 0.01}
POOLED = PAIR | {"statement": "All are better", "pairs": [["b", "a"], ["d", "c"]], "combine": "mean"}
EVALUATE = {
    "claims": {"first": PAIR | {"family": "b", "against": "a"}, "second": PAIR | {"family": "d", "against": "c"}},
    "contrasts": {"pooled": POOLED, "change": POOLED | {"combine": "change"}},
}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory) -> Iterator[tuple[dict[str, Any], str]]:
    """A study of two claims and two contrasts in the current folder: its claims.json, and what `evaluate` prints."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        patch.chdir(tmp_path_factory.mktemp("study"))
        make_study(["no", "yes"], ["a", "b", "c", "d"], seeds=5, tasks=["one", "two"], evaluate=EVALUATE)
        for module, *arguments in (
            (stages.collect, "--task", "one"),
            (stages.collect, "--task", "two"),
            (stages.evaluate,),
        ):
            patch.setattr(sys, "argv", ["stage", *arguments])
            module.main()
        yield read_json(Path("metrics/made/claims.json")), printed.getvalue()


@pytest.mark.study
def test_contrasts_stand_with_the_claims(evaluated):
    """After them and marked, each with its numbers per task, in the headline and in one correction for all."""
    content, out = evaluated
    found = {claim["name"]: claim for claim in content["claims"]}
    assert [(name, claim.get("contrast")) for name, claim in found.items()] == [
        ("first", None),
        ("second", None),
        ("pooled", {"pairs": POOLED["pairs"], "combine": "mean"}),
        ("change", {"pairs": POOLED["pairs"], "combine": "change"}),
    ]
    of_tasks = [{row["task"]: row["difference"] for row in claim["tasks"]} for claim in found.values()]
    first, second, pooled, change = (pd.Series(own) for own in of_tasks)
    assert pooled.to_dict() == pytest.approx(((first + second) / 2).to_dict(), abs=1e-7)
    assert change.to_dict() == pytest.approx((second - first).to_dict(), abs=1e-7)
    assert [rest["task"] for rest in found["pooled"]["without"]] == ["one", "two"]
    corrected = holm([claim["p"] for claim in found.values()])
    assert [claim["p_holm"] for claim in found.values()] == pytest.approx(corrected, abs=4e-6)
    assert content["pooled"] == pytest.approx(found["pooled"]["difference"], abs=5e-4)
    assert content["change_verdict"] == found["change"]["verdict"]
    assert f"\nContrast: All are better: {found['pooled']['verdict']} (" in out
    assert "\n  mean of (b + d) minus mean of (a + c): " in out


@pytest.mark.study
def test_report_and_picture_show_contrasts_too(evaluated, tmp_path):
    results = load_results(load_params())
    write_report(tmp_path / "report.html", results)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.search(r"<h3[^>]*>Contrast: All are better: <span", page)
    assert {f"claim-{name}" for name in ("first", "second", "pooled", "change")} < {*chart_specs(results)}
    assert page.count("<summary>How far CMI moved</summary>") == 2  # of the claims
    assert results.tables.moved["claim"].unique().tolist() == ["first", "second"]
    draw_claims(results.claims, tmp_path / "all.png")
    draw_claims(results.claims[:2], tmp_path / "two.png")
    all_four, two = (plt.imread(tmp_path / name).shape[1] for name in ("all.png", "two.png"))
    assert all_four == 2 * two  # a panel each


@pytest.mark.study
def test_an_audit_judges_contrasts_too(evaluated):
    params, records = load_params(), load_records("made", "one")
    as_recorded = records, measured_task(records, params.evaluate.ece_bins)
    found = both_verdicts(params, as_recorded, as_recorded)
    claims = [(claim["name"], claim["verdict"]) for claim in evaluated[0]["claims"]]
    assert [(one["claim"], one["redone"]["verdict"]) for one in found] == claims
