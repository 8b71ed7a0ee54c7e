"""Jobs in worker processes: their order, and what becomes of those that fail; runs of a study without DVC."""

import os
import queue
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from pathlib import Path

import psutil
import pytest
import yaml

import stages.distill
import stages.finetune
import stages.pool
import stages.prepare
import stages.student
from src.parallel.pool import Job, _Board, run_jobs
from src.parallel.units import launchers_lock
from src.params import Params, load_params
from src.params.reading import yaml_text
from src.study.named import origins
from src.study.named.jobs import jobs_of, unmade
from src.study.named.origins import Origins
from src.study.named.overrides import study_params
from src.study.records.task_records import load_records
from src.study.records.unit_records import join_units, keep_unit
from src.system.files import read_json
from tests.conftest import REPOSITORY
from tests.support.pool_work import note
from tests.support.repository import digests, start, tiny_study


def ended(folder: Path, *jobs: tuple[str, tuple[str, ...]], workers: int = 1, **more: float) -> dict[str, str | None]:
    """Run jobs of a name and needs each; how those that started ended."""
    found: dict[str, str | None] = {}
    listed = [Job(name, (str(folder), name), needs) for name, needs in jobs]
    run_jobs(listed, note, [{}] * workers, folder / "logs", found.__setitem__, **more)
    return found


def test_a_worker_does_its_jobs_in_their_order_in_one_process(tmp_path):
    assert list(ended(tmp_path, ("a", ()), ("b", ()), ("c", ()))) == ["a", "b", "c"]
    assert len({(tmp_path / name).read_text().split()[0] for name in "abc"}) == 1


def test_a_job_waits_for_what_it_needs_and_others_pass_it(tmp_path):
    found = ended(tmp_path, ("late", ("b",)), ("a", ()), ("b", ()), workers=2)
    assert found == dict.fromkeys(["a", "b", "late"])
    at = {name: float((tmp_path / name).read_text().split()[1]) for name in found}
    assert at["late"] > at["b"]


@pytest.mark.parametrize(
    ("name", "said", "processes"),
    [
        ("refuses", "error: here: is wrong; mend it", 1),
        ("breaks", "RuntimeError: broken", 2),
        ("dies", "its process ended without a message", 2),
    ],
)
def test_a_failed_job_takes_along_what_needs_it_and_no_other(name, said, processes, tmp_path):
    found = ended(tmp_path, ("before", ()), (name, ()), ("child", (name,)), ("other", ()))
    assert found == {"before": None, name: said, "other": None}
    assert len({(tmp_path / done).read_text().split()[0] for done in ("before", "other")}) == processes


def test_a_worker_that_cannot_start_fails_its_job_and_holds_up_no_other(tmp_path, monkeypatch):
    start, failed = SpawnProcess.start, []

    def first_fails(process: SpawnProcess) -> None:
        if not failed:
            failed.append(process)
            raise BlockingIOError(11, "Resource temporarily unavailable")
        start(process)

    monkeypatch.setattr(SpawnProcess, "start", first_fails)
    found = ended(tmp_path, ("a", ()), ("b", ()), ("c", ()), workers=2)
    told = "its worker cannot start: [Errno 11] Resource temporarily unavailable"
    assert sorted(map(str, found.values())) == ["None", "None", told]


def test_after_its_time_no_job_starts(tmp_path):
    assert list(ended(tmp_path, ("a", ()), ("b", ()), seconds=0.1)) == ["a"]


def test_a_pool_leaves_the_bytes_of_the_stages(tmp_path, tiny_encoder, call, monkeypatch):
    content = tiny_study(tiny_encoder, tmp_path)
    content["finetune"]["arms"].pop("cmi_min")
    content["distill"]["matched"] = [{"teacher": "ce", "like": "cmi_max"}]
    content["distill"]["mapped"] = [{"name": "down", "teacher": "ce", "cmi_weight": 0.3}]
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    call(stages.prepare, "--task", "tiny")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    call(stages.pool, "--workers", "2")
    pooled = digests(Path("runs"), "tiny")
    Path("runs").rename("pooled")
    train_all(call, ("ce", "cmi_max"), ("ce", "cmi_max", "ce_as_cmi_max", "down"))
    assert digests(Path("runs"), "tiny") == pooled
    assert len(list(Path("pooled").glob("*/*/*/*/record.json"))) == 7


def train_all(call: Callable, arms: tuple[str, ...], teachers: tuple[str, ...]) -> None:
    """Train teachers, their students and the plain one by the stages, in this process."""
    for arm in arms:
        call(stages.finetune, "--task", "tiny", "--arm", arm, "--seed", "0")
    for teacher in teachers:
        call(stages.distill, "--task", "tiny", "--teacher", teacher, "--recipe", "kd", "--seed", "0")
    call(stages.student, "--task", "tiny", "--arm", "plain", "--seed", "0")


@pytest.mark.parametrize(
    ("kill", "number", "status"),
    [
        pytest.param(os.killpg, signal.SIGINT, 130, id="Ctrl-C in a terminal"),
        pytest.param(os.kill, signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param(os.kill, signal.SIGKILL, -9, marks=pytest.mark.slow),
    ],
)
def test_workers_of_a_pool_that_is_stopped_save_and_end(
    kill, number, status, tmp_path, tiny_encoder, call, monkeypatch
):
    content = tiny_study(tiny_encoder, tmp_path)
    content["finetune"]["training"]["epochs"] = 10_000
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    call(stages.prepare, "--task", "tiny")
    logs = [tmp_path / f"logs/pool/worker-{worker}.log" for worker in range(2)]
    with start(tmp_path, sys.executable, "-m", "stages.pool", "--workers", "2", PYTHONPATH=str(REPOSITORY)) as pool:
        while not all(log.exists() and "epoch 2/" in log.read_text() for log in logs):
            assert pool.poll() is None
            time.sleep(0.1)
        kill(pool.pid, number)
        assert pool.wait() == status
    here = [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(tmp_path)]
    _, left = psutil.wait_procs([process for process in here if process.pid != os.getpid()], timeout=60)
    assert not left
    assert len(list(tmp_path.glob("checkpoints/*/step-*.pt"))) == 2


def test_a_pool_heeds_no_change_of_params_after_its_start_and_keeps_other_launchers_out(
    tmp_path, tiny_encoder, call, monkeypatch, capsys
):
    content = tiny_study(tiny_encoder, tmp_path)
    Path("params.yaml").write_text(yaml_text(content))
    call(stages.prepare, "--task", "tiny")
    params = load_params()
    Path("params.yaml").write_text(yaml_text(content | {"seeds": [9]}))
    stages.pool.work(params, "teacher", "tiny", "ce", 0)
    assert Path("runs/tiny/teacher/ce/0/record.json").is_file()
    with launchers_lock(), pytest.raises(SystemExit):
        call(stages.pool)
    assert "another launcher already runs its units" in capsys.readouterr().err


def test_a_pool_refuses_a_misspelt_claim_before_it_trains(tmp_path, tiny_encoder, call, capsys):
    content = tiny_study(tiny_encoder, tmp_path)
    content["evaluate"]["pairs"] = [{"role": "teacher", "family": "cmi_mim", "against": "ce"}]
    Path("params.yaml").write_text(yaml_text(content))
    with pytest.raises(SystemExit):
        call(stages.pool)
    assert "cmi_mim" in capsys.readouterr().err
    assert not Path("logs/pool").exists()


def test_what_raises_at_the_end_of_a_job_does_not_hold_up_the_other_workers():
    def told(name: str, failure: str | None) -> None:
        raise BrokenPipeError

    first, second = Job("a", ()), Job("b", (), needs=("a",))
    board, taken = _Board([first, second], told, None), queue.SimpleQueue()
    assert board.take() == first
    threading.Thread(target=lambda: taken.put(board.take()), daemon=True).start()
    with pytest.raises(BrokenPipeError):
        board.end(first, None)
    assert taken.get(timeout=60) == second


def test_a_job_that_ends_well_while_the_pool_stops_is_told():
    """Its origins are written down then. What the stop ended is no failure."""
    whole, stopped, told = Job("a", ()), Job("b", ()), []
    board = _Board([whole, stopped], lambda *end: told.append(end), None)
    assert [board.take(), board.take()] == [whole, stopped]
    board.stop()
    board.end(whole, None)
    board.end(stopped, "its process ended without a message")
    assert told == [("a", None)]


def test_a_pool_goes_on_and_says_what_is_missing(tmp_path, tiny_encoder, call, capsys):
    content = tiny_study(tiny_encoder, tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(SystemExit) as stopped:  # nothing is prepared
        call(stages.pool)
    assert stopped.value.code == 1
    said = capsys.readouterr().err
    assert "tiny/teacher/ce/0: error: data/tiny: has not been prepared; run `dvc repro`" in said
    assert "error: logs/pool: 7 of 7 runs are missing, 4 of them failed; correct the errors and run again" in said


def test_a_pool_keeps_the_records_of_a_named_study_as_units(tmp_path, tiny_encoder, call, monkeypatch, capsys):
    """Its data are prepared, its records join, params.yaml comes back, and kept units are not trained again."""
    content = tiny_study(tiny_encoder, tmp_path) | {"study": "other"}
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    before = Path("params.yaml").read_bytes()
    Path("studies/small").mkdir(parents=True)
    own = {"seeds": [0, 1], "finetune": {"arms": {"cmi_min": None, "cmi_max": None}}}
    Path("studies/small/study.yaml").write_text(yaml.safe_dump(own | {"distill": {"recipes": {"kd": None}}}))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    call(stages.pool, "--name", "small", "--workers", "2")
    assert capsys.readouterr().err.startswith("2 units of 2 to do\n6 jobs to do, 0 exist already; ")
    assert Path("params.yaml").read_bytes() == before
    kept = digests(Path("metrics"), ".")
    assert {Path(name).parent.name for name in kept} == {"tiny-0", "tiny-1"}

    params = study_params("small")
    for seed in (0, 1):
        keep_unit(params, "tiny", seed)  # from the same runs, in this process
    assert digests(Path("metrics"), ".") == kept
    join_units(params, "tiny")
    assert len(load_records("small", "tiny").runs) == 4

    Path("runs").rename("elsewhere")
    call(stages.pool, "--name", "small")
    assert capsys.readouterr().err.startswith("0 units of 2 to do\n0 jobs to do, 0 exist already; ")
    changed = Path("metrics/small/units/tiny-0/code.json")
    code = changed.read_text()
    changed.write_text('{"sha256": "0"}')
    with pytest.raises(SystemExit):
        call(stages.pool, "--name", "small")
    line = (
        "error: metrics/small/units/tiny-0: code.json is not that of the study's present settings and code; go back to"
    )
    assert capsys.readouterr().err.startswith(line)
    assert Path("params.yaml").read_bytes() == before
    changed.write_text(code)

    shutil.rmtree("metrics/small/units/tiny-1")
    call(stages.pool, "--name", "small")
    assert capsys.readouterr().err.startswith("1 unit of 2 to do\n3 jobs to do, 0 exist already; ")


def test_records_start_after_the_time_and_other_jobs_do_not(tmp_path):
    jobs = [Job("a", (str(tmp_path), "a")), Job("records", (str(tmp_path), "records"), ("a",), short=True)]
    found: dict[str, str | None] = {}
    run_jobs([*jobs, Job("b", (str(tmp_path), "b"))], note, [{}], tmp_path / "logs", found.__setitem__, 0.1)
    assert list(found) == ["a", "records"]


def test_a_run_with_other_settings_is_trained_again_and_so_are_its_students(
    tmp_path, tiny_encoder, call, monkeypatch, capsys
):
    content = tiny_study(tiny_encoder, tmp_path)
    content["finetune"]["arms"] = {"ce": {"cmi_weight": 0.0}, "cmi_min": {"cmi_weight": 1.0}}
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))

    def write(weight: float, precision: str) -> Params:
        content["finetune"]["arms"]["cmi_min"]["cmi_weight"] = weight
        content["runtime"]["precision"] = precision
        Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        return load_params()

    def to_do(params: Params) -> set[str]:
        return {job.name for job in unmade(params, jobs_of(params), Origins(params))}

    write(1.0, "fp32")
    call(stages.prepare, "--task", "tiny")
    train_all(call, ("ce", "cmi_min"), ("ce", "cmi_min"))
    capsys.readouterr()
    assert to_do(write(1.0, "fp32")) == set()
    assert to_do(write(2.0, "fp32")) == {"tiny/teacher/cmi_min/0", "tiny/student/kd-cmi_min/0"}
    assert len(to_do(write(1.0, "bf16"))) == 5

    write(3.0, "fp32")
    for arms, line in ((("--arms", "cmi_min"), "1 run to do, 0 exist already"), ((), "1 run to do, 4 exist already")):
        call(stages.pool, *arms)
        assert capsys.readouterr().err.startswith(line)
    assert read_json(Path("runs/tiny/teacher/cmi_min/0/record.json"))["objective"]["cmi_weight"] == 3.0


def test_a_run_of_other_code_or_data_is_trained_again_and_so_is_a_student_of_another_teacher(
    tmp_path, tiny_encoder, call, monkeypatch
):
    """The pool's records of origins count only for the files that the pool wrote."""
    content = tiny_study(tiny_encoder, tmp_path)
    content["finetune"]["arms"].pop("cmi_min")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    Path("params.yaml").write_text(yaml_text(content))
    call(stages.prepare, "--task", "tiny")
    call(stages.pool)

    def to_do(**runtime: int) -> set[str]:
        Path("params.yaml").write_text(yaml_text(content | {"runtime": content["runtime"] | runtime}))
        params = load_params()
        return {job.name for job in unmade(params, jobs_of(params), Origins(params))}

    teachers, student = {"tiny/teacher/ce/0", "tiny/teacher/cmi_max/0"}, "tiny/student/kd-ce/0"
    every = {*teachers, student, "tiny/student/kd-cmi_max/0", "tiny/student/plain/0"}
    assert to_do() == set()
    assert to_do(feature_rows=7) == every
    with monkeypatch.context() as changed:
        changed.setattr(origins, "training_code", lambda: "other")
        assert to_do() == every
    task = Path("data/tiny/splits/task.json")
    before = task.read_text()
    task.write_text(before + " ")
    assert to_do() == every
    task.write_text(before)

    logits = Path("runs/tiny/teacher/ce/0/logits.parquet")
    shutil.copyfile("runs/tiny/teacher/cmi_max/0/logits.parquet", logits)
    assert to_do() == {student}
    assert to_do(feature_rows=7) == every - {"tiny/teacher/ce/0"}
