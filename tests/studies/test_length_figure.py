"""The picture of the length of h: its ratios are those of the manipulation check, which computes them by other code."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from src.study.drawing import length_figure
from src.study.drawing.length_figure import CMI, LENGTH, PER_LENGTH, draw_length, gains_of, ratios
from src.study.drawing.study_results import both_ways, load_results
from src.study.named.recorded import recorded_study
from tests.conftest import REPOSITORY


@pytest.fixture
def results(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    return lambda name: load_results(recorded_study(name))


def test_ratios_of_a_fixed_arm_are_those_of_the_manipulation_check(results):
    """Over eight tasks of glue-minilm-fixed: h is 0.72 times as long, CMI 0.39 times, CMI per squared length 0.74."""
    table = ratios(results("glue-minilm-fixed"), "cmi_min", "ce")
    means = np.exp(np.log(table[[LENGTH, CMI, PER_LENGTH]]).mean())
    assert means[LENGTH] == pytest.approx(0.72087644, abs=1e-7)
    assert means[CMI] == pytest.approx(0.38681151, abs=1e-7)
    assert means[PER_LENGTH] == pytest.approx(0.74435092, abs=1e-7)


def test_a_family_stands_for_the_trial_that_was_chosen_on_each_task(results):
    found = results("glue-minilm-choice")
    trials = found.tables.trials
    [chosen] = trials[(trials["task"] == "cola") & (trials["family"] == "cmi_min") & trials["chosen"]]["arm"]
    of_family, of_arm = (ratios(found, name, "ce").set_index("task").loc["cola"] for name in ("cmi_min", chosen))
    assert of_family[LENGTH] == of_arm[LENGTH] != 1
    assert list(gains_of(found).index) == [("cmi_min", "ce")]


def test_a_claim_that_names_the_baseline_first_has_its_gains_turned_round(results):
    found = results("glue-minilm-fixed")
    there = gains_of(found)
    turned = both_ways(found.tables.over_tasks).iloc[len(found.tables.over_tasks) :]
    again = gains_of(replace(found, tables=replace(found.tables, over_tasks=turned)))
    pd.testing.assert_frame_equal(again.loc[there.index], there)


def test_the_picture_has_the_same_bytes_again_and_a_study_without_comparisons_has_none(results, tmp_path):
    found = results("mechanism-pilot")
    for name in ("one.png", "two.png"):
        draw_length(found, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    none = replace(found, tables=replace(found.tables, over_tasks=found.tables.over_tasks.iloc[:0]))
    draw_length(none, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_one_arm_has_axes_with_1_and_another_number(results, tmp_path, monkeypatch):
    """`lowdata` has one teacher arm, so that two panels show one point each: at 1.48, and at 0.96."""
    drawn = []
    monkeypatch.setattr(length_figure, "save", lambda figure, path: drawn.append(figure))
    draw_length(results("lowdata"), tmp_path / "length.png")
    [figure] = drawn
    for axis in figure.axes:
        low, high = axis.get_xlim()
        ticks = [*axis.get_xticks(), *axis.get_xticks(minor=True)]
        assert 0.9 < low < 1 < high < 1.7
        assert sum(low <= tick <= high for tick in ticks) >= 2
    pyplot.close(figure)
