"""From finished runs to tables and figures, through the stages: many classes, arms and seeds, and names of any kind."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

import stages.collect
import stages.evaluate
import stages.plot
from src.study.drawing import figures
from src.study.records.task_records import TaskRecords, load_records
from src.system.files import read_csv, read_json
from tests.conftest import REPOSITORY
from tests.support.synthetic_study import make_study

# ru_maxrss would be no less than what the process that starts this one had.
EVALUATE_AND_TELL_THE_PEAKS = """
import stages.evaluate
def peak():
    return next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
imported = peak()
stages.evaluate.main()
print(imported, peak())
"""


def test_many_classes_are_evaluated_in_little_memory(call, monkeypatch):
    """The classes and test rows of clinc150, and the runs of the default study: below 512 MiB.

    Beyond the imports, which take 290 MB more with torch's CUDA build than with its CPU build.
    """
    labels = [f"label {number}" for number in range(150)]
    sizes = {"rows": {"selection": 200, "test": 5500}}
    make_study(labels, ["ce", "cmi_min", "cmi_max"], **sizes)
    call(stages.collect, "--task", "tiny")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    command = [sys.executable, "-c", EVALUATE_AND_TELL_THE_PEAKS]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    imported, peak = map(int, done.stdout.splitlines()[-1].split())
    assert (peak - imported) * 1024 < 2**29


ODD_NAMES = ["null", "true", "1e5", "007"]  # all of them match the pattern of names; YAML has to have them in quotes


def test_names_that_look_like_values_stay_names(call):
    make_study(["no", "yes"], ODD_NAMES, seeds=1, tasks=["nan"])
    call(stages.collect, "--task", "nan")
    call(stages.evaluate)
    call(stages.plot)
    runs = read_csv(Path("metrics/made/tables/runs.csv"), text=["task", "role", "arm"])
    assert runs["arm"].tolist() == [*ODD_NAMES, "plain", *(f"kd-{arm}" for arm in ODD_NAMES)]
    assert set(runs["task"]) == {"nan"}
    assert list(read_json(Path("metrics/made/summary.json"))["nan"])[:4] == ODD_NAMES
    assert Path("plots/made/data/epochs/nan-teacher-null.csv").is_file()


@pytest.mark.parametrize(
    "settings",
    [
        {"rows": {"selection": 1, "test": 1}, "width": 1, "seeds": 1, "epochs": 1},
        {"evaluate": {"confidence": 0.999999, "ece_bins": 10_000}},
    ],
    ids=["one row, one feature, one seed, one epoch", "extreme settings"],
)
def test_little_is_enough(call, recwarn, settings: dict[str, Any]):
    """Also where a class has no row."""
    make_study(["no", "yes", "perhaps"], **settings)
    call(stages.collect, "--task", "tiny")
    call(stages.evaluate)
    call(stages.plot)
    assert len(list(Path("plots/made").glob("*.png"))) == 7
    assert not [str(warning.message) for warning in recwarn]


def test_a_study_that_keeps_no_features_is_evaluated_without_their_measures(call, monkeypatch):
    """One of its figures is narrow, and a long title is not cut off there."""
    draw = figures.FIGURES["cmi_and_score"][1]
    monkeypatch.setitem(figures.FIGURES, "cmi_and_score", (" ".join(30 * ["title"]), draw))
    make_study(["no", "yes"], feature_rows=0)
    call(stages.collect, "--task", "tiny")
    call(stages.evaluate)
    call(stages.plot)
    plots = Path("plots/made")
    assert "feature_cmi" not in set(read_csv(Path("metrics/made/tables/arms.csv"))["metric"])
    assert list(read_csv(plots / "data/cmi_and_score/tiny.csv"))[:2] == ["class_cmi", "score"]
    assert len(list(plots.glob("*.png"))) == 6
    assert "clusters_feature" not in (plots / "report.html").read_text()
    assert (imread(plots / "tiny-cmi_and_score.png")[:, -3:] == 1).all()


@pytest.fixture
def recorded(call) -> Callable[..., TaskRecords]:
    """Make a study and collect it."""

    def records(labels: list[str], **settings: Any) -> TaskRecords:
        make_study(labels, **settings)
        call(stages.collect, "--task", "tiny")
        return load_records("made", "tiny")

    return records


def ticks(figure: Figure) -> list[str]:
    """The tick labels below the first panel."""
    figure.draw_without_rendering()
    low, high = figure.axes[0].get_xlim()
    return [one.get_text() for one in figure.axes[0].get_xticklabels() if low <= one.get_position()[0] <= high]


def legend(figure: Figure) -> list[str]:
    [found] = [axis.get_legend() for axis in figure.axes if axis.get_legend()]
    return [text.get_text() for text in found.get_texts()]


def test_figures_of_77_classes_show_something(recorded):
    records = recorded([f"label {number}" for number in range(77)], rows={"selection": 20, "test": 600}, seeds=1)
    confusion = figures.draw_confusion(records)
    [image] = confusion.axes[0].images
    assert not confusion.axes[0].texts
    assert ticks(confusion) == ["0", "20", "40", "60"]
    assert image.norm(0.02) > 0.2  # one row in fifty can be seen
    assert len(figures.draw_class_clusters(records).axes) == 5  # one panel an arm
    features = legend(figures.draw_feature_clusters(records))
    assert features[0] == "70 others"
    assert len(features) == 8


@pytest.mark.parametrize(("epochs", "shown"), [(1, ["1"]), (3, ["1", "2", "3"]), (100, [*map(str, range(0, 91, 15))])])
def test_epochs_have_as_many_ticks_as_can_be_read(recorded, epochs, shown):
    assert ticks(figures.draw_epochs(recorded(["no", "yes"], epochs=epochs, seeds=1))) == shown


# Formulas of matplotlib, a name that it would hide, characters that its font lacks, right to left, and no room.
ODD_LABELS = ["$10_$20", "over $20^{", "_", r"100 % \frac", "汉字 😀", "مرحبا", "x" * 49 + "y"]


@pytest.mark.filterwarnings("ignore:Glyph")
def test_labels_are_plotted_as_they_are_written(recorded, call):
    records = recorded(ODD_LABELS, seeds=1)
    call(stages.evaluate)
    call(stages.plot)
    shown = [*ODD_LABELS[:-1], "xxxxxxxxx…xxxxxxxxxy"]
    assert legend(figures.draw_feature_clusters(records)) == shown
    assert ticks(figures.draw_confusion(records)) == shown
    predicted = read_csv(Path("plots/made/data/confusion/tiny-teacher-ce.csv"), text=["label", "prediction"])
    assert set(predicted["label"]) == set(ODD_LABELS)


def test_legends_of_many_arms_lie_beside_the_panels(recorded):
    records = recorded(["no", "yes"], teachers=["ce", *(f"cmi_{number}" for number in range(11))], seeds=1)
    figure = figures.draw_epochs(records)
    figure.draw_without_rendering()
    beside = [axis for axis in figure.axes if axis.get_legend()]
    assert [len(axis.get_legend().get_texts()) for axis in beside] == [12, 13]
    for axis in beside:
        assert axis.get_legend().get_window_extent().x0 >= axis.get_window_extent().x1
