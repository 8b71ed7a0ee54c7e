"""The way to the Hugging Face hub, against a server on the loopback interface that speaks the hub's HTTP API.

Slow are those that wait for the library to give up, and one that prepares all tasks.
"""

import json
import os
import pty
import shutil
import termios
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.conftest import flipped
from tests.support.forked_stages import forked_stages
from tests.support.hub_repositories import bert, changed, distilbert, glue
from tests.support.hub_server import Answer, Fault, Request, missing, serving
from tests.support.hub_world import FINETUNE, KIND, RTE, World, as_told, check_refused, last_line, study
from tests.support.repository import may_only_be_read, small_disk, without_privileges

BERT, DISTILBERT = "google-bert/bert-base-uncased", "distilbert/distilbert-base-uncased"
MADE_UP = {"auto_map": {"AutoConfig": "coded.Config"}, "model_type": "coded"}
LARGEST = 100_000  # bytes: the weights, and no other file, are larger


def is_data(content: bytes) -> bool:
    return content.startswith(b"PAR1")


def always(answer: Answer) -> Fault:
    return lambda request, good: answer


def first(count: int, answer: Answer) -> Fault:
    return lambda request, good: answer if request.number <= count else good


def of_content(least: int, change: Callable[[Request, Answer], Answer]) -> Fault:
    """Changes what is sent of files of `least` bytes or more, and no other answer."""

    def fault(request: Request, good: Answer) -> Answer:
        return change(request, good) if request.path.startswith("/stored/") and len(good.content) >= least else good

    return fault


def cut_once() -> Fault:
    """The connection ends after 60,000 bytes of the weights, the first time."""
    cuts = iter([60_000])
    return of_content(LARGEST, lambda request, good: replace(good, cut=next(cuts, None)))


ZEROS = of_content(LARGEST, lambda request, good: replace(good, content=bytes(len(good.content))))
SHORT = of_content(LARGEST, lambda request, good: replace(good, content=good.content[:-5000]))
CHANGED = of_content(
    1000, lambda request, good: replace(good, content=flipped(good.content, 100)) if is_data(good.content) else good
)
GATED = always(missing("GatedRepo", "Access to this repository is restricted.", 403))
HIDDEN = always(missing("RepoNotFound", "Repository not found", 401))
# The last word of a repository's name: what happens to requests for it, in words, and what the stage says of it.
FAILING: dict[str, tuple[Fault, str, str]] = {
    "gated": (
        GATED,
        "a gated model (403)",
        "(it is gated); accept its terms on its page, and log in with `hf auth login`",
    ),
    "hidden": (
        HIDDEN,
        "a private model (401)",
        "(the hub has no such model, or hides it from you); check its name, or log in with `hf auth login`",
    ),
    "zeros": (
        ZEROS,
        "weights of the right size and of other bytes",
        "differs from model.safetensors of org/zeros; del",
    ),
    "short": (SHORT, "weights of another size than the hub says", "Consistency check failed: file should be of size"),
}
RECOVERING: dict[str, tuple[Fault, str]] = {
    "busy": (first(1, Answer(429, {"Retry-After": "1"})), "429, too many requests, with Retry-After"),
    "ill": (first(3, Answer(500)), "500 three times, and then well"),
    "late": (lambda request, good: replace(good, wait=0.1), "a server that takes 0.1 s for each answer"),
    "cut": (cut_once(), "a connection cut in the middle of the weights"),
}
GIVEN_UP: dict[str, tuple[Fault, str, str]] = {
    "limited": (always(Answer(429, {"Retry-After": "1"})), "429 for ever", "429"),
    "down": (always(Answer(503)), "503 for ever", "503"),
    "silent": (lambda request, good: replace(good, wait=4.0), "a server that does not answer within 2 s", "timed out"),
}
FAULTS: dict[str, Fault] = {f"org/{name}": fault for name, (fault, *_) in (FAILING | RECOVERING | GIVEN_UP).items()}
NOT_THERE: dict[str, tuple[dict[str, str], str, str]] = {
    "no model": (
        {"name": "org/none"},
        "a model that does not exist (404)",
        "(the hub has no such model, or hides it from you)",
    ),
    "no name": (
        {"name": "a b/c"},
        "what is no name of a model",
        "is not the name of a model on the hub (Repo id must use",
    ),
    "no revision": (
        {"revision": "a" * 40},
        "a revision that does not exist",
        "(it has no such revision); set revision to",
    ),
    "no config": (
        {"name": "org/bare"},
        "a model without a config.json",
        "has no config.json; name a folder of a Hugging",
    ),
    "pickled": (
        {"name": "org/pickled"},
        "a model with pickled weights only",
        "has no .safetensors file; save the model as safetensors",
    ),
    "coded": ({"name": "org/coded"}, "a model that comes with code", "contains custom code which must be executed"),
}
# The same of data sets.
DATA_FAULTS: dict[str, tuple[Fault, str, str]] = {
    "shut": (GATED, "a gated data set (403)", "cannot be loaded (Dataset 'org/shut' is a gated dataset on the Hub."),
    "veiled": (
        HIDDEN,
        "a private data set (401)",
        "Dataset 'org/veiled' doesn't exist on the Hub or cannot be accessed",
    ),
    "changed": (
        CHANGED,
        "a data set's file with a changed bit",
        "differs from test-00000-of-00001.parquet of org/changed; delete it and run again",
    ),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("hub")
    small = bert(root / "bert")
    repositories = {
        "datasets/nyu-mll/glue": glue(),
        BERT: small,
        DISTILBERT: distilbert(root / "distilbert"),
        "org/sharded": bert(root / "sharded", max_shard_size="60KB"),
        "org/pickled": changed(small, {"model.safetensors": None, "pytorch_model.bin": b"\x80\x04."}),
        **{f"datasets/org/{name}": glue() for name in DATA_FAULTS},
        "org/bare": changed(small, {"config.json": None}),
        "org/coded": changed(small, {"config.json": json.dumps(MADE_UP).encode(), "coded.py": b"open('ran', 'w')\n"}),
        **dict.fromkeys([*FAULTS, "org/other", "org/never"], small),
    }
    with serving(repositories) as hub:
        hub.faults = FAULTS | {f"datasets/org/{name}": fault for name, (fault, *_) in DATA_FAULTS.items()}
        environment = {"HF_ENDPOINT": hub.address, "HF_HOME": str(root / "hf")}
        with forked_stages(root, HF_HUB_DOWNLOAD_TIMEOUT="2", HF_HUB_ETAG_TIMEOUT="2", **environment) as stages:
            own = World(hub, root, stages)
            assert stages(*RTE, folder=own.folder()).status == 0
            yield own


@pytest.mark.slow
def test_the_study_of_the_hub_runs_from_it_and_then_from_the_cache_alone(world, record_fault):
    """The data of all eight tasks, and three runs; then without a request, and then without a server."""
    folder, tasks = world.folder(), study()["tasks"]
    places, home = [world.folder(), world.folder()], str(world.root / "hf")
    with (  # which take their time to start, meanwhile
        forked_stages(places[0], HF_HOME=home, HF_ENDPOINT=world.hub.address, HF_HUB_OFFLINE="1") as offline,
        forked_stages(places[1], HF_HOME=home, HF_ENDPOINT="http://127.0.0.1:9") as without_hub,
    ):
        for task in tasks:
            assert world.stages("prepare", "--task", task, folder=folder).status == 0
        student = ("student", "--task", "glue-rte", "--arm", "plain", "--seed", "0")
        three_labels = ("finetune", "--task", "glue-mnli", "--arm", "ce", "--seed", "0")
        for run in (FINETUNE, student, three_labels):
            ended = world.stages(*run, folder=folder)
            assert ended.status == 0, ended.errors
        world.hub.asked.clear()
        for stages, prepared in ((offline, tasks), (without_hub, ["glue-rte"])):
            for task in prepared:
                assert stages("prepare", "--task", task).status == 0
            assert stages(*FINETUNE).status == 0
    for again in places:
        for path in [path for made in ("data", "runs/glue-rte/teacher") for path in (again / made).rglob("*")]:
            assert path.is_dir() or path.read_bytes() == (folder / path.relative_to(again)).read_bytes()
    assert world.hub.asked == []
    record_fault(KIND, "HF_HUB_OFFLINE, or no hub at all, with a full cache", "the same bytes; no request is sent")


def test_of_a_model_only_what_is_used_is_fetched_and_once(world):
    folder = world.prepared(name="org/sharded")
    world.hub.asked.clear()
    ended = world.stages(*FINETUNE, folder=folder)
    assert (ended.status, ended.errors) == (0, f"fetching org/sharded from {world.hub.address}\n")
    files = {line.rpartition("/")[2] for line in world.hub.asked if line.startswith("HEAD /org/")}
    shards = {f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)}
    assert files == {"config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors.index.json", *shards}
    world.hub.asked.clear()
    assert world.stages(*FINETUNE, folder=world.prepared(name="org/sharded")).errors == ""
    assert world.hub.asked == []


def test_on_a_terminal_there_are_progress_bars(world, tmp_path):
    ours, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    process = world.alone(world.prepared(), *FINETUNE, errors=terminal, HF_HOME=str(tmp_path))
    process.communicate()
    os.close(terminal)
    seen = os.read(ours, 100_000).decode()
    os.close(ours)
    assert process.returncode == 0
    assert seen.startswith(f"fetching {BERT} from {world.hub.address}")
    assert "Download complete" in seen


@pytest.mark.parametrize("name", FAILING)
def test_a_fault_is_one_line_and_leaves_nothing(world, record_fault, name):
    _, fault, expected = FAILING[name]
    folder = world.prepared(name=f"org/{name}")
    told = check_refused(world, world.stages(*FINETUNE, folder=folder), expected)
    assert not (folder / "runs").exists()
    record_fault(KIND, fault, told)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_damaged_file_of_the_cache_is_named_and_fetched_again_once_it_is_deleted(world, record_fault, file):
    assert world.stages(*FINETUNE, folder=world.prepared(name="org/other")).status == 0
    [link] = (world.root / "hf/hub/models--org--other/snapshots").glob(f"*/{file}")
    link.resolve().write_bytes(flipped(link.read_bytes(), 20))
    ended = world.stages(*FINETUNE, folder=world.prepared(name="org/other"))
    assert (ended.status, last_line(ended.errors)) == (
        1,
        f"error: {link.resolve()}: differs from {file} of org/other; delete it and run again",
    )
    record_fault(KIND, f"a bit flipped in {file} of the cache", as_told(world, ended.errors))
    link.resolve().unlink()
    assert world.stages(*FINETUNE, folder=world.prepared(name="org/other")).status == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", GIVEN_UP)
def test_what_does_not_pass_is_one_line_in_the_end(world, record_fault, name):
    _, fault, expected = GIVEN_UP[name]
    ended = world.stages(*FINETUNE, folder=world.prepared(name=f"org/{name}"))
    record_fault(KIND, fault, check_refused(world, ended, expected))


@pytest.mark.parametrize("name", RECOVERING)
def test_what_passes_is_waited_for(world, record_fault, name):
    ended = world.stages(*FINETUNE, folder=world.prepared(name=f"org/{name}"))
    assert ended.status == 0, ended.errors
    record_fault(KIND, RECOVERING[name][1], "waits or asks again, and trains")


@pytest.mark.parametrize("case", NOT_THERE)
def test_what_is_not_there_or_may_not_be_used_is_one_line(world, record_fault, case):
    teacher, fault, expected = NOT_THERE[case]
    folder = world.prepared(**teacher)
    told = check_refused(world, world.stages(*FINETUNE, folder=folder), expected)
    left = {path.name for path in folder.iterdir()}
    assert left <= {"params.yaml", "data", "checkpoints", "logs"}  # and none named `ran`
    record_fault(KIND, fault, told)


@pytest.mark.parametrize("name", DATA_FAULTS)
def test_a_fault_with_a_data_set_is_one_line_and_leaves_nothing(world, record_fault, name):
    _, fault, expected = DATA_FAULTS[name]
    folder = world.folder(repository=f"org/{name}")
    told = check_refused(world, world.stages(*RTE, folder=folder), expected)
    assert not (folder / "data/glue-rte").exists()
    record_fault(KIND, fault, told)


def test_two_stages_fetch_a_model_at_once_into_a_folder_with_an_odd_name(world, record_fault):
    home = {"HF_HOME": str(world.root / "Größe 大 with blanks")}
    folders = [world.prepared() for _ in range(2)]
    for process in [world.alone(folder, *FINETUNE, **home) for folder in folders]:
        assert process.communicate()[1] in ("", f"fetching {BERT} from {world.hub.address}\n")
        assert process.returncode == 0
    record = "runs/glue-rte/teacher/ce/0/record.json"
    assert (folders[0] / record).read_bytes() == (folders[1] / record).read_bytes()
    record_fault(KIND, "two stages that fetch the same model at once, HF_HOME with blanks and 大", "both train")


@pytest.fixture(scope="module")
def of_another_user(world, tmp_path_factory) -> dict[str, tuple[int, str]]:
    """How teachers of two models end, of which one is in the cache, where the cache may only be read."""
    assert world.stages(*FINETUNE, folder=world.prepared()).status == 0
    home = shutil.copytree(world.root / "hf", tmp_path_factory.mktemp("read-only") / "hf", symlinks=True)
    may_only_be_read(home)
    under = tuple(without_privileges())
    processes = {
        name: world.alone(world.prepared(name=name), *FINETUNE, under=under, HF_HOME=str(home))
        for name in (BERT, "org/never")
    }
    ended = {name: process.communicate()[1].replace(str(home), ".../hf") for name, process in processes.items()}
    return {name: (processes[name].returncode, errors) for name, errors in ended.items()}


def test_a_full_cache_of_another_user_may_only_be_read(of_another_user, record_fault):
    assert of_another_user[BERT] == (0, "")
    record_fault(KIND, "a full cache that may only be read", "trains")


def test_a_cache_of_another_user_that_lacks_the_model_is_named(world, of_another_user, record_fault):
    status, errors = of_another_user["org/never"]
    assert status == 1
    assert last_line(errors).endswith(
        "models--org--never: cannot be written (Permission denied); set HF_HOME to a folder that you may write to"
    )
    record_fault(KIND, "a cache that may only be read, and lacks the model", as_told(world, errors))


def test_a_cache_without_room_is_named(world, tmp_path, record_fault):
    with small_disk(home := tmp_path / "hf", "100k"):
        folder = world.prepared()
        process = world.alone(folder, *FINETUNE, HF_HOME=str(home))
        errors = process.communicate()[1]
    assert process.returncode == 1
    assert "no space left on its disk" in last_line(errors)
    record_fault(KIND, "no room in the cache for the weights", as_told(world, errors.replace(str(tmp_path), "...")))


@pytest.mark.slow
def test_a_proxy_that_is_not_there_is_named(world, tmp_path, record_fault):
    proxy = {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}
    process = world.alone(world.prepared(), *FINETUNE, HF_HOME=str(tmp_path), **proxy)
    errors = process.communicate()[1]
    assert process.returncode == 1
    assert "cannot be fetched" in last_line(errors)
    record_fault(KIND, "a proxy variable that leads nowhere", as_told(world, errors))
