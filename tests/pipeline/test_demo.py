"""The first look: the whole pipeline in a folder of its own, and a repository that is as it was."""

import json

import pytest

from tests.support.repository import clone_with, run, tiny_study


@pytest.mark.slow
def test_the_demo_leaves_its_report_and_changes_nothing_else(tmp_path, tiny_encoder, warm_stages):
    (tmp_path / "source").mkdir()
    folder = tmp_path / "clone"
    clone_with(folder, tiny_study(tiny_encoder, tmp_path / "source"))
    told = run(folder, "python", "-m", "stages.demo")
    report, curves, own_data = told.splitlines()[-3:]
    assert report == "demo/plots/demo/report.html    the report, to open in a browser"
    assert curves.startswith("tensorboard --logdir demo/logs/tensorboard ")
    assert list((folder / "demo/logs/tensorboard/demo/vader-movie/teacher/ce/0").glob("events.out.tfevents.*"))
    assert own_data.startswith("docs/your-data.md ")
    report = (folder / "demo/plots/demo/report.html").read_text(encoding="utf-8")
    assert '<p class="warning">Made by <code>make demo</code>' in report
    assert "git log" not in report.split("<script>")[0]
    assert {path.name for path in (folder / "demo/metrics/demo").iterdir()} >= {"claims.json", "summary.json", "tables"}
    assert json.loads((folder / "demo/data/vader-movie/splits/task.json").read_text())["splits"]["train"]["rows"] == 20
    assert run(folder, "git", "status", "--short") == ""
    assert not any((folder / name).exists() for name in ("runs", "metrics/demo", "dvc.lock"))
