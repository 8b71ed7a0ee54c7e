"""The confirming study of a choosing study: the chosen trials, task by task, on fresh seeds (docs/protocol.md).

A family of the choosing study becomes an arm of the confirming one. The settings of the family's chosen trial on a task
become overrides of that task. A family of distilled students chooses the teacher or the recipe in its name.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from src.arms import distilled_arm
from src.params import MoreSeeds, Params, Recipe, Role
from src.runs import runs_of_task
from src.study.claims.families import Chosen, Scores, chosen_trials, selection_scores
from src.study.records.task_records import load_records
from src.system.errors import UserError

Content = dict[str, Any]
Names = dict[tuple[Role, str], str]  # the new names of arms
NONE = MoreSeeds(tasks=[], seeds=[])
# The keys that an entry must have, whatever the tasks set, by its kind.
REQUIRED = {"recipe": [key for key, field in Recipe.model_fields.items() if field.is_required()]}


@dataclass(frozen=True)
class Replaced:
    """Entries of one mapping of params.yaml that one entry with a new name replaces.

    `section` is the mapping's path, `kind` its name in a task's `arms`. `entries` has the entry of each trial of
    `family`.
    """

    role: Role
    family: str
    section: tuple[str, str]
    kind: str
    name: str
    entries: dict[str, str]


def chosen_on_tasks(params: Params) -> tuple[dict[str, Chosen], dict[str, Scores]]:
    """The trial that stands for each family on each task of a finished choosing study, and all selection scores.

    Raises:
        UserError: the study is not finished.
    """
    scores = {task: _selection_scores(params, task) for task in params.tasks}
    return {task: chosen_trials(params.evaluate.families, own) for task, own in scores.items()}, scores


def _selection_scores(params: Params, task: str) -> Scores:
    """The selection scores of a task. All its runs must be in the records."""
    records = load_records(params.study, task, splits=["selection"])
    found = records.logits("selection")
    for run in runs_of_task(params, task):
        if (run.role, run.arm, run.seed) not in found:
            raise UserError(run, "is missing in the study's records", f"finish study {params.study} first")
    return selection_scores(records)


def confirming_content(
    content: Content, params: Params, chosen: Mapping[str, Chosen], seeds: list[int], more_seeds: MoreSeeds = NONE
) -> tuple[Content, list[str]]:
    """The content of params.yaml for the confirming study, and the comparisons within one family, which it leaves out.

    Args:
        content: the content of params.yaml for the choosing study.
        params: the same as values.
        chosen: the trial that stands for each family on each task.
        seeds: the seeds of all tasks.
        more_seeds: tasks that run more seeds, and these seeds.

    Raises:
        UserError: there are no families, a seed is not fresh, or a family's trials differ in more than one way.
    """
    _check_fresh(params, [*seeds, *more_seeds.seeds])
    replaced = list(_replaced(params))
    _check_names(params, replaced)
    made = copy.deepcopy(content)
    made |= {"seeds": seeds, "more_seeds": more_seeds.model_dump()}
    for one in replaced:
        for task in params.tasks:
            _choose(made, content, task, one, chosen[task][one.role, one.family])
    for one in replaced:
        _replace(made, content, one)
    return made, _rename(made, params, replaced)


def _check_fresh(params: Params, seeds: list[int]) -> None:
    if used := sorted({*params.seeds, *params.more_seeds.seeds} & {*seeds}):
        raise UserError("--seeds", f"{used[0]} is a seed of the choosing study", "give seeds that chose nothing")


def _replaced(params: Params) -> Iterator[Replaced]:
    families = params.evaluate.families
    if not (families.teacher or families.student):
        allowed = "add families as docs/protocol.md shows, or name another study"
        raise UserError(f"study {params.study}", "has no evaluate.families to choose from", allowed)
    for family, trials in families.teacher.items():
        yield Replaced("teacher", family, ("finetune", "arms"), "teacher", family, {arm: arm for arm in trials})
    for family, trials in families.student.items():
        yield _replaced_by_students(params, family, trials)


def _replaced_by_students(params: Params, family: str, trials: list[str]) -> Replaced:
    """The replaced entries for a family of students: arms of `student`, or the teachers or recipes of its trials."""
    if set(trials) <= params.student.arms.keys():
        return Replaced("student", family, ("student", "arms"), "student", family, {arm: arm for arm in trials})
    recipe, _, teacher = family.partition("-")
    by_teacher = {distilled_arm(recipe, one): one for one in params.finetune.arms}
    by_recipe = {distilled_arm(one, teacher): one for one in params.distill.recipes}
    for section, kind, name, known in (
        (("finetune", "arms"), "teacher", teacher, by_teacher),
        (("distill", "recipes"), "recipe", recipe, by_recipe),
    ):
        if set(trials) <= known.keys():
            return Replaced("student", family, section, kind, name, {arm: known[arm] for arm in trials})
    problem = f"its trials are neither students of recipe '{recipe}' nor students of teacher '{teacher}'"
    allowed = "name the family <recipe>-<name> or <name>-<teacher>, after the recipe or teacher of all its trials"
    raise UserError(f"evaluate.families.student.{family}", problem, allowed)


def _check_names(params: Params, replaced: list[Replaced]) -> None:
    """Refuse a new entry with the name of another."""
    taken = {
        "teacher": {*params.finetune.arms}, "student": {*params.student.arms}, "recipe": {*params.distill.recipes}
    }  # fmt: skip
    for one in replaced:
        if one.name in taken[one.kind]:
            problem = f"there would be two {one.kind}s '{one.name}'"
            raise UserError(f"evaluate.families.{one.role}.{one.family}", problem, "choose another name for the family")
        taken[one.kind].add(one.name)


def _choose(made: Content, content: Content, task: str, one: Replaced, trial: str) -> None:
    """Write the settings of a task's chosen trial, with its settings for this task, into the task's `arms`."""
    entry = one.entries[trial]
    own = content["task_settings"][task].get("arms", {}).get(one.kind, {}).get(entry, {})
    arms = made["task_settings"][task].setdefault("arms", {}).setdefault(one.kind, {})
    arms[one.name] = _joined(content[one.section[0]][one.section[1]][entry], own)


def _replace(made: Content, content: Content, one: Replaced) -> None:
    """Replace the trials by the new arm, which each task has settings for.

    A recipe also needs its required settings here. Each task changes them, and could not remove others.
    """
    entries = made[one.section[0]][one.section[1]]
    originals = content[one.section[0]][one.section[1]]
    tasks = [settings.get("arms", {}).get(one.kind, {}) for settings in made["task_settings"].values()]
    for entry in one.entries.values():
        for mapping in (entries, *tasks):
            mapping.pop(entry, None)
    first = originals[next(iter(one.entries.values()))]
    entries[one.name] = {key: first[key] for key in REQUIRED.get(one.kind, [])}


def _rename(made: Content, params: Params, replaced: list[Replaced]) -> list[str]:
    """Rename trials to their family's arm in `evaluate` and `distill`.

    Comparisons of two trials of one family are removed; returns a description of each.
    """
    entries = {(one.kind, entry): one.name for one in reversed(replaced) for entry in one.entries.values()}
    evaluate = made["evaluate"]
    evaluate["curves"] = {}  # most curves are over trials, and one trial is left
    evaluate |= {"families": {}, "baseline": _new(entries, "teacher", evaluate["baseline"])}
    left_out = _rename_comparisons(evaluate, _new_names(params, replaced, entries))
    return left_out + _rename_changed(made["distill"], entries)


def _new(entries: Mapping[tuple[str, str], str], kind: str, entry: str) -> str:
    """The new name of an entry, which may be its old one."""
    return entries.get((kind, entry), entry)


def _rename_changed(distill: Content, entries: Mapping[tuple[str, str], str]) -> list[str]:
    """Rename the arms of teachers that are changed after training. Pairs within one family are removed and returned."""
    new = partial(_new, entries, "teacher")
    matched = distill.get("matched", [])
    within = [pair for pair in matched if new(pair["teacher"]) == new(pair["like"])]
    renamed = [{end: new(arm) for end, arm in pair.items()} for pair in matched if pair not in within]
    distill["matched"] = [pair for number, pair in enumerate(renamed) if pair not in renamed[:number]]
    if calibrated := distill.get("calibrated"):
        distill["calibrated"] = list(dict.fromkeys(map(new, calibrated)))
    for one in distill.get("mapped", []):
        one["teacher"] = new(one["teacher"])
    return [_left_out("distill.matched", pair["teacher"], pair["like"], new(pair["like"])) for pair in within]


def _new_names(params: Params, replaced: list[Replaced], entries: Mapping[tuple[str, str], str]) -> Names:
    """The new names of arms that are renamed."""
    names: Names = {(one.role, trial): one.family for one in replaced for trial in one.entries}
    for recipe in params.distill.recipes:
        new_recipe = _new(entries, "recipe", recipe)
        for teacher in params.finetune.arms:
            new = distilled_arm(new_recipe, _new(entries, "teacher", teacher))
            names.setdefault(("student", distilled_arm(recipe, teacher)), new)
        for change in params.distill.changed():
            renamed = change.model_copy(update={key: _new(entries, "teacher", arm) for key, arm in change.arms.items()})
            names["student", distilled_arm(recipe, change.name)] = distilled_arm(new_recipe, renamed.name)
    return names


def _rename_comparisons(evaluate: Content, names: Names) -> list[str]:
    """Rename the arms of pairs, claims and contrasts. Pairs and claims within one family are removed and returned."""
    pairs, claims, contrasts = evaluate.get("pairs", []), evaluate.get("claims", {}), evaluate.get("contrasts", {})
    left_out = [*_within_a_family(pairs, claims, names)]
    references = {name: claim["reference"] for name, claim in claims.items() if claim.get("reference")}
    named = [(pair["role"], pair) for pair in (*pairs, *claims.values())]
    named += [(claims[name]["role"], pair) for name, pair in references.items()]
    for role, pair in named:
        pair |= {end: names.get((role, pair[end]), pair[end]) for end in ("family", "against")}
    for contrast in contrasts.values():
        contrast["pairs"] = [[names.get((contrast["role"], arm), arm) for arm in pair] for pair in contrast["pairs"]]
    evaluate["pairs"] = [pair for pair in pairs if pair["family"] != pair["against"]]
    evaluate["claims"] = {name: claim for name, claim in claims.items() if claim["family"] != claim["against"]}
    _check_are_of_families({name: pair for name, pair in references.items() if name in evaluate["claims"]}, contrasts)
    return left_out


def _within_a_family(pairs: list[Content], claims: Mapping[str, Content], names: Names) -> Iterator[str]:
    """A description of each pair and claim between two trials of one family."""
    compared = [("evaluate.pairs", pair) for pair in pairs]
    compared += [(f"evaluate.claims.{name}", claim) for name, claim in claims.items()]
    for key, own in compared:
        arms = own["family"], own["against"]
        first, second = (names.get((own["role"], arm), arm) for arm in arms)
        if first == second:
            yield _left_out(key, *arms, first)


def _left_out(key: str, first: str, second: str, family: str) -> str:
    return f"{key} ({first} and {second} are both {family})"


def _check_are_of_families(references: Content, contrasts: Content) -> None:
    """Refuse references and contrasts within one family. Pairs and claims within one family can be left out."""
    for name, pair in references.items():
        if pair["family"] == pair["against"]:
            problem = f"both of its arms become {pair['family']}"
            allowed = "name a pair of two families, or set no reference"
            raise UserError(f"evaluate.claims.{name}.reference", problem, allowed)
    for name, contrast in contrasts.items():
        kept = {(arm, against) for arm, against in contrast["pairs"] if arm != against}
        if len(kept) < len(contrast["pairs"]):
            problem = "it compares trials of one family, and one trial of a family is left"
            raise UserError(f"evaluate.contrasts.{name}", problem, "name pairs of families, or remove the contrast")


def _joined(base: Content, own: Content) -> Content:
    joined = copy.deepcopy(base)
    for key, value in own.items():
        joined[key] = _joined(joined.get(key, {}), value) if isinstance(value, dict) else value
    return joined
