"""One script per DVC stage, called as `python -m stages.NAME` from the repository root."""

import gc
import sys

from src.system.interrupts import exit_on_signals

# While Python looks for the module that -m names, argv[0] is "-m". A test or a pool that imports a stage has another
# argv[0]: its signals and its garbage collector stay as they are.
if sys.argv[0] == "-m":
    exit_on_signals()
    gc.disable()  # a sixth of the seconds that the libraries take to import; `src.system.errors.stage` puts it back
