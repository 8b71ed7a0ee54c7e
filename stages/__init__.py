"""One script per DVC stage, called as `python -m stages.NAME` from the repository root."""

import gc
import sys

from src.interrupts import exit_on_signals

if sys.argv[0] == "-m":  # so it is while Python looks for the stage; whoever else imports one is left alone
    exit_on_signals()
    gc.disable()  # a sixth of the seconds that the libraries take to import; `src.errors.stage` puts it back
