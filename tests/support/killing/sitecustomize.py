"""Kills the process group at a named place of the running code. `tests/faults/test_faults.py` puts it on PYTHONPATH.

KILL_AT is `COMMAND | FILE:FUNCTION:EVENT:COUNT`. It means the COUNT-th call or return of FUNCTION in a file whose name
ends in FILE, in a process whose command line contains COMMAND. KILL_WITH names another signal than SIGKILL. No code of
the project uses this module.
"""

import os
import signal
import sys

command, _, place = os.environ.get("KILL_AT", "").partition(" | ")
if place and command in " ".join(sys.orig_argv):
    file, function, event_wanted, left = place.split(":")
    left = int(left)

    def watch(frame, event, argument):
        global left
        code = frame.f_code
        if event == event_wanted and code.co_qualname == function and code.co_filename.endswith(file):
            left -= 1
            if left == 0:
                os.killpg(os.getpgrp(), signal.Signals[os.environ.get("KILL_WITH", "SIGKILL")])

    sys.setprofile(watch)
