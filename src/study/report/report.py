"""The report of a study: one self-contained page, for a reader who runs nothing."""

import json
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from src.params import Params
from src.params.reading import yaml_text
from src.runs import runs_of_task
from src.study.claims.claims_in_words import in_numbers, titled
from src.study.claims.majority import majority_scores
from src.study.claims.verdicts import known
from src.study.drawing.figures import figure_names
from src.study.drawing.scales import metric_in_words
from src.study.drawing.study_results import StudyResults
from src.study.records.scores import UNIT_MAPS
from src.study.records.task_records import described_splits, records_folder
from src.study.report import charts
from src.study.report.dvc_page import chart_library
from src.study.report.origin import origin_of
from src.study.report.verdict_table import CLASSES, null_first, verdict_table
from src.system.files import new_file, read_json

TEMPLATES, PAGE = Path(__file__).with_name("page"), "report.html.jinja"
TABLE_METRICS = (
    *("nll", "ece", "kl_to_human", "kl_to_human_tempered", "class_cmi", "feature_cmi", "feature_norm"),
    *(f"{name}_cmi" for name in UNIT_MAPS),
)
MEANINGS = {  # of the arms of params.yaml
    "ce": "Plain fine-tuning on the labels, by cross-entropy.",
    "cmi_min": "Fine-tuning that also makes CMI small (minimises it).",
    "cmi_max": "Fine-tuning that also makes CMI large (maximises it).",
    "plain": "A student without a teacher.",
}
YAML_WIDTH = 80  # characters of a line of the params in the page
NOT_SHOWN = {"checkpoints", "task_settings"}  # no result depends on checkpoints; task_settings has unused tasks too


def write_report(target: Path, results: StudyResults) -> None:
    """Write the page. Equal results give equal bytes."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["number"] = lambda value: "" if value is None else f"{value:.4f}"
    specs, claims = chart_specs(results), null_first(results.claims)
    page = environment.get_template(PAGE).render(
        study=results.params.study,
        origin=origin_of(results.params),
        confidence=results.params.evaluate.confidence,
        intervals=any("low" in claim for claim in claims),
        warnings=results.warnings,
        verdicts=verdict_table(claims),
        arms=MEANINGS.items(),
        shown=_shown(results.tables.arms),
        claims=[_claim(claim, results.tables.moved) for claim in claims],
        curves=list(results.params.evaluate.curves),
        tasks=[_task(results, task) for task in results.records],
        runs=_run_counts(results),
        params=_as_yaml(results.params),
        specs=json.dumps(specs, allow_nan=False).replace("<", "\\u003c"),
        library=chart_library(),
    )
    with new_file(target) as draft:
        draft.write_text(page, encoding="utf-8")


def chart_specs(results: StudyResults) -> dict[str, charts.Spec]:
    """The charts by the id of their place in the page."""
    specs = {
        f"claim-{claim['name']}": charts.claim_chart(claim, f"claim_{claim['name']}")
        for claim in results.claims
        if claim["tasks"]
    }
    first = next(iter(results.primary.values()))
    specs["scores"] = charts.scores_chart(results.tables.runs, results.tables.arms, first, "scores")
    specs["cmi"] = charts.cmi_chart(results.tables.runs, results.primary, "cmi")
    specs["epochs"] = charts.epochs_chart(list(results.records.values()), "epochs")
    return specs


def _shown(arms: pd.DataFrame) -> set[str]:
    """The glossary entries for arms of this study."""
    names = set(arms["arm"])
    return names | ({"kd-"} if any(name.startswith("kd-") for name in names) else set())


def _claim(claim: dict[str, Any], moved: pd.DataFrame) -> dict[str, Any]:
    """The page's content for a claim or contrast, with the table of how far CMI moved."""
    own = moved[moved["claim"] == claim["name"]]
    sides = own.groupby(["role", "family", "against"], sort=False)
    words = {"title": titled(claim), "in_numbers": in_numbers(claim, moved)}
    words |= {"measure": metric_in_words(claim["metric"]), "kind": CLASSES[claim["verdict"]]}
    return claim | words | {"moved": [_moved(" ".join(side[:2]), side[2], lines) for side, lines in sides]}


def _moved(models: str, against: str, lines: pd.DataFrame) -> dict[str, Any]:
    """How far CMI moved between two arms: each measure on each split over tasks, and the reasons for omissions."""
    measures, left_out = [], []
    for _, own in lines.groupby(["split", "measure"], sort=False):
        [over] = own[own["task"].isna()].to_dict("records")
        if pd.notna(over["value"]):
            measures.append(known(over) | {"tasks": own["value"].count() - 1})
        for why, without in own.groupby("left_out", sort=False):
            tasks = ", ".join(without["task"].dropna())
            left_out.append(f"{over['measure']} on {over['split']} rows: {why}{' on ' if tasks else ''}{tasks}")
    return {"between": f"{models} against {against}", "measures": measures, "left_out": left_out}


def _task(results: StudyResults, task: str) -> dict[str, Any]:
    """A task's tables, and facts about its data."""
    records, own = results.records[task], results.tables.arms[results.tables.arms["task"] == task]
    metrics = [*records.task["metrics"], *(name for name in TABLE_METRICS if (own["metric"] == name).any())]
    seeds = results.tables.runs[results.tables.runs["task"] == task]
    folder = records_folder(results.params.study, task)
    return {
        "name": task,
        "licence": records.task["licence"],
        "splits": _splits(records.task),
        "folds": records.folds,
        "rows": records.task["rows"]["rows"] if records.folds > 1 else 0,
        "rounds": len(records.task["splits"]) // records.folds if records.folds > 1 else 0,
        "metrics": metrics,
        "figures": figure_names(records),
        "majority": majority_scores(records.task),
        "arms": [_arm(rows, metrics) for rows in own.groupby(["role", "arm"], sort=False)],
        "seeds": [_seeds(rows, records.primary) for rows in seeds.groupby(["role", "arm"], sort=False)],
        "trials": results.tables.trials[results.tables.trials["task"] == task].to_dict("records"),
        "environment": read_json(folder / "environment.json"),
        "code": read_json(folder / "code.json")["sha256"],
    }


def _splits(description: dict[str, Any]) -> dict[str, Any]:
    """The facts of each split, with the second test set under its own name."""
    second = description.get("also_test")
    return described_splits(description) | ({second["name"]: second} if second else {})


def _arm(rows: tuple[tuple[str, str], pd.DataFrame], metrics: list[str]) -> dict[str, Any]:
    """A line of the table: the mean of each metric, and the interval of the first."""
    (role, arm), table = rows
    found = table.set_index("metric")
    first = found.loc[metrics[0]]
    interval = None if pd.isna(first["low"]) else (float(first["low"]), float(first["high"]))
    return {"role": role, "arm": arm, "means": found.loc[metrics, "mean"].tolist(), "interval": interval}


def _seeds(rows: tuple[tuple[str, str], pd.DataFrame], primary: str) -> dict[str, Any]:
    (role, arm), table = rows
    values = table.sort_values("seed")[["seed", primary, "best_epoch"]].itertuples(index=False, name=None)
    return {"role": role, "arm": arm, "runs": list(values)}


def _run_counts(results: StudyResults) -> dict[str, Any]:
    asked = {str(run) for task in results.records for run in runs_of_task(results.params, task)}
    keys = results.tables.runs[["task", "role", "arm", "seed"]].itertuples(index=False, name=None)
    return {"asked": len(asked), "missing": sorted(asked - {"/".join(map(str, key)) for key in keys})}


def _as_yaml(params: Params) -> str:
    """The study's params in YAML, without other tasks, and without keys that an arm or a task does not set."""
    content = params.model_dump(exclude=NOT_SHOWN)
    if not params.evaluate.curves:
        del content["evaluate"]["curves"]
    for section in ("finetune", "student"):
        content[section]["arms"] = getattr(params, section).model_dump(exclude_unset=True)["arms"]
    content["distill"] = params.distill.model_dump(exclude_unset=True)
    content["task_settings"] = {task: params.task(task).model_dump(exclude_unset=True) for task in params.tasks}
    return yaml_text(content, YAML_WIDTH)
