"""Defers running a package of a library until one of its names is used.

`transformers` reads the source files of all its models, 2,500 of them, to find their names. `transformers.models` reads
them a second time, which takes a third of a second. Stages use only modules below it, and an import of these needs only
its path.
"""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any


def defer(name: str) -> None:
    """Run a package only when an attribute is read that no import of a module below it has set.

    Does nothing where the package is imported already or is not installed.
    """
    if name in sys.modules or (spec := importlib.util.find_spec(name)) is None:
        return
    package = importlib.util.module_from_spec(spec)
    package.__class__ = _Deferred
    sys.modules[name] = package


class _Deferred(ModuleType):
    """Has the path of the package and the modules imported below it. Any other attribute imports the package itself."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            sys.modules.pop(self.__name__, None)  # another thread may have been here
            package = importlib.import_module(self.__name__)
            vars(package).update(vars(self) | vars(package))  # the modules below it that are imported already
        return getattr(importlib.import_module(self.__name__), name)
