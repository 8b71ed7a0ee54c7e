"""The Python lines of docs/results.md read the committed results, and its last one prepared texts."""

import re
import shutil
from typing import Any

import pandas as pd
import pytest

from src.data.preparation import prepare_task
from tests.conftest import REPOSITORY


def test_the_lines_of_the_page_read_the_results(tmp_path, monkeypatch, params):
    shutil.copytree(REPOSITORY / "metrics/default", tmp_path / "metrics/default")
    prepare_task("vader-movie", params, tmp_path / "data")
    section = (REPOSITORY / "docs/results.md").read_text().split("\n## Results in Python\n")[1]
    *blocks, texts = re.findall(r"^```python\n(.*?)^```", section, re.M | re.S)
    found: dict[str, Any] = {}
    monkeypatch.chdir(REPOSITORY)
    for block in blocks:
        exec(block, found)
    monkeypatch.chdir(tmp_path)
    exec(texts, found)

    runs, both = found["runs"], found["both"]
    measured = pd.read_csv("metrics/default/tables/runs.csv").query("role == 'teacher' and arm == 'cmi_min'")
    right = (runs[["negative", "positive"]].to_numpy().argmax(axis=1) == runs["label"]).groupby(runs["seed"]).mean()
    assert right.to_dict() == pytest.approx(measured.set_index("seed")["accuracy"].to_dict())
    assert runs["text_a"].notna().all()
    assert "difference before" in both
    assert found["kd_max"]["verdict"].tolist() == ["cannot be seen here"]
