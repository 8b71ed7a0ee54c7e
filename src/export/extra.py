"""The packages of the extra, which `make onnx` installs."""

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec

from src.system.errors import UserError

PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def check_extra() -> None:
    """Find out before any work whether the extra is there.

    Raises:
        UserError: a package of it is not installed.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise UserError("--format onnx", f"{', '.join(missing)} not installed", "make onnx")


@contextmanager
def quiet() -> Generator[None]:
    """Without their warnings: of packages that they could use, and of parts of their own that will go."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
