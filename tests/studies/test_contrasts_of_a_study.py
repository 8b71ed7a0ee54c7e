"""Contrasts of a finished study: in its verdicts, report, picture and audit."""

import io
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest

import stages.collect
import stages.evaluate
from src.audit.verdicts import both_verdicts
from src.params import load_params
from src.study.drawing.claims_figure import draw_claims
from src.study.drawing.study_results import load_results
from src.study.records.scores import measured_task
from src.study.records.task_records import load_records
from src.study.report.report import chart_specs, write_report
from src.study.statistics.row_values import holm
from src.system.files import read_json
from tests.support.synthetic_study import make_study

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


def test_an_audit_judges_contrasts_too(evaluated):
    params, records = load_params(), load_records("made", "one")
    as_recorded = records, measured_task(records, params.evaluate.ece_bins)
    found = both_verdicts(params, as_recorded, as_recorded)
    claims = [(claim["name"], claim["verdict"]) for claim in evaluated[0]["claims"]]
    assert [(one["claim"], one["redone"]["verdict"]) for one in found] == claims
