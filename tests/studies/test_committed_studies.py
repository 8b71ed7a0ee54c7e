"""What git keeps of the studies: tables and verdicts follow from the records, and pages say what the verdicts say."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from src.arms import arms_of
from src.audit.table import table
from src.params import MoreSeeds
from src.study.claims.claims import hangs_on, judged
from src.study.claims.claims_in_words import short_verdict
from src.study.claims.tables import compared_task, comparisons_table
from src.study.drawing.claims_figure import draw_claims
from src.study.drawing.scales import scale_of
from src.study.drawing.verdicts_figure import by_metric, draw_verdicts
from src.study.named.confirming_file import write_confirming_study
from src.study.named.overrides import study_content, study_params
from src.study.records.scores import measured_task
from src.study.records.task_records import TaskRecords, load_records
from src.system.files import sha256_of
from stages.evaluate import evaluate
from stages.plot import plot
from tests.conftest import REPOSITORY
from tests.support.repository import run
from tests.support.study_numbers import (
    CHOSEN,
    OLDER,
    RATES,
    WHERE,
    WITH_CLAIMS,
    cells,
    claims,
    left_after_holm,
    page_of,
    rows,
    said,
)


def in_a_table(claim: dict[str, Any]) -> str:
    scale = scale_of(claim["metric"])
    difference, low, high = (f"{scale.factor * claim[key]:+.{scale.digits}f}" for key in ("difference", "low", "high"))
    return f"| {' '.join((difference, scale.unit)).strip()} | {low} to {high} |"


@pytest.fixture(params=WITH_CLAIMS)
def study(request) -> str:
    return request.param


@pytest.fixture
def records_alone(tmp_path, monkeypatch, study) -> Path:
    """A folder with the records of the study and its folder in studies/, which the report names."""
    shutil.copytree(REPOSITORY / "studies" / study, tmp_path / "studies" / study)
    shutil.copytree(REPOSITORY / "metrics" / study / "records", tmp_path / "metrics" / study / "records")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_tables_and_verdicts_are_those_of_the_records(records_alone, study):
    """To the byte, on any machine."""
    evaluate(study_params(study, *WHERE))
    made, kept = (files_of(root / "metrics" / study) for root in (records_alone, REPOSITORY))
    assert "tables/comparisons.csv" in made
    assert made == kept


def files_of(folder: Path) -> dict[str, str]:
    """The hashes of all files that are made of records."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    made = [path for path in files if path.parts[0] not in ("records", "audits", "units")]
    return {str(path): sha256_of(folder / path) for path in made}


@pytest.mark.slow
def test_figures_and_report_are_those_of_the_records(records_alone, study):
    params = study_params(study, *WHERE)
    evaluate(params)
    plot(params)
    plots = Path("plots", study)
    made, kept = (files_of(root / plots) for root in (records_alone, REPOSITORY))
    assert "report.html" in made
    ignored = ignored_of(plots, {*made, *kept})
    assert {name: made[name] for name in made.keys() - ignored} == {name: kept[name] for name in kept.keys() - ignored}


def ignored_of(folder: Path, names: set[str]) -> set[str]:
    """The files of a study's plots that .gitignore names; there are some of each named study."""
    paths = {str(folder / name): name for name in names}
    return {paths[path] for path in run(REPOSITORY, "git", "check-ignore", "--no-index", *paths).splitlines()}


def test_of_a_named_study_git_keeps_the_report_and_the_figures_over_all_tasks():
    tracked = run(REPOSITORY, "git", "ls-files", "plots").splitlines()
    named = [path for path in tracked if path.split("/")[1] in WITH_CLAIMS]
    of_all_tasks = re.compile(r"plots/[\w-]+/(report\.html|(verdicts|claims|length|curve_\w+)\.png)")
    assert [path for path in named if not of_all_tasks.fullmatch(path)] == []
    assert {Path(path).parent.name for path in named} == {*WITH_CLAIMS}


def test_the_page_has_the_verdicts_of_the_study(study):
    section = (REPOSITORY / page_of(study)).read_text().split("\n## Results\n")[1].split("\n## ")[0]
    [head] = [line for line in section.splitlines() if line.startswith("| claim | difference, mean")]
    for name, claim in claims(study).items():
        [row] = [row for row in section.splitlines() if row.startswith(f"| `{name}`: ")]
        assert in_a_table(claim) in row
        assert short_verdict(claim) in row
        told = dict(zip(*([cell.strip() for cell in line.strip("|").split("|")] for line in (head, row)), strict=True))
        wins = f"{claim['wins']} of {claim['count']}" if claim["direction"] == "higher" or study == "human" else ""
        assert told["tasks that gain"] == wins
        assert told["Holm's p"] == ("< 0.001" if claim["p_holm"] < 0.001 else f"{claim['p_holm']:.3f}")
        scale = scale_of(claim["metric"])
        visible = f"{scale.factor * claim['smallest_visible']:.{scale.digits}f}"
        assert study == "mechanism" or told["smallest visible effect"] == visible


@pytest.mark.parametrize("page", sorted(REPOSITORY.glob("studies/*/README.md")), ids=lambda page: page.parent.name)
def test_the_page_has_its_sections(page):
    lines = page.read_text().splitlines()
    assert [line for line in lines if line.startswith("## ")] == ["## Protocol", "## Results", "## Deviations"]


def of_both_studies(task: str) -> TaskRecords:
    """The teachers of a task: those of the confirming study, and plain ones of `glue-minilm-fixed` as `fixed`."""
    chosen, fixed = (load_records(study, task) for study in ("glue-minilm", "glue-minilm-fixed"))
    assert chosen.labels["test"].equals(fixed.labels["test"])

    def joined(table: str) -> pd.DataFrame:
        ours, theirs = (getattr(records, table) for records in (chosen, fixed))
        ours, theirs = ours[ours["role"] == "teacher"], theirs[(theirs["role"] == "teacher") & (theirs["arm"] == "ce")]
        return pd.concat([ours, theirs.assign(arm="fixed")[ours.columns]], ignore_index=True)

    return replace(chosen, runs=joined("runs"), predictions=joined("predictions"))


def test_the_page_says_what_is_left_of_the_first_claim(monkeypatch):
    """Against plain fine-tuning at the rate of `glue-minilm-fixed`, with the same seeds."""
    monkeypatch.chdir(REPOSITORY)
    params = study_params("glue-minilm", *WHERE)
    tasks = [measured_task(of_both_studies(task), params.evaluate.ece_bins) for task in params.tasks]
    compared = {task.name: compared_task(task, {}) for task in tasks}
    comparisons = comparisons_table(compared.values(), [("teacher", "cmi_min", "fixed")], 0.95)
    claim = params.evaluate.claims["alone"].model_copy(update={"against": "fixed"})
    found = judged("alone", claim, comparisons, compared, 0.95)
    [rest] = [rest for rest in found["without"] if rest["task"] == "wnli"]
    label = "CMI-min teacher against plain fine-tuning of `glue-minilm-fixed`"
    assert rows(page_of("glue-minilm"), label) == [[*said(found)], [*said(rest)]]


@pytest.mark.parametrize(("name", "draw"), [("claims", draw_claims), ("verdicts", draw_verdicts)])
def test_the_committed_pictures_are_those_of_the_committed_verdicts(name, draw, tmp_path, study):
    """To the byte; without a claim there is no picture."""
    draw([*claims(study).values()], tmp_path / "drawn.png")
    assert (tmp_path / "drawn.png").read_bytes() == (REPOSITORY / "plots" / study / f"{name}.png").read_bytes()
    draw([claim | {"tasks": []} for claim in claims(study).values()], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_the_picture_of_verdicts_has_a_panel_per_metric(tmp_path):
    of_human = [*claims("human").values()]
    assert [[claim["name"] for claim in panel] for panel in by_metric(of_human)] == [
        ["alone"],
        ["raters", "raters_min"],
        ["shape", "shape_min", "shape_smooth"],
    ]
    draw_verdicts(of_human[:1], tmp_path / "one.png")
    assert not (tmp_path / "one.png").exists()


def test_the_study_that_confirms_follows_from_the_records_of_the_one_that_chooses(tmp_path, monkeypatch):
    """One claim was added by hand, and the features were lost."""
    monkeypatch.chdir(REPOSITORY)
    shutil.copytree("studies", tmp_path / "studies")
    (tmp_path / "studies/glue-minilm/study.yaml").unlink()
    more = MoreSeeds(tasks=["mrpc", "rte", "wnli"], seeds=[15, 16, 17, 18, 19])
    names = ("glue-minilm-choice", "glue-minilm")
    write_confirming_study(*names, [10, 11, 12, 13, 14], more, folder=tmp_path / "studies")
    made, kept = (study_content("glue-minilm", WHERE[0], place) for place in (tmp_path / "studies", WHERE[1]))
    claim = kept["evaluate"]["claims"].pop("undistillable")
    assert (made["runtime"].pop("feature_rows"), kept["runtime"].pop("feature_rows")) == (200, 0)
    assert made == kept
    assert (claim["family"], claim["against"], claim["direction"]) == ("kd-cmi_min", "kd-ce", "lower")


def test_the_study_that_confirms_has_its_control_and_its_seeds():
    params = study_params("glue-minilm", *WHERE)
    assert arms_of(params)["student"][-1] == "kd-ce_as_cmi_max"
    matched = params.evaluate.claims["matched"]
    assert (matched.family, matched.against) == ("kd-cmi_max", "kd-ce_as_cmi_max")
    assert params.seeds_of("rte") == [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]
    assert params.seeds_of("cola") == [10, 11, 12, 13, 14]


def test_the_page_of_human_names_every_verdict_that_hangs_on_a_task():
    """A row for each: the task, the claim, and its difference and verdict without the task."""
    text = (REPOSITORY / page_of("human")).read_text()
    told = re.findall(r"^\| `(\S+)` \| `(\w+)` \| (\S+) (\S+) \| (\S+) to \S+ \| (.+) \|$", text, re.MULTILINE)
    found = set()
    for name, claim in claims("human").items():
        digits, scale, unit = (1, 100, "points") if name == "alone" else (3, 1, "nats")
        for rest in hangs_on(claim):
            mean, ends = said(rest, digits, scale)
            verdict = short_verdict(rest)
            found.add((rest["task"], name, mean, unit, ends.split()[0], verdict))
    assert set(told) == found
    assert len(told) == len(found)


def test_the_protocol_says_which_claims_are_left_of_all():
    """Holm's correction over the claims of all studies that have a page of their own."""
    count, left = left_after_holm(WITH_CLAIMS)
    page = " ".join((REPOSITORY / "docs/protocol.md").read_text().split())
    assert f"over all {count} claims of the seven committed studies" in page
    first, second, alone, no_label = (RATES, "rate_1"), (RATES, "rate_2"), (CHOSEN, "alone"), ("mechanism", "all")
    assert {*left} == {first, second, alone, no_label}
    assert "leaves four below 0.05. If each claim leaves out WNLI, three are left:" in page
    _, rest = left_after_holm(WITH_CLAIMS, without="wnli")
    assert {*rest} == {first, second, no_label}
    for (study, name), digits in {first: 4, second: 4, alone: 3, no_label: 3}.items():
        without = f"{rest[study, name]:.3f}" if (study, name) in rest else "above 0.05"
        label = f"`{name}` of `{study}`" + (" (no WNLI)" if study == "mechanism" else "")
        assert cells("docs/protocol.md", label) == [f"{left[study, name]:.{digits}f}", without]


def test_the_protocol_says_which_verdicts_a_reference_changes():
    section = (REPOSITORY / "docs/protocol.md").read_text().split("\n## Deviations\n")[1]
    told = set()
    for line in [line for line in section.splitlines() if line.startswith("| `")]:
        study, names, *words = (cell.strip() for cell in line.strip("|").split("|"))
        told |= {(study.strip("`"), name, *words) for name in re.findall("`(.*?)`", names)}
    found = {
        (study, name, claim["by_itself"], claim["verdict"])
        for study in OLDER
        for name, claim in claims(study).items()
        if "by_itself" in claim
    }
    assert told == found
    assert (
        f"changes the words of {len(found)} of their {sum(len(claims(study)) for study in OLDER)} verdicts" in section
    )


def test_the_page_of_audits_has_their_table():
    section = (REPOSITORY / "docs/take-away.md").read_text().split("\n## Audits\n")[1].split("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("|")] == table(REPOSITORY / "metrics")
