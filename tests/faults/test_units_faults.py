"""What a launcher finds: a terminal where its units run, a stage that failed, a place that DVC cannot work in."""

import subprocess
from pathlib import Path

import yaml

from src.parallel.launcher import only_launcher
from src.parallel.unit_copy import take_results
from src.parallel.units import Unit

KIND = "units side by side"
RUN = "runs/tiny/teacher/ce/0"


def test_a_terminal_in_the_folder_of_a_unit(tmp_path, monkeypatch, capsys, record_fault):
    monkeypatch.chdir(tmp_path)
    unit = tmp_path / ".dvc/tmp/units/tiny-0"
    unit.mkdir(parents=True)
    with subprocess.Popen(["sleep", "0.3"], cwd=unit) as process, only_launcher():
        pass
    line = (
        f"waiting for process {process.pid} (sleep 0.3) in {unit}: a stage of a killed launcher saves and "
        "ends by itself; end any other process, or let it change to another folder"
    )
    assert capsys.readouterr().err == f"{line}\n"
    shown = line.replace(str(process.pid), "4711").replace(f"{tmp_path}/", "").replace("sleep 0.3", "bash")
    record_fault(KIND, "a terminal stands in the folder of a unit", f"`` {shown} ``")


def test_what_a_failed_stage_had_made_before_stays(tmp_path, monkeypatch, record_fault):
    """DVC deletes it from the unit before the stage runs, and keeps its entry."""
    monkeypatch.chdir(tmp_path)
    unit, folder = Unit("tiny", 0, ("finetune@tiny-ce-0", "student@tiny-plain-0")), Path(".dvc/tmp/units/tiny-0")
    other = RUN.replace("teacher/ce", "student/plain")
    entries = {stage: {"outs": [{"path": path}]} for stage, path in zip(unit.stages, (RUN, other), strict=True)}
    for path in (Path(RUN), folder / other):
        path.mkdir(parents=True)
        (path / "record.json").write_text(str(path))
    (folder / "dvc.lock").write_text(yaml.safe_dump({"stages": entries}))
    assert list(take_results(unit, folder)) == ["student@tiny-plain-0"]
    assert Path(RUN, "record.json").read_text() == RUN
    assert Path(other, "record.json").read_text() == str(folder / other)
    record_fault(KIND, "a stage of a unit fails that was made before", "what it had made stays in the repository")
