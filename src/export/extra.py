"""The packages that the export needs, which `make onnx` installs."""

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec

from src.system.errors import UserError

PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def check_extra() -> None:
    """Check before any work that the export's packages are installed.

    Raises:
        UserError: a package is not installed.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise UserError("--format onnx", f"{', '.join(missing)} not installed", "run `make onnx`")


@contextmanager
def quiet() -> Generator[None]:
    """Silence these packages' warnings, about optional packages and deprecated parts, for the block within."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
