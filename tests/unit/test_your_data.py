"""docs/your-data.md: the study file as it is printed asks for 35 runs, and reads a CSV file like the page's."""

import json
import re
import sys

import pytest
from dvc.utils.serialize import dump_yaml

import stages.prepare
from src.runs import runs_of_task
from src.study.named.overrides import study_content, study_params
from tests.conftest import REPOSITORY


@pytest.fixture
def studies(tmp_path):
    """A folder of studies with the page's file."""
    page = (REPOSITORY / "docs/your-data.md").read_text(encoding="utf-8")
    (tmp_path / "studies/mine").mkdir(parents=True)
    (tmp_path / "studies/mine/study.yaml").write_text(
        re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0], encoding="utf-8"
    )
    return tmp_path / "studies"


def test_the_pages_study_file_reads_a_csv_file(studies, tmp_path, monkeypatch):
    where = (REPOSITORY / "params.yaml", studies)
    assert len(list(runs_of_task(study_params("mine", *where), "mine"))) == 35
    monkeypatch.chdir(tmp_path)
    dump_yaml("params.yaml", study_content("mine", *where))
    (tmp_path / "my-data").mkdir()
    rows = [f"A sentence with the number {number}.,{('bad', 'good')[number % 2]}" for number in range(200)]
    (tmp_path / "my-data/train.csv").write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["prepare", "--task", "mine"])
    stages.prepare.main()
    splits = json.loads((tmp_path / "data/mine/splits/task.json").read_text())["splits"]
    assert {name: split["rows"] for name, split in splits.items()} == {"train": 144, "selection": 16, "test": 40}
