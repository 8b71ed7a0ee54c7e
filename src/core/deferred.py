"""Defers running a package of a library until one of its names is used.

`transformers` reads all 2,500 source files of its models to find their names. `transformers.models` reads them a second
time, which takes a third of a second. Stages use only modules below `transformers.models`, and importing these needs
only its path.
"""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any


def defer(name: str) -> None:
    """Run a package only when an attribute is read that no import of a module below it has set.

    Do nothing if the package is already imported or is not installed.
    """
    if name in sys.modules or (spec := importlib.util.find_spec(name)) is None:
        return
    package = importlib.util.module_from_spec(spec)
    package.__class__ = _Deferred
    sys.modules[name] = package


class _Deferred(ModuleType):
    """A package's path and the modules imported below it. Reading any other attribute imports the package itself."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            sys.modules.pop(self.__name__, None)  # another thread may have done so already
            package = importlib.import_module(self.__name__)
            vars(package).update(vars(self) | vars(package))  # the modules below it that are imported already
        return getattr(importlib.import_module(self.__name__), name)
