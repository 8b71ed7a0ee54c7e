"""A named study is its file over the committed params.yaml, whatever the workspace holds, and fails without a trace."""

import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import chdir, suppress
from pathlib import Path

import pytest
import yaml

import stages.collect
import stages.confirm
import stages.evaluate
import stages.restore
import stages.statistics
import stages.study
from src.params import read_yaml
from src.study.named.overrides import study_content, study_text
from src.study.named.workspace import params_in_place, tell_uncommitted
from tests.conftest import REPOSITORY
from tests.support.choosing_study import CLAIMS, FAMILIES, TEACHERS
from tests.support.repository import digests, run, start
from tests.support.synthetic_study import make_study

KIND = "named studies"
STUDIES = sorted(path.parent.name for path in (REPOSITORY / "studies").glob("*/study.yaml"))


def commit(folder: Path, *ignored: str) -> None:
    """Make a git repository of a folder, or one more commit."""
    (folder / ".gitignore").write_text("".join(f"/{name}\n" for name in (".dvc/tmp", "data", "runs", *ignored)))
    run(folder, "git", "init", "--quiet", "--initial-branch=main")
    run(folder, "git", "config", "user.email", "tests@example.org")
    run(folder, "git", "config", "user.name", "tests")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "all")


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Path:
    """A git repository with our params.yaml and studies, and the current folder."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    shutil.copytree(REPOSITORY / "studies", tmp_path / "studies")
    commit(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def study_stage(monkeypatch, capsys) -> Callable[..., tuple[str, str]]:
    """Call `stages.study`: its last line on stdout, and on stderr where it fails."""

    def call(*arguments: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["stage", *arguments])
        with suppress(SystemExit):
            stages.study.main()
        said = capsys.readouterr()
        return said.out.strip().splitlines()[-1] if said.out else "", said.err.strip()

    return call


def left_by(name: str) -> None:
    """Have params.yaml be as a study leaves it."""
    Path("params.yaml").write_bytes(study_text(name))


@pytest.mark.slow
def test_every_study_after_every_other(workspace, record_fault):
    """The same settings as in a workspace as committed."""
    clean = {name: study_content(name) for name in STUDIES}
    for name in STUDIES:  # the workspace is what the one before it left
        left_by(name)
        assert read_yaml(Path("params.yaml")) == clean[name]
        assert {other: study_content(other) for other in STUDIES} == clean, name
    pairs = len(STUDIES) * (len(STUDIES) - 1)
    record_fault(KIND, "one study after another in a workspace", f"the same settings, for all {pairs} pairs of ours")


def changed(place: str, value: object) -> None:
    *path, last = place.split(".")
    section = content = read_yaml(Path("params.yaml"))
    for key in path:
        section = section[key]
    section[last] = value
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.mark.parametrize(
    ("before", "place", "value"),
    [
        (None, "models.teacher.name", "my-model"),
        (None, "task_settings.vader-movie.max_rows.train", 9),
        ("smollm2", "finetune.training.lr", 2.0e-3),
        (None, "study", "mine"),
    ],
)
def test_params_changed_on_purpose(workspace, study_stage, record_fault, before, place, value):
    """A study neither takes the change in nor passes over it in silence."""
    if before:
        left_by(before)
    changed(place, value)
    text = Path("params.yaml").read_bytes()
    _, told = study_stage("--name", "mpnet")
    problem = "has an uncommitted change, but a study builds on the committed params.yaml"
    allowed = "commit it, set it in the study's file, or undo it with `git checkout params.yaml`"
    assert told == f"error: params.yaml: {place}: {problem}; {allowed}"
    assert Path("params.yaml").read_bytes() == text
    assert study_stage("--name", "human", "--dry")[0]  # what only prints refuses nothing
    after = f" after study {before}" if before else ""
    record_fault(KIND, f"params.yaml with another {place}, not committed,{after} before `make study`", f"`` {told} ``")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "error: NAME: no study is named; allowed: demo, glue, "),
        ("nosuch", "error: studies/nosuch/study.yaml: no such study; allowed: demo, glue, "),
    ],
)
def test_no_such_study(workspace, study_stage, record_fault, name, expected):
    _, told = study_stage("--name", name)
    assert told.startswith(expected)
    record_fault(KIND, f"`make study NAME={name}`", f"`` {told[:90]}... ``")


@pytest.fixture(scope="module")
def made_once(tmp_path_factory) -> Path:
    """A git repository with a finished study that its file makes of params.yaml, and another study."""
    folder = tmp_path_factory.mktemp("made")
    with chdir(folder), pytest.MonkeyPatch.context() as patch:
        make_study(["no", "yes"], TEACHERS, evaluate={"families": FAMILIES, "claims": CLAIMS})
        patch.setattr(sys, "argv", ["stage", "--task", "tiny"])
        stages.collect.main()
        stages.evaluate.main()
        changed("study", "default")
        arms = {"max_2": {"cmi_weight": -8.0}}
        write_study("made", {"seeds": [0, 1]})
        write_study("other", {"seeds": [9], "finetune": {"arms": arms}, "evaluate": {"claims": {"kd": None}}})
        commit(folder)
    return folder


@pytest.fixture
def made(made_once, tmp_path, monkeypatch) -> Path:
    """The current folder, a copy of it."""
    monkeypatch.chdir(shutil.copytree(made_once, tmp_path / "made"))
    return Path.cwd()


def write_study(name: str, overrides: dict) -> None:
    write_overrides(f"{name}/study", overrides)


def write_overrides(name: str, content: object) -> None:
    """Write a YAML file in studies/."""
    file = Path(f"studies/{name}.yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize("left", ["study other", "no YAML"])
def test_statistics_of_a_study_whatever_params_yaml_holds(made, study_stage, monkeypatch, record_fault, left):
    before = digests(made, "metrics")
    if left == "no YAML":
        Path("params.yaml").write_text("{")
    else:
        left_by("other")
    monkeypatch.setattr(sys, "argv", ["stage", "--name", "made"])
    monkeypatch.setattr(stages.statistics, "plot", lambda params: None)
    stages.statistics.main()
    assert digests(made, "metrics") == before
    record_fault(KIND, f"`make statistics NAME=made` where params.yaml holds {left}", "the study's own numbers")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("other", "metrics/other/records: is missing: study other has not run; run `make study NAME=other`"),
        ("default", "metrics/default/records: is missing: study default has not run; run `make repro`"),
        (
            "made",
            "metrics/made/records/late: is missing: study made has not run on this task; run `make study NAME=made`",
        ),
    ],
)
def test_statistics_of_what_has_not_run(made, monkeypatch, capsys, record_fault, name, expected):
    settings = {"late": read_yaml(Path("params.yaml"))["task_settings"]["tiny"]}
    write_study("made", {"tasks": ["tiny", "late"], "task_settings": settings})
    monkeypatch.setattr(sys, "argv", ["stage", "--name", name])
    with pytest.raises(SystemExit, match="1"):
        stages.statistics.main()
    told = capsys.readouterr().err
    assert told == f"error: {expected}\n"
    record_fault(KIND, f"`make statistics NAME={name}` before all of its runs", f"`` {told.strip()} ``")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"seeds": [0, 1, 2]}, "lacks the run tiny/teacher/ce/2, which the study asks for"),
        ({"seeds": [0]}, "has the run tiny/teacher/ce/1, which the study does not ask for"),
    ],
)
def test_statistics_of_a_study_whose_file_asks_for_other_runs(made, monkeypatch, capsys, record_fault, overrides, told):
    write_study("made", overrides)
    monkeypatch.setattr(sys, "argv", ["stage", "--name", "made"])
    with pytest.raises(SystemExit, match="1"):
        stages.statistics.main()
    line = capsys.readouterr().err.strip()
    allowed = "run `make study NAME=made`, or undo the change of the study's settings"
    assert line == f"error: metrics/made/records/tiny: {told}; {allowed}"
    record_fault(KIND, f"`make statistics` where a study's file now says {overrides}", f"`` {line} ``")


def test_evaluation_by_hand_where_params_ask_for_other_runs(made, monkeypatch, capsys, record_fault):
    """`make statistics` without a name runs this stage alone."""
    content = read_yaml(Path("params.yaml")) | {"study": "made"}
    content["finetune"]["arms"]["late"] = {"cmi_weight": 1.0}
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(SystemExit, match="1"):
        stages.evaluate.main()
    line = capsys.readouterr().err.strip()
    assert "lacks the run tiny/teacher/late/0, which the study asks for" in line
    record_fault(KIND, "evaluation by hand after an arm was added", f"`` {line} ``")


def test_a_study_is_confirmed_alike_in_a_clone_and_after_another_study(made, study_stage, monkeypatch, record_fault):
    def confirmed(folder: Path) -> str:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["stage", "--study", "made", "--name", "sure", "--seeds", "5", "6"])
        stages.confirm.main()
        return Path("studies/sure/study.yaml").read_text()

    run(made, "git", "clone", "--quiet", str(made), "clone")
    in_clone = confirmed(made / "clone")
    monkeypatch.chdir(made)
    left_by("other")
    assert confirmed(made) == in_clone
    record_fault(
        KIND, "`stages.confirm` in a workspace that another study changed", "the file that a fresh clone gives"
    )


@pytest.fixture
def pipeline(workspace) -> Path:
    """The same with a pipeline of one stage, which keeps the params that it sees, and fails where it is told to."""
    command = "python -c 'import dvc' && cp params.yaml seen.yaml && test ! -e fail"
    see = {"cmd": command, "params": ["study"], "outs": ["seen.yaml"]}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"see": see}}))
    Path(".dvc/tmp").mkdir(parents=True)
    Path(".dvc/config").touch()
    commit(workspace, "seen.yaml", "fail", "studies/new")
    return workspace


def study_process(name: str, path: str = "/usr/bin:/bin") -> tuple[int, str]:
    """`make study` by an interpreter whose folder is not on the path: exit status and last line."""
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "stages.study", "--name", name]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout.strip()


def test_a_study_that_fails_half_way(pipeline, record_fault):
    shutil.copytree("studies/human", "studies/new")
    Path("fail").touch()
    before = Path("params.yaml").read_bytes()
    status, told = study_process("new")
    assert status != 0
    assert "failed to run" in told
    assert "warning: studies/new/study.yaml: has uncommitted changes; commit them" in told
    assert read_yaml(Path("seen.yaml"))["study"] == "new"
    assert Path("params.yaml").read_bytes() == before
    record_fault(KIND, "a stage fails within `make study`", "DVC's line; params.yaml is put back")


def test_an_edit_of_params_while_a_study_fails(workspace, capsys, record_fault):
    before = Path("params.yaml").read_bytes()
    for edit, after, warned in ((None, before, ""), (b"seeds: [7]\n", b"seeds: [7]\n", "warning: params.yaml: was")):
        with suppress(SystemExit), params_in_place(b"study: human\n"):
            if edit:
                Path("params.yaml").write_bytes(edit)
            sys.exit(1)
        assert Path("params.yaml").read_bytes() == after
        told = capsys.readouterr().err
        assert told.startswith(warned)
        assert len(told.splitlines()) == bool(edit)
    record_fault(KIND, "you edit params.yaml while a study runs, which then fails", f"`` {told.strip()} ``")


@pytest.mark.parametrize("key", ["other", 5])
def test_a_study_file_that_names_another_study(workspace, study_stage, record_fault, key):
    write_study("mine", {"study": key, "seeds": [1]})
    _, told = study_stage("--name", "mine", "--dry")
    problem = "and a study has the name of its folder; delete this key, or rename the folder"
    assert told == f"error: studies/mine/study.yaml: study: is {key!r}, {problem}"
    write_study("mine", {"study": "mine", "seeds": [1]})
    assert study_stage("--name", "mine", "--dry") == ("study: mine", "")
    record_fault(KIND, f"studies/mine/study.yaml with `study: {key}`", f"`` {told} ``")


def test_a_study_file_with_a_misspelt_arm(workspace, study_stage, record_fault):
    write_study("mine", {"evaluate": {"claims": {"alone": {"family": "cmi_mni"}}}})
    _, told = study_stage("--name", "mine", "--dry")
    assert told.startswith("error: studies/mine/study.yaml: evaluate.claims.alone: unknown teacher arm or family")
    record_fault(KIND, "a claim of studies/mine/study.yaml about an unknown arm", f"`` {told} ``")


PARTS = {"looping": {"include": ["other"]}, "other": {"include": ["looping"]}, "list": [1]}
INCLUDES = {
    "no list": ("glue-tasks", ": is 'glue-tasks'; write a list of parts; allowed: {parts}"),
    "no name": ([["glue-tasks"]], ": no such part ['glue-tasks']; allowed: {parts}"),
    "an unknown part": (["glue"], ": no such part 'glue'; allowed: {parts}"),
    "no file of studies/parts": (["../mpnet/study"], ": no such part '../mpnet/study'; allowed: {parts}"),
    "a part that includes itself": (["looping"], ": 'looping' includes itself; delete 'looping' from this list"),
    "a part without overrides": (["list"], ": holds no overrides; write keys of params.yaml with their values"),
}


@pytest.mark.fault
@pytest.mark.parametrize("case", INCLUDES)
def test_a_part_that_cannot_be_included(workspace, study_stage, record_fault, case):
    for name, content in PARTS.items():
        write_overrides(f"parts/{name}", content)
    value, told = INCLUDES[case]
    write_study("mine", {"include": value, "seeds": [1]})
    _, line = study_stage("--name", "mine", "--dry")
    parts = ", ".join(sorted(path.stem for path in Path("studies/parts").glob("*.yaml")))
    files = {"a part that includes itself": "parts/other.yaml: include", "a part without overrides": "parts/list.yaml"}
    assert line == f"error: studies/{files.get(case, 'mine/study.yaml: include')}{told.format(parts=parts)}"
    record_fault(KIND, f"`include` in studies/mine/study.yaml names {case}", f"`` {line} ``")


def test_a_part_that_is_not_committed_is_named(workspace, capsys):
    write_overrides("parts/mine", {"seeds": [1]})
    write_study("new", {"include": ["glue-tasks", "mine"]})
    tell_uncommitted("new")
    told = [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()]
    assert told == ["studies/parts/mine.yaml", "studies/new/study.yaml"]


def test_restore_without_git(workspace, monkeypatch, capsys, record_fault):
    monkeypatch.setattr(sys, "argv", ["stage"])
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SystemExit, match="1"):
        stages.restore.main()
    told = capsys.readouterr().err
    assert told == "error: git: is not on the path; install it\n"
    record_fault(KIND, "`make restore` without git", f"`` {told.strip()} ``")


def test_restore_of_one_file(pipeline, monkeypatch, capsys):
    changed("seeds", [7])
    monkeypatch.setattr(sys, "argv", ["stage"])
    stages.restore.main()
    assert capsys.readouterr().out.startswith("restored as committed: 1 file; `git stash pop` brings back")


@pytest.mark.slow
def test_a_study_that_ran_already_at_this_commit(pipeline, record_fault):
    assert study_process("human")[0] == 0
    assert read_yaml(Path("seen.yaml")) == study_content("human")
    record_fault(KIND, "`.venv/bin/python -m stages.study` without `.venv/bin` on the path", "it runs with its own DVC")

    status, told = study_process("human")
    assert (status, told.splitlines()[-1]) == (0, "experiment human is up to date")
    assert study_process("mpnet")[0] == 0
    assert read_yaml(Path("seen.yaml")) == study_content("mpnet")
    assert study_process("human")[0] == 0
    assert read_yaml(Path("params.yaml")) == study_content("human")


@pytest.mark.parametrize(
    ("what", "told"), [("seeds", "seeds"), ("the code", "stages/some.py"), ("the list of modules", "src/new.py")]
)
def test_a_study_changed_after_it_ran_at_this_commit(pipeline, study_stage, record_fault, what, told):
    """Known before any work; and what the study itself left in params.yaml is in nobody's way."""
    Path("stages").mkdir()
    Path("stages/some.py").touch()
    commit(pipeline)
    left_by("human")
    head = run(pipeline, "git", "rev-parse", "HEAD").strip()
    run(pipeline, "git", "commit", "--quiet", "--all", "--message", "the experiment")
    run(pipeline, "git", "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/human", "HEAD")
    run(pipeline, "git", "reset", "--quiet", "--soft", head)
    if what == "seeds":
        text = Path("studies/human/study.yaml").read_text()
        Path("studies/human/study.yaml").write_text(text.replace("[10, 11, 12, 13, 14]", "[10, 11]"))
    elif what == "the code":
        Path("stages/some.py").write_text("# other code\n")
    else:
        Path("src").mkdir()
        Path("src/new.py").touch()
    _, line = study_stage("--name", "human")
    problem = f"exists already at this commit, with another {told}"
    ways = "keep it as another (`dvc exp rename human human-before`) or `dvc exp remove human`"
    assert line == f"error: experiment human: {problem}; {ways}, then `make study NAME=human`"
    record_fault(KIND, f"`make study` again at one commit after a change of {what}", f"`` {line} ``")


def test_another_study_while_one_runs(pipeline, study_stage, record_fault):
    from src.parallel.launcher import only_launcher

    before = Path("params.yaml").read_bytes()
    with only_launcher():
        _, told = study_stage("--name", "human")
    assert told.startswith("error: .dvc/tmp/units: another launcher already runs its units; wait for that launcher")
    assert Path("params.yaml").read_bytes() == before
    record_fault(KIND, "`make study` while another study runs in the workspace", f"`` {told} ``")


@pytest.fixture
def dvc_at_work(pipeline) -> Generator[int]:
    """A plain `dvc repro` in the middle of a stage, in a workspace that an experiment has changed: its process."""
    wait = {"cmd": "touch begun && sleep 60"}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"wait": wait}}))
    commit(pipeline, "begun")
    with start(pipeline, "dvc", "repro", "wait") as process:
        while not Path("begun").exists():
            assert process.poll() is None
            time.sleep(0.05)
        yield process.pid
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize(("stage", "options"), [("restore", ()), ("study", ("--name", "human"))])
def test_params_stay_as_they_are_under_a_plain_dvc(dvc_at_work, monkeypatch, capsys, record_fault, stage, options):
    if stage == "restore":
        changed("seeds", [7])
    before = Path("params.yaml").read_bytes()
    monkeypatch.setattr(sys, "argv", ["stage", *options])
    with pytest.raises(SystemExit, match="1"):
        importlib.import_module(f"stages.{stage}").main()
    problem = f"DVC runs here (process {dvc_at_work}); wait for that process or stop it, and run again"
    assert capsys.readouterr().err.splitlines() == [f"error: {Path.cwd()}: {problem}"]
    assert Path("params.yaml").read_bytes() == before
    line = f"error: REPOSITORY: {problem.replace(str(dvc_at_work), '1234')}"
    record_fault(KIND, f"`make {stage}` while a plain `dvc repro` runs a stage", f"`` {line} ``")


def test_restore_while_make_repro_runs_what_is_not_a_unit(pipeline, record_fault):
    """Its last part, a plain `dvc repro`, is under the launcher's lock too."""
    wait = {"cmd": "touch begun && sleep 60", "outs": ["end"]}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"wait": wait}}))
    commit(pipeline, "begun", "end")
    here = {"PYTHONPATH": str(REPOSITORY)}
    with start(pipeline, sys.executable, "-m", "stages.repro", **here) as process:
        while not Path("begun").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        told = run(pipeline, "env", f"PYTHONPATH={REPOSITORY}", sys.executable, "-m", "stages.restore", ok=False)
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert told.startswith("error: .dvc/tmp/units: another launcher already runs its units; wait for that launcher")
    record_fault(KIND, "`make restore` while `make repro` runs its last stages", f"`` {told.strip()} ``")
