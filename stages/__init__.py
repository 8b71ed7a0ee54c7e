"""One script per DVC stage or make target, called as `python -m stages.NAME` from the repository root."""

import gc
import sys

from src.system.interrupts import exit_on_signals

# While Python looks for the module that -m names, argv[0] is "-m". A test or a pool that imports a stage has another
# argv[0], and keeps its signal handlers and its garbage collector.
if sys.argv[0] == "-m":
    exit_on_signals()
    gc.disable()  # saves a sixth of the libraries' import time; `src.system.errors.stage` enables it again
