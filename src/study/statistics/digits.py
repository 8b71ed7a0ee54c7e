"""How many digits a number has: in the files of a study, and where a decision asks whether two numbers are equal.

The last bits of a sum or an exponential depend on the CPU, because libraries choose other instructions on other CPUs.
Files have fewer digits than that, so that equal records give equal bytes on any CPU (docs/statistics.md).
"""

from typing import Any

import numpy as np
import pandas as pd

DECIMALS = 8
# Both divide by a standard error, which has fewer exact digits where two arms are nearly the same.
FEWER_DECIMALS = {"p": 6, "p_holm": 6, "freedom": 3}
# Two numbers that agree to so many decimals are equal. Scores and nats of about 1 have rounding errors of about 1e-15.
EXACT_DECIMALS = 12


def settled(numbers: Any) -> Any:
    """Numbers without the digits that rounding alone decides, to be compared."""
    return np.round(numbers, EXACT_DECIMALS)


def written_table(table: pd.DataFrame) -> pd.DataFrame:
    """A table with the digits that its file has.

    Where parts of it without a number were joined to others, pandas calls a column of floats one of objects.
    """
    table = table.infer_objects()
    floats = {str(name) for name in table.select_dtypes("floating")}
    return table.assign(**{name: _written(table[name], name) for name in floats})


def written_content(content: Any, key: str = "") -> Any:
    """The content of a JSON file with the digits that the file has."""
    if isinstance(content, dict):
        return {name: written_content(value, name) for name, value in content.items()}
    if isinstance(content, list):
        return [written_content(value, key) for value in content]
    return float(_written(content, key)) if isinstance(content, float) else content


def _written(numbers: Any, name: str) -> Any:
    """In two steps: the first makes a number exact that lies between two decimals, as a share of 640 rows can."""
    return np.round(settled(numbers), FEWER_DECIMALS.get(name, DECIMALS)) + 0.0  # no -0.0
