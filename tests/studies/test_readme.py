"""The numbers and verdicts of the README are those of the committed results, and its study file is a valid one."""

import re
from typing import Any

from src.runs import runs_of_task
from src.study.claims.claims import hangs_on
from src.study.claims.claims_in_words import short_verdict
from src.study.claims.verdicts import DOES_NOT_HOLD, HOLDS
from src.study.drawing.headline_figure import without_wnli
from src.study.named.overrides import study_params
from tests.conftest import REPOSITORY
from tests.support.study_numbers import (
    AT_RATES,
    CHOSEN,
    CLASS,
    FIXED,
    RATES,
    WITH_CLAIMS,
    Arm,
    cells,
    claims,
    left_after_holm,
    of_predictions,
    page_of,
    said,
)

README = (REPOSITORY / "README.md").read_text()
TEXT = " ".join(README.split())
ROWS = [  # a study, its claim, and its epochs if they are told
    (CHOSEN, "alone", 8),
    (RATES, "rate_2", 8),
    (FIXED, "alone", 6),
    (CHOSEN, "kd", None),
    (CHOSEN, "kd_max", None),
]
NAMES = {"mnli-sample": "MNLI", "sst2": "SST-2", "mrpc": "MRPC", "wnli": "WNLI", "qnli-sample": "QNLI"}
WHERE = (REPOSITORY / "params.yaml", REPOSITORY / "studies")


def point(name: str) -> str:
    """One of the points below the table of results."""
    [found] = re.findall(rf"^- \*\*{name}:\*\* (.*?)(?=^- |^$)", README, re.MULTILINE | re.DOTALL)
    return " ".join(found.split())


def table(head: str) -> list[list[str]]:
    """The cells of the rows of the table whose head begins with some words."""
    _, _, *rows = README[README.index(f"\n| {head} |") + 1 :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def cell(found: dict[str, Any]) -> str:
    return "{} ({}): {}".format(*said(found), short_verdict(found))


def cell_of_all(claim: dict[str, Any]) -> str:
    """With the tasks on which the verdict hangs."""
    return cell(claim) + without_tasks(claim)


def without_tasks(claim: dict[str, Any]) -> str:
    hangs = " or ".join(NAMES[rest["task"]] for rest in hangs_on(claim))
    told = f", but not without {hangs}" if claim["verdict"] == HOLDS else f"; without {hangs} it cannot be told"
    return told if hangs else ""


def test_the_table_of_results_is_that_of_the_committed_verdicts():
    for (study, name, _), (label, *told) in zip(ROWS, table("claim"), strict=True):
        claim = claims(study)[name]
        assert told == [cell(without_wnli(claim)), cell_of_all(claim)]
        assert f"[`{study}`]" in label


def test_the_first_claim_holds_with_eight_epochs_and_with_six_only_with_wnli():
    epochs = [study_params(study, *WHERE).finetune.training.epochs for study, _, told in ROWS if told]
    assert epochs == [told for _, _, told in ROWS if told]
    assert study_params(RATES, *WHERE).finetune.training.epochs == 8
    assert {without_wnli(claim)["verdict"] for claim in claims(RATES).values()} == {HOLDS}
    eight = [claims(CHOSEN)["alone"], *claims(RATES).values()]
    assert {round(100 * claim["difference"]) for claim in eight} == {2}  # "about two points"
    assert {round(100 * without_wnli(claim)["difference"]) for claim in eight} == {1}  # "about one"
    assert claims(FIXED)["alone"]["verdict"] == HOLDS != without_wnli(claims(FIXED)["alone"])["verdict"]


def test_the_table_of_comparisons_is_that_of_mechanism():
    names = {"alone": HOLDS, "above_smooth": HOLDS, "above_centre": DOES_NOT_HOLD}
    names |= {"norm": DOES_NOT_HOLD, "all": HOLDS, "unit": HOLDS, "centre": HOLDS}
    for (name, verdict), (_, told) in zip(names.items(), table("comparison"), strict=True):
        claim = claims("mechanism")[name]
        assert claim["verdict"] == verdict
        by_auc = "; by AUC it cannot be told" if name == "all" else ""
        assert told == cell(claim) + without_tasks(claim) + by_auc
    assert claims("mechanism")["all_auc"]["verdict"] == "cannot be told at this size"


def test_eight_epochs_of_cmi_min_are_compared_with_six_plain_ones():
    told = re.findall(r"([+-][\d.]+)(?: points)? \((.*?)\)", point("Six plain epochs"))
    assert told == [said(of_predictions(cmi_min, Arm(FIXED, "teacher", "ce")), 2) for cmi_min, _ in AT_RATES]
    gains, rates = [gain.strip("+-") for gain, _ in told], ["5e-5", "1e-4", "2e-4"]
    first = f"gain {gains[0]} points at {rates[0]} and {gains[1]} at {rates[1]} (the interval contains 0)"
    assert f"{first}, and lose {gains[2]} at {rates[2]}" in TEXT
    assert study_params(FIXED, *WHERE).teacher("cola", "ce").training.lr == float(rates[1])


def test_cmi_falls_with_the_length_of_h():
    cmi, length = (cell.split()[0] for cell in cells(page_of(FIXED), "`cmi_min`")[:2])
    assert f"leaves [{cmi} times the CMI and {length} times the length of h](" in point("Length of h")
    assert f"the square of {length} is {float(length) ** 2:.2f}" in point("Length of h")


def test_the_claims_that_are_left_of_all_are_those_after_holms_correction():
    count, left = left_after_holm(WITH_CLAIMS, without="wnli")
    assert point("Chance").startswith(f"of {count} claims in seven studies, {len(left)} are left")
    assert {*left} == {(RATES, "rate_1"), (RATES, "rate_2"), ("mechanism", "all")}


def test_elsewhere_no_claim_holds():
    by_class = [claim for name, claim in claims(CLASS).items() if name.startswith("alone")]
    assert {claim["verdict"] for claim in by_class} == {"does not hold"}
    assert max(claim["difference"] for claim in by_class) < 0
    over_a_plain_teacher = [claim for name, claim in claims("lowdata").items() if name.startswith("max_")]
    nearer = [claims("human")[name] for name in ("raters", "shape")]
    alone = claims("human")["alone"]
    assert alone["verdict"] == "does not hold"
    assert "({} points, {})".format(*said(alone)) in point("Elsewhere")
    assert len(hangs_on(alone)) == 3
    assert "this hangs on three of them" in point("Elsewhere")
    assert HOLDS not in {claim["verdict"] for claim in over_a_plain_teacher + nearer}


def test_with_five_percent_of_the_rows_both_teachers_help_alike():
    low = claims("lowdata")
    gains = [low["kd_5"]["difference"], low["max_5"]["reference"]["difference"]]
    assert [f"{100 * gain:.1f}" for gain in gains] == ["1.3", "1.3"]
    assert low["kd_5"]["verdict"] == HOLDS
    assert low["max_5"]["reference"]["differs"]
    assert "Students of plain teachers gain as much there: 1.3 points" in TEXT
    assert [rest["task"] for rest in hangs_on(low["kd_5"])] == ["vader-movie"]
    assert "gain {} points ({}) over students without".format(*said(low["kd_5"])) in point("Few train rows")
    assert study_params("lowdata", *WHERE).task("sst2").max_rows.train * 0.05 == 100
    assert low["max_5"]["verdict"] == "cannot be told at this size"
    assert "Over students of plain teachers they gain {} ({}): it cannot be told".format(*said(low["max_5"])) in TEXT
    assert study_params("lowdata", *WHERE).task("sst2").max_rows.train == 2000
    label = "CMI-max teacher against {} teacher, mean of five shares"
    none, plain = (cells(page_of("lowdata"), label.format(other)) for other in ("no", "plain"))
    assert "gain {} points ({}) over no teacher, and {} ({}) over a plain one".format(*none, *plain) in TEXT


def test_the_study_file_trains_as_many_models_as_told(tmp_path):
    [content] = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/study.yaml").write_text(content)
    runs = [*runs_of_task(study_params("mine", WHERE[0], tmp_path), "mine")]
    assert f"trains {len(runs)} models" in README
