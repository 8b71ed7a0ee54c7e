"""Simulated studies: how often intervals hold the truth, and how often claims hold with and without an effect.

`tests/fixtures/simulations` has what `make intervals` printed: `python -m src.study.simulations.NAME > NAME.md`.
"""

import sys

import pytest

from src.study.simulations import departures
from src.study.simulations.departures import CLUSTER_SIZES, coverage_with_clusters, coverage_with_failures
from src.study.simulations.many_claims import ANY, FIRM, HOLM, ONE, luck
from src.study.simulations.simulation import METRICS, ONE_ARM, Setting, coverage, verdicts
from tests.conftest import REPOSITORY


@pytest.mark.parametrize(("seeds", "row_spread", "widest"), [(5, 0.0, 1.6), (10, 0.0, 1.4), (5, 1.0, 1.5)])
def test_intervals_hold_the_truth_as_often_as_they_promise(seeds, row_spread, widest):
    """Short form of `make intervals`: 120 studies of 300 rows, in which 95 % +- 2 % are expected."""
    found = coverage(Setting(300, seeds, 0.15, row_spread), 120)
    assert found["metric"].tolist() == [*METRICS, ONE_ARM]
    assert found["coverage"].between(0.89, 1.0).all()
    assert found["width"].between(0.9, widest).all()


def test_intervals_over_clusters_hold_the_truth_where_those_over_rows_do_not():
    """Short form of `make intervals`: 150 studies."""
    setting = Setting(300, 10, 0.15, row_spread=1.0, cluster_sizes=CLUSTER_SIZES)
    found = coverage_with_clusters(setting, 150).set_index("metric")["coverage"]
    assert found["accuracy, clusters"] > 0.9 > found["accuracy, rows"]


def test_where_runs_of_one_arm_fail_intervals_hold_the_truth_too_seldom():
    found = coverage_with_failures(Setting(300, 5, 0.15, margin=2.06, failures=0.1), 150)
    assert found["coverage"].between(0.6, 0.85).all()


@pytest.mark.slow
def test_without_an_effect_a_claim_rarely_holds():
    """400 studies of two tasks, 200 rows and five seeds; 2.5 % are expected, 5 % allowed."""
    shares = verdicts(Setting(200, 5, 0.15), tasks=2, effect=0.0, studies=400)
    assert shares["holds"] <= 0.05
    assert shares["opposite"] <= 0.05
    assert shares["cannot be told at this size"] > 0.7  # so few rows tell nothing


def test_a_large_effect_holds_as_a_rule():
    """Some 10 points of accuracy."""
    setting = Setting(200, 5, 0.15)
    assert Setting(200, 5, 0.15, margin=1.6).accuracy - setting.accuracy == pytest.approx(0.096, abs=0.001)
    assert verdicts(setting, tasks=2, effect=0.6, studies=100)["holds"] >= 0.8


def test_without_an_effect_some_claim_of_seven_holds_more_often_than_one():
    """20 studies of eight tasks; docs/protocol.md has the figures of more."""
    found = luck(studies=20)
    assert 0 <= found[ONE] <= found[ANY] <= 0.4
    assert found[FIRM] <= found[ANY]
    assert found[HOLM] <= 0.3


def printed(name: str) -> list[str]:
    """The lines of tables that a module of simulations printed."""
    lines = (REPOSITORY / f"tests/fixtures/simulations/{name}.md").read_text().splitlines()
    return [line for line in lines if line.startswith("|")]


@pytest.mark.parametrize(
    ("name", "page", "rows"),
    [
        ("departures", "docs/coverage.md", 8),
        ("simulated_folds", "docs/coverage.md", 18),
        ("many_claims", "docs/protocol.md", 4),
    ],
)
def test_pages_have_the_tables_that_simulations_printed(name, page, rows):
    lines = printed(name)
    told = (REPOSITORY / page).read_text()
    assert len([line for line in lines if any(digit.isdigit() for digit in line)]) == rows
    assert [line for line in lines if f"\n{line}\n" not in told] == []


@pytest.mark.slow
def test_a_simulation_prints_the_same_again(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["departures"])
    departures.main()
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")] == printed("departures")
