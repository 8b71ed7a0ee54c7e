"""The report: one page, the same bytes for the same results, that needs nothing but a browser."""

import html
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import stages.collect
import stages.evaluate
from src.params import load_params
from src.study.claims.majority import majority_scores, majority_warnings
from src.study.drawing.scales import scale_of
from src.study.drawing.study_results import StudyResults, load_results
from src.study.named.recorded import recorded_study
from src.study.report import dvc_page, report
from src.study.report.origin import origin_of
from src.study.report.report import write_report
from src.study.report.verdict_table import CLASSES, null_first, verdict_table
from tests.conftest import REPOSITORY
from tests.support.synthetic_study import CLAIM, make_study

TASKS = [f"task-{number}" for number in range(8)]
TEACHERS = ["ce", "cmi_min", "min_1", "min_5", "cmi_max"]  # with the students of each, and plain: eleven arms
ODD = 'A <b>bold</b> claim </script><script>document.title = "broken"</script> & one more'
CLAIMS = {"alone": CLAIM | {"statement": ODD}, "raters": CLAIM | {"statement": "Raters", "metric": "macro_f1"}}
FAMILIES = {"teacher": {"cmi": ["min_1", "min_5"]}, "student": {}}
LABELS = ["</script>", "${1}"]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> StudyResults:
    """Of a study of eight tasks, five seeds and eleven arms, in a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("study"))
        make_study(LABELS, TEACHERS, seeds=5, tasks=TASKS, evaluate={"claims": CLAIMS, "families": FAMILIES})
        for module, tasks in ((stages.collect, TASKS), (stages.evaluate, [None])):
            for task in tasks:
                patch.setattr(sys, "argv", ["stage", *(["--task", task] if task else [])])
                module.main()
        found = load_results(load_params())
        write_report(Path("report.html"), found)
        yield found


@pytest.fixture
def page(results) -> str:
    return Path("report.html").read_text(encoding="utf-8")


def test_equal_results_give_equal_bytes(results, page, tmp_path):
    write_report(tmp_path / "again.html", results)
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_eight_tasks_take_less_than_5_mb(page):
    assert len(page.encode()) < 5_000_000


def test_claims_come_first_with_their_verdicts(results, page):
    headings = re.findall(r"<h[23][^>]*>(.*?)</h[23]>", page)
    alone, raters = results.claims
    assert headings[:2] == ["Verdicts", "Claims, one by one"]
    kind = CLASSES[alone["verdict"]]
    assert headings[2].endswith(f'&amp; one more: <span class="verdict {kind}">{alone["verdict"]}</span>')
    assert headings[3] == 'Raters: <span class="verdict untold">cannot be told at this size</span>'
    assert raters["reason"] == "no task is measured in macro_f1"


def test_the_table_of_verdicts_has_differences_in_points_and_intervals_on_one_axis(results, page):
    alone, _ = null_first(results.claims)
    table = verdict_table(results.claims)
    low, high = (tick["at"] for tick in (table["ticks"][0], table["ticks"][-1]))
    own = next(row for row in table["rows"] if row["name"] == "alone")
    assert own["told"] == f"{100 * alone['difference']:+.1f} points"
    assert 0 < low <= own["ends"][0] < own["at"] < own["ends"][1] <= high < 100
    shown = page.split('<table class="verdicts">')[1].split("</table>")[0]
    assert shown.count("<circle") == 1
    assert "not measured" in shown
    assert shown.count("better →") == 2


def test_an_end_of_an_interval_near_0_keeps_its_sign(results):
    alone = results.claims[0] | {"metric": "accuracy", "low": -0.0002, "high": 0.0183}
    assert verdict_table([alone])["rows"][0]["interval"] == "-0.0 to +1.8"
    assert [scale_of("accuracy").told(value) for value in (0.0, -0.0, -0.0004)] == ["+0.0", "+0.0", "-0.0"]


def test_only_what_is_there_is_explained(results, page, tmp_path):
    decides = "The row “mean over tasks” decides the verdict."
    no_interval = "No claim of this study has an interval; the reason of each claim says why."
    assert decides in page
    assert no_interval not in page
    of_one = {name: own[own["task"] == TASKS[0]] for name, own in vars(results.tables).items() if "task" in own}
    records = {TASKS[0]: results.records[TASKS[0]]}
    claims = [results.claims[1]]  # of a metric that no task has
    one = replace(results, records=records, tables=replace(results.tables, **of_one), claims=claims)
    write_report(tmp_path / "one.html", one)
    text = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert decides not in text
    assert no_interval in text


@pytest.mark.parametrize("kind", CLASSES.values())
def test_the_colours_of_verdicts_have_contrast(kind):
    """At least 4.5 to 1 on white (WCAG 2.2, 1.4.3)."""
    style = (Path(report.TEMPLATES) / "style.css.jinja").read_text(encoding="utf-8")
    [colour] = re.findall(rf"^\.{kind} {{ color: #(\w{{6}}); }}", style, re.MULTILINE)
    parts = [int(colour[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    assert 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05) >= 4.5


@pytest.mark.parametrize("study", ["default", "glue-minilm", "mechanism-pilot"])
def test_a_report_says_where_its_study_comes_from(monkeypatch, study):
    monkeypatch.chdir(REPOSITORY)
    origin = origin_of(load_params() if study == "default" else recorded_study(study))
    pages = {
        "default": None,
        "glue-minilm": "studies/glue-minilm/README.md",
        "mechanism-pilot": "studies/mechanism/README.md",
    }
    assert origin.page == pages[study]
    assert (REPOSITORY / "plots" / study / origin.root).resolve() == REPOSITORY
    assert origin.command == ("make repro" if study == "default" else f"make study NAME={study}")


def test_a_claim_says_how_far_cmi_moved(results, page):
    """The study's history has no length of h on train rows."""
    lines = results.tables.moved.query("claim == 'alone' and split == 'test' and measure == 'feature_cmi'")
    ratio, *of_tasks = lines.to_dict("records")
    assert [line["task"] for line in of_tasks] == TASKS
    row = '<td class="text">test</td><td class="text">feature_cmi</td>\n<td>{value:.4f} x</td>'
    assert row.format(**ratio) + "<td>{low:.4f}</td><td>{high:.4f}</td><td>8</td>".format(**ratio) in page
    assert "feature_norm on train rows: not known" in page


def test_the_table_of_a_task_has_the_length_of_h_beside_its_cmi(results, page):
    assert "<th>feature_<wbr>cmi</th><th>feature_<wbr>norm</th></tr>" in page
    arms = results.tables.arms.query("task == 'task-0' and role == 'teacher' and arm == 'cmi_max'").set_index("metric")
    cmi, length = arms.loc[["feature_cmi", "feature_norm"], "mean"]
    assert f"<td>{cmi:.4f}</td><td>{length:.4f}</td></tr>" in page


def test_texts_are_no_markup(page):
    assert "<b>bold" not in page
    assert page.count("</script>") == page.count("<script>") == 2


def test_page_says_what_a_reviewer_asks(results, page):
    """Every family with its trials, the chosen one marked, every seed, the hashes, and how it was made."""
    text = re.sub(r"<[^>]*>", " ", page)
    for task in TASKS:
        [chosen] = results.tables.trials.query(f"task == '{task}' and chosen")["arm"]
        assert f"{chosen} (chosen)" in text
    assert "All are in the results" in re.sub(r"\s+", " ", text)
    assert "The study asks for 440 runs" in text
    for value in results.tables.runs["accuracy"].head(55):
        assert f"{value:.4f}" in text
    for fact in (
        "made by\n make repro .",
        "Once these results are committed,",
        "Licence: none",
        "cmi_weight",
        "Training code, SHA-256",
    ):
        assert fact in text


def test_missing_runs_are_named(results, tmp_path):
    left = results.tables.runs.drop(index=results.tables.runs.index[0])
    write_report(tmp_path / "less.html", replace(results, tables=replace(results.tables, runs=left)))
    assert "missing in the results: task-0/teacher/ce/0." in (tmp_path / "less.html").read_text()


@pytest.mark.parametrize(
    ("metrics", "unit"),
    [
        ([None], "points"),
        (["nll"], "hundredths of a nat"),
        (["nll", None], "points; for a claim in nats, hundredths of a nat"),
        (["brier", "accuracy"], "points; for a Brier score, hundredths"),
    ],
)
def test_the_axis_of_verdicts_names_the_units_that_are_there(results, metrics, unit):
    alone = results.claims[0]
    assert verdict_table([alone | {"metric": metric or alone["metric"]} for metric in metrics])["unit"] == unit


def test_each_run_is_compared_with_the_most_frequent_label_on_its_own_fold():
    """Shares of the majority in the test rows of five folds; their mean is 0.64."""
    tested = [(3, 1), (3, 1), (2, 2), (3, 2), (3, 2)]
    labels = {str(seed): {"a": high, "b": low} for seed, (high, low) in enumerate(tested)}
    train = {"labels": {"a": 30, "b": 20}}
    splits = {seed: {"train": train, "test": {"labels": counts}} for seed, counts in labels.items()}
    description = {"task": "tiny", "folds": 5, "splits": splits, "metrics": ["accuracy"]}
    majority = [high / (high + low) for high, low in tested]
    scores = {"never": majority, "once": [*majority[:2], 0.75, *majority[3:]]}
    runs = [("teacher", arm, seed, score) for arm, own in scores.items() for seed, score in enumerate(own)]
    [line] = majority_warnings(description, pd.DataFrame(runs, columns=["role", "arm", "seed", "accuracy"]))
    assert line == "tiny: no run of teacher never beats the most frequent label of train (accuracy 0.6400 on test)"


def test_the_most_frequent_label_of_train_is_the_baseline():
    """Two of three test rows have it: F1 of label 1, macro F1 and Matthews follow."""
    counts = {"train": {"labels": {"no": 10, "yes": 20}}, "test": {"labels": {"no": 100, "yes": 200}}}
    description = {"splits": counts, "metrics": ["accuracy", "f1", "macro_f1", "matthews", "auc"]}
    assert majority_scores(description) == pytest.approx(
        {"accuracy": 2 / 3, "f1": 0.8, "macro_f1": 0.4, "matthews": 0.0, "auc": 0.5}
    )


def test_the_page_of_dvc_plots_is_that_of_the_pinned_library():
    assert dvc_page.PAGE.read_text(encoding="utf-8") == dvc_page.content()


# A page in a frame, since no window of Chromium is as narrow as a telephone: texts that a chart's edge cuts, and how
# far the page and its tables reach to the right.
FRAME = """<iframe id="frame" style="border: 0; width: WIDTHpx; height: 2000px" src="report.html"></iframe>
<script>addEventListener("load", () => setTimeout(() => {
  const page = document.getElementById("frame").contentDocument, reach = page.documentElement.scrollWidth;
  page.querySelectorAll("details").forEach(one => one.open = true);
  const cut = [...page.querySelectorAll("svg text")].filter(text => {
    const own = text.getBoundingClientRect(), chart = text.closest("svg").getBoundingClientRect();
    return own.width && (own.left < chart.left - 1 || own.right > chart.right + 1 ||
      own.top < chart.top - 1 || own.bottom > chart.bottom + 1);
  }).map(text => text.textContent);
  const wide = [...page.querySelectorAll(".wide")].filter(one => one.scrollWidth > one.clientWidth + 1);
  document.title = JSON.stringify({reach, cut, wide: wide.map(one => one.textContent.slice(0, 80))});
  document.body.innerHTML = page.body.innerHTML;
}, 3000));</script>"""


def browse(page: Path, width: int) -> tuple[str, list[str]]:
    """A page as Chromium draws it without a network: its elements, and what it says on the console itself."""
    command = ["unshare", "--net", "--map-root-user", "chromium", "--headless=new", "--no-sandbox", "--disable-gpu"]
    command += ["--allow-file-access-from-files"]
    command += [f"--window-size={width},2000", "--virtual-time-budget=20000", "--enable-logging=stderr", "--dump-dom"]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line and "file://" in line]


def marks(drawn: str) -> dict[str, int]:
    """How many marks the chart of each id has."""
    parts = re.split(r'<div [^>]*id="([\w-]+)"', drawn)
    groups = re.compile(r'<g class="mark-(?:symbol|rule|line|rect|bar)[^>]*role-mark[^>]*>(.*?)</g>', re.DOTALL)
    return {
        name: sum(found.count("<path") + found.count("<line") for found in groups.findall(part))
        for name, part in zip(parts[1::2], parts[2::2], strict=True)
    }


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")
@pytest.mark.parametrize("width", [1280, 390])
def test_every_chart_is_drawn_without_a_network(page, tmp_path, width):
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(f"<!DOCTYPE html><title></title>{FRAME.replace('WIDTH', str(width))}", encoding="utf-8")
    drawn, console = browse(frame, 1300)
    assert console == []
    found = marks(drawn)
    assert set(found) == {"claim-alone", "scores", "cmi", "epochs"}
    assert min(found.values()) > 0
    seen = json.loads(html.unescape(re.findall(r"<title>(.*?)</title>", drawn)[0]))
    assert seen["cut"] == []
    assert seen["reach"] <= width
    if width == 1280:
        assert seen["wide"] == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")
@pytest.mark.parametrize(("policy", "drawn"), [("script-src 'none'", False), ("script-src 'unsafe-inline'", True)])
def test_a_policy_that_forbids_scripts_leaves_pictures_and_one_that_forbids_eval_charts(page, tmp_path, policy, drawn):
    target = tmp_path / "report.html"
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    target.write_text(page.replace('<meta charset="utf-8">', f'<meta charset="utf-8">{meta}'), encoding="utf-8")
    found, _ = browse(target, 1280)
    assert (min(marks(found).values()) > 0) == drawn
    assert ('src="task-0-scores.png"' not in found.split("<h2>task-0</h2>")[0]) == drawn


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")
def test_the_page_of_dvc_plots_is_drawn_without_a_network(tmp_path):
    chart = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": [{"x": 1, "y": 2}, {"x": 2, "y": 3}]},
        "mark": "point",
        "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}},
    }
    plot = f'<div id="plot"></div><script>vegaEmbed("#plot", {json.dumps(chart)});</script>'
    target = tmp_path / "index.html"
    target.write_text(dvc_page.content().replace("{plot_divs}", plot).replace("{refresh_tag}", ""))
    drawn, console = browse(target, 1280)
    [notice] = console  # of a newer Vega-Lite than DVC's charts ask for
    assert "The input spec uses Vega-Lite v5" in notice
    assert marks(drawn) == {"plot": 2}
