"""Contrasts: pooled effects and interactions over several pairs of arms, by the intervals and the rule of claims."""

import numpy as np
import pandas as pd
import pytest
import yaml

from src.params import Claim, Contrast, load_params
from src.study.claims.claims import judged
from src.study.claims.contrasts import claim_of, judged_contrast
from src.study.claims.pairs import pairs_to_compare
from src.study.claims.tables import ComparedTask, comparisons_table
from src.study.records.scores import MeasuredTask
from src.study.statistics.clusters import clustered
from src.study.statistics.intervals import Estimate, RunValues, mean_over_seeds, mean_over_seeds_and_rows, products_of
from src.system.errors import UserError
from tests.conftest import params_content

SEEDS, ROWS = 6, 200
OF_CLAIMS = {"statement", "role", "direction", "metric", "worthwhile"}
ARMS = ("ce_6", "ce_8", "ce_12", "min_6", "min_8", "min_12")
PAIRS = [["min_6", "ce_6"], ["min_8", "ce_8"], ["min_12", "ce_12"]]


def contrast(combine: str = "mean", **more) -> Contrast:
    pairs = PAIRS if combine == "mean" else [PAIRS[0], PAIRS[-1]]
    asked = {"statement": "Some is better", "role": "teacher", "pairs": pairs, "combine": combine}
    return Contrast.model_validate(asked | {"direction": "higher", "worthwhile": 0.01} | more)


def tables(*gains: float, noise: float = 0.02) -> dict[str, np.ndarray]:
    """Values (S, N) of each arm in each row. Arms share effects of seeds and rows; gains are exact."""
    generator = np.random.default_rng(0)
    shared = 0.5 + generator.normal(0, 0.3, (SEEDS, 1)) + generator.normal(0, 0.3, (1, ROWS))
    own = generator.normal(0, noise, (len(ARMS), SEEDS, ROWS))
    own += np.array([0, 0, 0, *gains])[:, None, None] - own.mean(axis=(1, 2), keepdims=True)
    return {arm: shared + values for arm, values in zip(ARMS, own, strict=True)}


CLUSTERS = np.minimum(np.arange(ROWS) // 3, 40)  # the last has 80 rows


def compared(values: dict[str, np.ndarray], form: str = "rows") -> ComparedTask:
    """A task of these arms, with the values of rows, their products, the values of clusters, or those of runs alone."""
    of_rows = np.concatenate(list(values.values()))
    of_runs = of_rows.mean(axis=1)
    of_clusters, number = clustered(of_rows, CLUSTERS)
    found = {
        "rows": RunValues(of_runs, of_rows),
        "products": RunValues(of_runs, products=products_of(of_rows), rows=ROWS),
        "clusters": RunValues(of_runs, of_clusters, rows=number),
        "runs": RunValues(of_runs),
    }[form]
    lines = {("teacher", arm): [*range(n * SEEDS, (n + 1) * SEEDS)] for n, arm in enumerate(values)}
    return ComparedTask(MeasuredTask("t", "accuracy", pd.DataFrame(), {"accuracy": found}), lines)


@pytest.mark.parametrize("form", ["rows", "products", "clusters", "runs"])
@pytest.mark.parametrize("combine", ["mean", "change"])
def test_a_contrast_is_the_interval_of_the_combined_table(combine, form):
    """The table of each pair's differences, combined cell by cell and judged as one table."""
    values = tables(0.01, 0.02, 0.06)
    first, second, third = (values[arm] - values[against] for arm, against in PAIRS)
    by_hand = (first + second + third) / 3 if combine == "mean" else third - first
    expected = _estimate_of(by_hand, form)
    found = judged_contrast("some", contrast(combine), {"t": compared(values, form)}, 0.95)
    low, high = expected.interval(0.95)
    assert (found["difference"], found["low"], found["high"]) == pytest.approx((expected.mean, low, high), abs=1e-9)
    assert found["verdict"] == "holds"


def _estimate_of(table: np.ndarray, form: str) -> Estimate:
    means = table.mean(axis=1)
    if form == "runs":
        return mean_over_seeds(means)
    if form == "clusters":
        of_clusters, number = clustered(table, CLUSTERS)
        return mean_over_seeds_and_rows(means, products_of(of_clusters), number)
    return mean_over_seeds_and_rows(means, products_of(table), ROWS)


def test_what_arms_of_a_seed_share_cancels():
    """Seeds and rows that differ by 0.3 leave the interval of a difference of 0.02 a width of 0.002."""
    found = judged_contrast("some", contrast(), {"t": compared(tables(0.02, 0.02, 0.02))}, 0.95)
    assert found["low"] == pytest.approx(0.02, abs=0.002)
    assert found["high"] - found["low"] < 0.005


def test_that_only_the_longer_ones_hold_is_no_interaction():
    """Each pair alone, then both contrasts: the gains may all be one."""
    task, verdicts = compared(tables(0.012, 0.024, 0.024, noise=0.2)), []
    claim = Claim(family="min_6", against="ce_6", **contrast().model_dump(include=OF_CLAIMS))
    for arm, against in PAIRS:
        pair = claim.model_copy(update={"family": arm, "against": against})
        table = comparisons_table([task], [("teacher", arm, against)], 0.95)
        verdicts.append(judged("some", pair, table, {"t": task}, 0.95)["verdict"])
    assert verdicts == ["cannot be told at this size", "holds", "holds"]
    assert judged_contrast("some", contrast(), {"t": task}, 0.95)["verdict"] == "holds"
    assert judged_contrast("some", contrast("change"), {"t": task}, 0.95)["verdict"] == "cannot be told at this size"


def test_the_sides_are_named_as_what_they_are():
    assert claim_of(contrast()).family == "mean of (min_6 + min_8 + min_12)"
    change = claim_of(contrast("change"))
    assert (change.family, change.against) == ("(min_12 + ce_6)", "(ce_12 + min_6)")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"pairs": [["cmi_min", "ce"], ["cmi_mix", "ce"]]},
            r"contrasts\.some: unknown teacher arm or family 'cmi_mix'",
        ),
        (
            {"pairs": [["ce", "ce"], ["cmi_min", "ce"]]},
            r"contrasts\.some\.pairs: .* a pair should name two different arms",
        ),
        ({"pairs": [["cmi_min", "ce"]]}, r"contrasts\.some\.pairs: not acceptable"),
        ({"pairs": [["cmi_min", "ce"]] * 2}, r"contrasts\.some\.pairs: .* name each pair once"),
        ({"pairs": [["cmi_min", "ce"], ["ce", "cmi_min"]]}, r"contrasts\.some\.pairs: .* name each pair once"),
        (
            {"pairs": [["cmi_min", "ce"], ["cmi_max", "ce"], ["cmi_max", "cmi_min"]], "combine": "change"},
            r"contrasts\.some: .*combine: change takes exactly two pairs",
        ),
        ({"pairs": [["cmi_min", "ce", "ce"], ["ce", "cmi_min"]]}, r"contrasts\.some\.pairs\.0: not acceptable"),
        ({"combine": "sum"}, r"contrasts\.some\.combine: .* it should be 'mean' or 'change'"),
    ],
)
def test_a_faulty_contrast_is_refused(tmp_path, change, told):
    asked = contrast(pairs=[["cmi_min", "ce"], ["cmi_max", "ce"]]).model_dump() | change
    content = params_content()
    content["evaluate"]["contrasts"] = {"some": asked}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=told):
        pairs_to_compare(load_params(path))
