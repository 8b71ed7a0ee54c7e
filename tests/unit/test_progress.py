"""The line that says how far the units of a study are."""

import pytest

from src.parallel.progress import Progress


@pytest.mark.parametrize(
    ("seconds", "left"), [(0.1, "less than a minute left"), (60, "about 1 minute left"), (120, "about 2 minutes left")]
)
def test_the_time_that_is_left_is_a_true_sentence(monkeypatch, capsys, seconds, left):
    progress = Progress(2, 1)
    progress.began -= seconds
    progress.ended("a", None)
    assert capsys.readouterr().err.strip().endswith(f"a done; 1 of 2 units, 1 running, 0 failed, {left}")
    alone = Progress(1, 1, "run")
    alone.ended("a", None)
    assert capsys.readouterr().err.strip().endswith("a done; 1 of 1 run, 0 running, 0 failed")
