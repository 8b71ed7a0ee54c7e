"""A claim's verdict and numbers in words, for the console and the report."""

from typing import Any

from src.study.claims import hangs_on
from src.study.moved import moved_in_words
from src.study.verdicts import CANNOT_BE_SEEN, reference_in_words


def verdict_in_words(claim: dict[str, Any]) -> str:
    """A claim with its verdict, and below it the numbers behind the verdict, a line each."""
    return "\n  ".join([f"{claim['statement']}: {claim['verdict']} ({claim['reason']}).", *in_numbers(claim)])


def in_numbers(claim: dict[str, Any]) -> list[str]:
    """The numbers behind the verdict, in sentences; none where the claim is about no task."""
    if "difference" not in claim:
        return []
    text = f"{claim['family']} minus {claim['against']}: {claim['difference']:+.4f} (claimed: {claim['direction']})"
    if "low" in claim:
        text += f", interval {claim['low']:+.4f} to {claim['high']:+.4f}{_p_in_words(claim)}"
        text += f", smallest visible effect {claim['smallest_visible']:.4f}"
    text += f"; {claim['wins']} of {claim['count']} tasks gain (by luck: p {claim['p_wins']:.3f})."
    moved = map(moved_in_words, claim.get("moved", [])[:1])
    return [text, *_reference(claim), *_of_tasks(claim), *map(_rest, hangs_on(claim)), *moved]


def _p_in_words(claim: dict[str, Any]) -> str:
    corrected = f" ({claim['p_holm']:.4f} with Holm over the study's claims)" if "p_holm" in claim else ""
    return f", p {claim['p']:.4f}{corrected}"


def _reference(claim: dict[str, Any]) -> list[str]:
    """The reference pair, unless the reason of the verdict has named it."""
    if "reference" not in claim or claim["verdict"] == CANNOT_BE_SEEN:
        return []
    return [f"Reference: {reference_in_words(claim['reference'])}."]


def _of_tasks(claim: dict[str, Any]) -> list[str]:
    """The tasks whose difference has no error while others have one, and the tasks that are left out."""
    told = [(row["task"], row["no_error"]) for row in claim["tasks"] if "no_error" in row]
    words = [f"On {task} {why}: its difference has no error." for task, why in told if "low" in claim]
    if left_out := claim.get("left_out"):
        words.append(f"Left out, because {claim['metric']} is not measured there: {', '.join(left_out)}.")
    return words


def _rest(rest: dict[str, Any]) -> str:
    interval = f", interval {rest['low']:+.4f} to {rest['high']:+.4f}" if "low" in rest else ""
    return f"Without {rest['task']}: {rest['verdict']} ({rest['difference']:+.4f}{interval})."
