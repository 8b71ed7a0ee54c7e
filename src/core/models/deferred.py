"""A package of a library that is not run before something in it is asked for.

`transformers` reads the sources of all its models for the names in them, 2,500 files. `transformers.models` reads them
once more, which takes a third of a second. No stage asks it for a name: a model is imported as a module below it, and
that takes no more of the package than its path.
"""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any


def defer(name: str) -> None:
    """Put off running a package until someone asks for an attribute that no import below it has set.

    Does nothing where the package is imported already or is not installed.
    """
    if name in sys.modules or (spec := importlib.util.find_spec(name)) is None:
        return
    package = importlib.util.module_from_spec(spec)
    package.__class__ = _Deferred
    sys.modules[name] = package


class _Deferred(ModuleType):
    """Knows its path and the modules imported below it; all else comes from the package, imported as ever."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
            package = importlib.import_module(self.__name__)
            vars(package).update(vars(self) | vars(package))  # the modules below it that are imported already
        return getattr(importlib.import_module(self.__name__), name)
