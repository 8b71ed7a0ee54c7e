"""The picture of the README is the one that the committed verdicts give."""

from pathlib import Path

from src.study.drawing.headline_figure import draw_headline
from tests.conftest import REPOSITORY


def test_the_committed_picture_is_that_of_the_committed_verdicts(tmp_path: Path):
    """To the byte; `make headline` draws it anew."""
    draw_headline(REPOSITORY / "metrics", tmp_path / "claims.png")
    assert (tmp_path / "claims.png").read_bytes() == (REPOSITORY / "docs/claims.png").read_bytes()
