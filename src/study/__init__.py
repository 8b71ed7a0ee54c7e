"""From finished runs to tables, paired comparisons and figures."""

import os

os.environ.pop("MPLBACKEND", None)  # figures are files, and a backend that matplotlib does not know ends its import
