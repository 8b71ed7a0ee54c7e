"""The digits of numbers in a study's files, and in decisions that compare two numbers.

The last bits of a sum or an exponential depend on the CPU, because libraries choose instructions by CPU. Files have
fewer digits, so that equal records give equal bytes on any CPU (docs/statistics.md).
"""

from typing import Any

import numpy as np
import pandas as pd

DECIMALS = 8
# p-values and degrees of freedom divide by a standard error, which has fewer exact digits if two arms are nearly equal.
FEWER_DECIMALS = {"p": 6, "p_holm": 6, "freedom": 3}
# Two numbers that agree to this many decimals count as equal. Scores and nats near 1 have rounding errors near 1e-15.
EXACT_DECIMALS = 12


def settled(numbers: Any) -> Any:
    """Numbers rounded for a comparison, without the digits that rounding errors can change."""
    return np.round(numbers, EXACT_DECIMALS)


def written_table(table: pd.DataFrame) -> pd.DataFrame:
    """A table with the digits of its file.

    A column of floats has the dtype object if a part without numbers was concatenated; `infer_objects` undoes this.
    """
    table = table.infer_objects()
    floats = {str(name) for name in table.select_dtypes("floating")}
    return table.assign(**{name: _written(table[name], name) for name in floats})


def written_content(content: Any, key: str = "") -> Any:
    """The content of a JSON file with the digits of that file."""
    if isinstance(content, dict):
        return {name: written_content(value, name) for name, value in content.items()}
    if isinstance(content, list):
        return [written_content(value, key) for value in content]
    return float(_written(content, key)) if isinstance(content, float) else content


def _written(numbers: Any, name: str) -> Any:
    """Round in two steps: the first makes a number exact that lies halfway between two decimals, as shares can."""
    return np.round(settled(numbers), FEWER_DECIMALS.get(name, DECIMALS)) + 0.0  # no -0.0
