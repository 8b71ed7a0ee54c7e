"""A claim's or a contrast's verdict and numbers in words, for the console and the report."""

from typing import Any

import pandas as pd

from src.study.claims.claims import hangs_on
from src.study.claims.moved import CMI, OF_CLASS, OF_MAPS, PER_LENGTH, RATIO
from src.study.claims.verdicts import CANNOT_BE_SEEN, reference_in_words

TOLD = {CMI: "of h", PER_LENGTH: "per squared length"} | {name: name for name in OF_MAPS} | {OF_CLASS: "class"}


def short_verdict(found: dict[str, Any]) -> str:
    """The verdict of a claim, or of a claim without a task, as short as pages and pictures print it."""
    return found["verdict"].removesuffix(" at this size")


def hangs_on_in_words(claim: dict[str, Any]) -> str:
    """The tasks without each of which the verdict would be another, in brackets; empty if there are none."""
    tasks = ", ".join(rest["task"] for rest in hangs_on(claim))
    return f"(not without {tasks})" if tasks else ""


def verdict_in_words(claim: dict[str, Any], moved: pd.DataFrame) -> str:
    """A claim with its verdict, and the sentences of `in_numbers` on the lines below.

    Args:
        moved: the table of how far CMI moved, for all claims of the study.
    """
    return "\n  ".join([f"{titled(claim)}: {claim['verdict']} ({claim['reason']}).", *in_numbers(claim, moved)])


def titled(claim: dict[str, Any]) -> str:
    """The statement of a claim; a contrast gets a prefix."""
    return f"Contrast: {claim['statement']}" if "contrast" in claim else claim["statement"]


def in_numbers(claim: dict[str, Any], moved: pd.DataFrame) -> list[str]:
    """The numbers behind the verdict, in sentences; none if no task measures the claim's metric."""
    if "difference" not in claim:
        return []
    text = f"{claim['family']} minus {claim['against']}: {claim['difference']:+.4f} (claimed: {claim['direction']})"
    if "low" in claim:
        text += f", interval {claim['low']:+.4f} to {claim['high']:+.4f}{_p_in_words(claim)}"
        text += f", smallest visible effect {claim['smallest_visible']:.4f}"
    text += f"; {claim['wins']} of {claim['count']} tasks gain (by luck: p {claim['p_wins']:.3f})."
    of_cmi = moved_in_words(moved[moved["claim"] == claim["name"]])
    return [text, *_reference(claim), *_of_tasks(claim), *map(_rest, hangs_on(claim)), *of_cmi]


def _p_in_words(claim: dict[str, Any]) -> str:
    corrected = f" ({claim['p_holm']:.4f} with Holm over the study's claims)" if "p_holm" in claim else ""
    return f", p {claim['p']:.4f}{corrected}"


def _reference(claim: dict[str, Any]) -> list[str]:
    """The reference pair, unless the reason of the verdict names it."""
    if "reference" not in claim or claim["verdict"] == CANNOT_BE_SEEN:
        return []
    return [f"Reference: {reference_in_words(claim['reference'])}."]


def _of_tasks(claim: dict[str, Any]) -> list[str]:
    """Sentences on tasks whose difference has no error while others have one, and on tasks that are left out."""
    told = [(row["task"], row["no_error"]) for row in claim["tasks"] if "no_error" in row]
    words = [f"On {task} {why}: its difference has no error." for task, why in told if "low" in claim]
    if left_out := claim.get("left_out"):
        words.append(f"These tasks do not measure {claim['metric']} and are left out: {', '.join(left_out)}.")
    return words


def _rest(rest: dict[str, Any]) -> str:
    interval = f", interval {rest['low']:+.4f} to {rest['high']:+.4f}" if "low" in rest else ""
    return f"Without {rest['task']}: {rest['verdict']} ({rest['difference']:+.4f}{interval})."


def moved_in_words(moved: pd.DataFrame) -> list[str]:
    """How far CMI moved over tasks, on test and train, or on selection if test rows have no saved features.

    For a claim about students this is the CMI of their teachers, whose lines come first.

    Args:
        moved: the lines of one claim.
    """
    over = moved[moved["task"].isna() & moved["value"].notna() & moved["measure"].isin(TOLD)]
    if over.empty:
        return []
    (role, family, against), own = next(iter(over.groupby(["role", "family", "against"], sort=False)))
    if ((own["split"] == "test") & (own["measure"] == CMI)).any():
        own = own[own["split"] != "selection"]
    of_splits = own.groupby("split", sort=False)
    told = [f"{', '.join(map(_measure, lines.itertuples()))} on {split}" for split, lines in of_splits]
    return [f"CMI of {role} {family} against {against}: {'; '.join(told)}."]


def _measure(line: Any) -> str:
    form, unit = (".2f", "x") if line.kind == RATIO else ("+.3f", "nats")
    interval = f" ({line.low:{form}} to {line.high:{form}})" if pd.notna(line.low) else ""
    return f"{TOLD[line.measure]} {line.value:{form}} {unit}{interval}"
