"""Figures and report where the user's matplotlib, address space or browser is not as usual, or all values are equal."""

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import vl_convert

import stages.collect
import stages.evaluate
import stages.plot
from src.params import load_params
from src.runs import RUNS_FOLDER
from src.study.drawing.study_results import load_results
from src.study.report import charts
from src.study.report.report import chart_specs
from src.system.files import read_csv, write_csv
from tests.conftest import REPOSITORY
from tests.support.repository import digests
from tests.support.synthetic_study import CLAIM, make_study, predict_one_label

KIND = "Figures and report"
RC = """
font.family: serif
font.size: 17
figure.dpi: 300
savefig.dpi: 55
savefig.bbox: tight
savefig.facecolor: pink
axes.facecolor: black
axes.grid: True
lines.linewidth: 5
text.usetex: True
"""
PLOT = "import stages.plot; stages.plot.main()"
LITTLE_SPACE = f"import resource; resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33)); {PLOT}"


@pytest.fixture(scope="module")
def plotted(tmp_path_factory) -> Path:
    """The folder of a plotted study, whose runs all predict one label and score 0.1667 on selection."""
    folder = tmp_path_factory.mktemp("plotted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_study(["a", "b", "c"], seeds=2, evaluate={"claims": {"better": CLAIM}})
        predict_one_label("tiny", "*")
        for path in Path(RUNS_FOLDER).rglob("history.csv"):
            write_csv(path, read_csv(path).assign(selection_accuracy=0.1667))
        for module, arguments in ((stages.collect, ["--task", "tiny"]), (stages.evaluate, []), (stages.plot, [])):
            patch.setattr(sys, "argv", ["stage", *arguments])
            module.main()
    return folder


def plots_again(folder: Path, code: str, **environment: str) -> bool:
    """Whether a process that plots the study once more writes the same bytes."""
    own = os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment
    before = digests(folder, "plots")
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=own, check=True, capture_output=True)
    return digests(folder, "plots") == before


def test_the_users_matplotlib(plotted, record_fault):
    rc = plotted / "matplotlibrc"
    rc.write_text(RC)
    try:
        assert plots_again(plotted, PLOT, MPLBACKEND="nosuch")
    finally:
        rc.unlink()
    fault = "a matplotlibrc with other fonts, sizes, colours and `text.usetex`; `MPLBACKEND=nosuch`"
    record_fault(KIND, fault, "the same figures, to the byte")


@pytest.mark.slow
def test_little_address_space(plotted, record_fault):
    """V8 alone would ask for 64 GiB."""
    assert plots_again(plotted, LITTLE_SPACE)
    record_fault(KIND, "`plot` with 8 GiB of address space (`ulimit -v`)", "the same figures and report, to the byte")


@pytest.mark.parametrize(("chart", "value"), [("epochs", "0.1667"), ("cmi", "0.25")])
def test_values_that_are_all_equal(plotted, monkeypatch, record_fault, chart, value):
    monkeypatch.chdir(plotted)
    spec = chart_specs(load_results(load_params()))[chart] | {"width": 400}
    version = charts.alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    assert f">{value}</text>" in vl_convert.vegalite_to_svg(spec, vl_version=version)
    record_fault(KIND, f"values that are all equal, in the chart `{chart}` of the report", f"the axis says {value}")


class Pictures(HTMLParser):
    """The pictures in each chart's place, by its id."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        own = dict(attributes)
        if own.get("class") == "chart":
            self.found[str(own["id"])] = []
        elif self.found and (name := str(own.get("src") or own.get("href"))).endswith(".png"):
            [*self.found.values()][-1].append(name)


def test_a_browser_without_scripts(plotted, record_fault):
    """What a policy that forbids scripts leaves too, and there `<noscript>` would show nothing."""
    plots = plotted / "plots/made"
    page = Pictures()
    page.feed((plots / "report.html").read_text(encoding="utf-8").split("<h2>tiny</h2>")[0])
    expected = {"claim-better": "claims", "scores": "tiny-scores", "cmi": "tiny-cmi_and_score", "epochs": "tiny-epochs"}
    assert page.found == {chart: [f"{name}.png"] for chart, name in expected.items()}
    assert all((plots / name).is_file() for names in page.found.values() for name in names)
    record_fault(KIND, "the report in a browser without scripts", "pictures stand in for the charts")
