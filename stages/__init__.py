"""One script per DVC stage, called as `python -m stages.NAME` from the repository root."""

import sys

from src.interrupts import exit_on_signals

if sys.argv[0] == "-m":  # so it is while Python looks for the stage; whoever imports a stage keeps their handlers
    exit_on_signals()
