"""How often a claim holds by chance: `make intervals` prints the table of docs/protocol.md.

The simulated studies have no effect, eight tasks, and seven claims that share arms, like glue-minilm. As in
`simulation`, a row is right with logit 1 + its difficulty + a seed effect. Arms share half of its variance.
"""

import argparse
from collections.abc import Iterator

import numpy as np
import pandas as pd

from src.params import Claim
from src.study.claims.claims import tasks_of, with_holm
from src.study.claims.pairs import ArmPair
from src.study.claims.tables import ComparedTask, comparisons_table
from src.study.claims.verdicts import HOLDS, judged_over
from src.study.simulations.simulation import Setting, task_of_teachers
from src.study.statistics.intervals import RunValues
from src.system.printing import markdown_head, markdown_row

SETTING = Setting(300, 5, 0.15)
TASKS = 8
CLAIMS = {  # family, against
    "alone": ("cmi_min", "ce"),
    "longer": ("cmi_min", "ce_long"),
    "kd": ("kd-cmi_max", "plain"),
    "kd_max": ("kd-cmi_max", "kd-ce"),
    "matched": ("kd-cmi_max", "kd-matched"),
    "mse": ("kd-cmi_max", "kd-mse"),
    "undistillable": ("kd-ce", "kd-cmi_min"),
}
ARMS = [*dict.fromkeys(arm for pair in CLAIMS.values() for arm in pair)]
ONE, ANY, FIRM, HOLM = (
    "one claim holds",
    "any of seven holds",
    "any of seven holds, and hangs on no task",
    "any of seven has Holm's p below 0.05",
)


def luck(studies: int) -> pd.Series:
    """The share of simulated studies without an effect in which claims hold. `ONE` is the mean over the claims."""
    generator = np.random.default_rng([0, len(CLAIMS)])
    found = pd.DataFrame([_of_a_study(generator) for _ in range(studies)])
    return found.mean()


def _of_a_study(generator: np.random.Generator) -> dict[str, float]:
    tasks = [*_claims(generator)]
    claims = with_holm([judged_over(own, claim, 0.95) for claim, own in tasks])
    holding = [own for own, found in zip(tasks, claims, strict=True) if found["verdict"] == HOLDS]
    firm = any(_hangs_on_no_task(*own) for own in holding)
    corrected = any(found["p_holm"] < 0.05 for found in claims)
    return {ONE: len(holding) / len(claims), ANY: float(bool(holding)), FIRM: float(firm), HOLM: float(corrected)}


def _hangs_on_no_task(claim: Claim, tasks: pd.DataFrame) -> bool:
    rests = (tasks[tasks["task"] != task] for task in tasks["task"])
    return all(judged_over(rest, claim, 0.95)["verdict"] == HOLDS for rest in rests)


def _claims(generator: np.random.Generator) -> Iterator[tuple[Claim, pd.DataFrame]]:
    """Each claim with its comparisons, a line per task."""
    compared = {task: _task(task, generator) for task in map("task {}".format, range(TASKS))}
    pairs: list[ArmPair] = [("teacher", *pair) for pair in CLAIMS.values()]
    comparisons = comparisons_table(compared.values(), pairs, 0.95)
    for name, (family, against) in CLAIMS.items():
        claim = Claim(
            statement=name, role="teacher", family=family, against=against, direction="higher", worthwhile=0.01
        )
        yield claim, tasks_of(claim, comparisons, compared)


def _task(name: str, generator: np.random.Generator) -> ComparedTask:
    """A task with the accuracy of all arms."""
    size = (len(ARMS), SETTING.seeds, SETTING.rows)
    shared, own = generator.normal(size=size[1:2]), generator.normal(size=size[:2])
    of_seed = SETTING.spread * np.sqrt(0.5) * (shared + own)
    margins = SETTING.margin + of_seed[..., None] + generator.normal(size=size[2]) + generator.logistic(size=size)
    right = (margins > 0).astype(float).reshape(-1, SETTING.rows)
    return task_of_teachers(name, ARMS, SETTING.seeds, RunValues(right.mean(axis=1), right))


def main() -> None:
    """Print the table of docs/protocol.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=2000, help="simulated studies")
    studies = parser.parse_args().replicates
    print(markdown_head(["without an effect", "share of studies"]))
    for name, share in luck(studies).items():
        print(markdown_row([name, f"{100 * share:.1f} %"]), flush=True)


if __name__ == "__main__":
    main()
