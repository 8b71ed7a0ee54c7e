"""From finished runs to tables, verdicts, figures and a report, and the named studies that make them.

The rooms stand in this order, and none imports from a later one: statistics, records, claims, drawing, report. `named`
(how a named study is run) uses them all but `report`; `simulations` (whether the statistics can be trusted) all but
`drawing` and `report`. CONTRIBUTING.md, Rooms, has the rule for the rest of `src`.
"""

import os
from pathlib import Path

os.environ.pop("MPLBACKEND", None)  # figures are files, and a backend that matplotlib does not know ends its import

METRICS_FOLDER = Path("metrics")  # metrics/<study> has the records, tables and verdicts of a study
