"""On which systems and Pythons the project runs. Everything that imports `src` asks this first.

It must be read by any Python: nothing newer than 3.0 stands here.
"""

import os
import sys

OLDEST = (3, 11)


def check_system():
    """End in one line where the imports that follow would end in a traceback."""
    if sys.version_info < OLDEST:
        found, oldest = (".".join(map(str, version[:2])) for version in (sys.version_info, OLDEST))
        sys.exit("error: Python " + found + ": is too old; use Python " + oldest + " or newer")
    if os.name != "posix":
        sys.exit("error: this system: has no POSIX signals and file locks; use Linux, macOS, or WSL on Windows")
