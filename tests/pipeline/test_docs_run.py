"""The commands of README, docs/pipeline.md and docs/experiments.md run as they stand, one after the other."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from src.params import ModelSource, read_yaml
from tests.conftest import REPOSITORY, labelled_texts
from tests.support.pages import commands
from tests.support.repository import clone_with, digests, run, tiny_study

PAGES = ("README.md", "docs/pipeline.md", "docs/experiments.md")
COMPARE = "python -m stages.compare glue-minilm-rates/teacher/cmi_min_2 glue-minilm-fixed/teacher/ce --without wnli"
SKIPPED = dict.fromkeys(["make statistics NAME=glue-minilm", COMPARE], "the clone has no records of it")


def small_content(encoder: ModelSource, root: Path) -> dict:
    """Params with the names that the pages use, few rows and a tiny model; GLUE's files lie in `root`/glue."""
    (root / "source").mkdir()
    content = tiny_study(encoder, root / "source")
    content |= {"study": "default", "tasks": ["vader-movie"]}
    tasks = content["task_settings"]
    tasks |= dict.fromkeys(["vader-movie", "vader-tweets", "vader-nyt"], tasks.pop("tiny"))
    del content["finetune"]["arms"]["cmi_max"]
    for section in ("finetune", "student"):
        content[section]["training"]["epochs"] = 1
    (root / "glue/rte").mkdir(parents=True)
    for split, rows in (("train", 160), ("validation", 60)):
        texts = [{"sentence1": row["sentence"], "sentence2": "good", "label": row["label"]}
                 for row in labelled_texts(rows, seed=rows)]  # fmt: skip
        (root / f"glue/rte/{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    return content


def make_ready(folder: Path) -> None:
    """Have `make` find a virtual environment that is up to date: this Python's."""
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/activate").write_text(f'PATH="{Path(sys.executable).parent}:$PATH"\n')
    (folder / ".venv/ready").touch()  # later than the requirements


def changed_as_told(folder: Path, command: str) -> None:
    """What a comment says of params.yaml: `with seeds: 3`, or `with finetune.training.lrr in place of lr`."""
    told = re.search(r"# with (\S+)(?:: (\S+)| in place of (\S+))$", command)
    if told is None:
        return
    place, value, instead_of = told.groups()
    content = section = read_yaml(folder / "params.yaml")
    *path, last = place.split(".")
    for part in path:
        section = section[part]
    section[last] = section.pop(instead_of) if instead_of else yaml.safe_load(value)
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.mark.slow
def test_the_commands_of_the_pages_run_in_order(tmp_path, tiny_encoder):
    """In a clone of a repository with committed results, whose own runs and cache are not there."""
    first, folder = tmp_path / "first", tmp_path / "clone"
    clone_with(first, small_content(tiny_encoder, tmp_path))
    run(first, sys.executable, "-m", "stages.repro")
    run(first, "git", "add", "--all")
    run(first, "git", "commit", "--quiet", "--message", "results")
    run(tmp_path, "git", "clone", "--quiet", str(first), str(folder))
    for key in ("name", "email"):
        run(folder, "git", "config", f"user.{key}", "a@b")
    make_ready(folder)
    mine = folder / "metrics/mine/claims.json"
    mine.parent.mkdir()
    mine.write_text("results of another study, not committed\n")

    environment = os.environ | {"HF_HOME": str(tmp_path / "hf"), "PAGER": "cat"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    for command, printed in [pair for page in PAGES for pair in commands(page)]:
        if command.partition("#")[0].strip() in SKIPPED:
            continue
        changed_as_told(folder, command)
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False,
        )  # fmt: skip
        if printed.startswith("error: "):
            assert done.returncode != 0
            assert printed in done.stdout.splitlines(), done.stdout
            run(folder, "git", "checkout", "--quiet", "params.yaml")
        else:
            assert done.returncode == 0, f"{command}\n{done.stdout}"
        assert mine.is_file(), command


def test_restore_puts_back_what_an_experiment_changed_and_nothing_else(tmp_path):
    """Results of another study and the user's own code stay, and git's stash has what was there."""
    committed = {"params.yaml": "study: default\n", ".dvc/config": "", "dvc.yaml": "stages: {}\n"}
    committed |= dict.fromkeys(("src/code.py", "metrics/default/summary.json", "settings/a.json"), "{}\n")
    for path, text in committed.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / ".gitignore").write_text("/.dvc/tmp\n/.dvc/cache\n")
    run(tmp_path, "git", "init", "--quiet")
    for key in ("name", "email"):
        run(tmp_path, "git", "config", f"user.{key}", "a@b")
    run(tmp_path, "git", "add", "--all")
    run(tmp_path, "git", "commit", "--quiet", "--message", "all")
    before = digests(tmp_path, ".")
    shutil.rmtree(tmp_path / "settings")
    kept = ("src/code.py", "metrics/mine/claims.json", "plots/mine/a b.png")
    for path in ("params.yaml", "metrics/default/new.csv", "plots/default/é.png", *kept):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("study: tried\n")
    tried = digests(tmp_path, "params.yaml", "metrics", "plots", "settings", "src")
    here = ("env", f"PYTHONPATH={REPOSITORY}", sys.executable, "-m", "stages.restore")

    told = run(tmp_path, *here)

    assert told.startswith("restored as committed: 4 files; `git stash pop` brings back the old content")
    after = digests(tmp_path, "params.yaml", "metrics", "plots", "settings", "src")
    assert {name: tried[name] for name in kept} == {name: after.pop(name) for name in kept}
    assert after.items() <= before.items()
    assert "settings/a.json" in after
    assert "nothing to restore" in run(tmp_path, *here)
    run(tmp_path, "git", "stash", "pop", "--quiet")
    assert digests(tmp_path, "params.yaml", "metrics", "plots", "settings", "src") == tried


def test_drafts_are_not_for_git(tmp_path):
    """Those of a process that was killed while it wrote."""
    shutil.copy(REPOSITORY / ".gitignore", tmp_path)
    for path in (".params.yaml.draft-12", "metrics/s/.claims.json.draft-12", "settings/.a.json.draft-12"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    run(tmp_path, "git", "init", "--quiet")
    assert run(tmp_path, "git", "ls-files", "--others", "--exclude-standard").split() == [".gitignore"]


@pytest.mark.fault
def test_results_are_for_git_whatever_a_user_ignores(tmp_path, record_fault):
    """DVC leaves out of an experiment, without a word, what git ignores."""
    shutil.copy(REPOSITORY / ".gitignore", tmp_path)
    results = [
        "metrics/s/records/t/runs.csv",
        "metrics/s/tables/arms.csv",
        "plots/s/claims.png",
        "settings/t/data.json",
    ]
    results += ["metrics/s/records/t/predictions.parquet", "plots/s/data/epochs/t.csv"]
    for path in [*results, "plots/s-choice/claims.png", "plots/human/data/t.csv", "data/t/train.csv", "runs/t.csv"]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "ignored").write_text("*.csv\n*.png\n*.parquet\n*.json\nplots/\nmetrics\n")
    run(tmp_path, "git", "init", "--quiet")
    run(tmp_path, "git", "config", "core.excludesFile", str(tmp_path / "ignored"))
    listed = run(tmp_path, "git", "ls-files", "--others", "--exclude-standard").split()
    assert sorted(listed) == sorted([*results, ".gitignore", "ignored"])
    fault = "a user's git ignores *.csv, *.png, *.parquet and plots/"
    record_fault("named studies", fault, "an experiment has all of its results: the project's .gitignore asks for them")
