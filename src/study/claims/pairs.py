"""The pairs of arms that a study compares. No training depends on this module."""

from collections.abc import Iterator
from pathlib import Path

from src.arms import arms_of, distilled_arm, distilled_arms
from src.params import PARAMS_FILE, Matched, Params, Role
from src.study.claims.curves import curve_pairs
from src.system.errors import UserError

ArmPair = tuple[Role, str, str]  # role, arm or family, and the one that it is compared with
TrialsByRole = dict[Role, dict[str, list[str]]]  # the trials of each arm and family of a role


def pairs_to_compare(params: Params, path: Path = PARAMS_FILE) -> list[ArmPair]:
    """The pairs to compare: (role, arm or family, the one that it is compared with). Messages name the file `path`.

    - Teachers are compared with the baseline teacher, and plain students with the first plain student.
    - Distilled students are compared with plain students and with the baseline's student.
    - Students of a teacher are compared with students of another teacher that is matched to its CMI.
    - Students of a calibrated or mapped teacher are compared with students of the unchanged teacher.
    - `evaluate.pairs`, `claims`, `contrasts` and `curves` name more pairs of arms or families.

    Raises:
        UserError: a name is unknown, two families differ in their number of trials (the larger one has better chances),
            or a curve cannot be drawn (see `curve_pairs`).
    """
    where = f"{path}: evaluate"
    pairs, trials = _pairs_of_arms(params), trials_of(params, path)
    named, of_curves = list(_named_pairs(where, params)), list(_pairs_of_curves(where, params, trials))
    for key, pair in named + of_curves:
        _check(key, pair, trials)
    pairs += [pair for _, pair in named]
    for _, (role, first, second) in of_curves:
        if (role, second, first) not in pairs:  # the same comparison, turned round
            pairs.append((role, first, second))
    return list(dict.fromkeys(pairs))


def _named_pairs(where: str, params: Params) -> Iterator[tuple[str, ArmPair]]:
    """The pairs that `pairs`, `claims` with their references, and `contrasts` name, each with its key."""
    for pair in params.evaluate.pairs:
        yield f"{where}.pairs", (pair.role, pair.family, pair.against)
    for name, claim in params.evaluate.claims.items():
        key = f"{where}.claims.{name}"
        yield key, (claim.role, claim.family, claim.against)
        if claim.reference is not None:
            yield f"{key}.reference", (claim.role, claim.reference.family, claim.reference.against)
    for name, contrast in params.evaluate.contrasts.items():
        for arm, against in contrast.pairs:
            yield f"{where}.contrasts.{name}", (contrast.role, arm, against)


def _pairs_of_curves(where: str, params: Params, trials: TrialsByRole) -> Iterator[tuple[str, ArmPair]]:
    """The pairs that `curves` compare, each with its key."""
    for name, curve in params.evaluate.curves.items():
        key = f"{where}.curves.{name}"
        for line, arms in curve.lines.items():
            for arm in arms:
                _check_known(f"{key}.lines.{line}", curve.role, arm, trials)
        for first, second in curve_pairs(key, params, curve, trials[curve.role]):
            yield key, (curve.role, first, second)


def _check(key: str, pair: ArmPair, trials: TrialsByRole) -> None:
    role, *names = pair
    for name in names:
        _check_known(key, role, name, trials)
    (first, of_first), (second, of_second) = ((name, len(trials[role][name])) for name in names)
    if of_first != of_second:
        problem = f"{first} has {of_first} trials and {second} has {of_second}"
        raise UserError(key, problem, "give both sides as many trials")


def _check_known(key: str, role: Role, name: str, trials: TrialsByRole) -> None:
    if name not in trials[role]:
        raise UserError(key, f"unknown {role} arm or family '{name}'", f"allowed: {', '.join(trials[role])}")


def trials_of(params: Params, path: Path = PARAMS_FILE) -> TrialsByRole:
    """The arms and families of each role, each with its trials. An arm is its own only trial.

    Raises:
        UserError: a family has the name of an arm, or one of its trials is unknown or named twice.
    """
    found: TrialsByRole = {}
    for role, arms in arms_of(params).items():
        families = params.evaluate.families.of(role)
        _check_families(f"{path}: evaluate.families.{role}", families, arms)
        found[role] = {arm: [arm] for arm in arms} | families
    return found


def _check_families(where: str, families: dict[str, list[str]], arms: list[str]) -> None:
    seen: set[str] = set()
    for name, trials in families.items():
        if name in arms:
            raise UserError(f"{where}.{name}", "is also the name of an arm", "choose another name")
        for trial in trials:
            if trial not in arms:
                raise UserError(f"{where}.{name}", f"unknown arm '{trial}'", f"allowed: {', '.join(arms)}")
            if trial in seen:
                raise UserError(f"{where}.{name}", f"arm '{trial}' is named twice", "name each arm once, in one family")
            seen.add(trial)


def _pairs_of_arms(params: Params) -> list[ArmPair]:
    baseline, plain = params.evaluate.baseline, list(params.student.arms)
    pairs: list[ArmPair] = [("teacher", arm, baseline) for arm in params.finetune.arms if arm != baseline]
    pairs += [("student", arm, plain[0]) for arm in plain[1:]]
    for recipe, arms in distilled_arms(params).items():
        of_baseline = distilled_arm(recipe, baseline)
        pairs += [("student", arm, control) for arm in arms for control in plain]
        pairs += [("student", arm, of_baseline) for arm in arms if arm != of_baseline]
        for change in params.distill.changed():
            matched = isinstance(change, Matched)
            first, second = (change.like, change.name) if matched else (change.name, change.teacher)
            pairs.append(("student", distilled_arm(recipe, first), distilled_arm(recipe, second)))
    return pairs
