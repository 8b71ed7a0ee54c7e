"""The systems and Python versions that the project supports. Every import of `src` checks them first.

Any Python must be able to read this module, so it uses no syntax newer than 3.0.
"""

import os
import sys

OLDEST = (3, 11)


def check_system():
    """Exit with one line on a system or Python that is not supported, before imports fail with a traceback."""
    if sys.version_info < OLDEST:
        found, oldest = (".".join(map(str, version[:2])) for version in (sys.version_info, OLDEST))
        sys.exit("error: Python " + found + ": is too old; use Python " + oldest + " or newer")
    if os.name != "posix":
        sys.exit("error: this system: lacks POSIX signals and file locks; use Linux, macOS, or WSL on Windows")
