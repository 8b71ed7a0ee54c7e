"""Files of the hub in other ways: a cache without links, mirrors that send other ETags, an expired token."""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import flipped
from tests.support.forked_stages import forked_stages
from tests.support.hub_repositories import bert, glue
from tests.support.hub_server import Answer, Fault, Request, serving
from tests.support.hub_world import FINETUNE, KIND, RTE, World, as_told, check_refused


def with_etag(digest: str) -> Fault:
    """Another hash of a file as its ETag."""

    def fault(request: Request, good: Answer) -> Answer:
        tag = "X-Linked-Etag" if "X-Linked-Etag" in good.headers else "ETag"
        content = good.content or good.headers.get("X-Linked-Etag", "").encode()  # any stands for a large file's
        return replace(good, headers=good.headers | {tag: f'"{hashlib.new(digest, content).hexdigest()}"'})

    return lambda request, good: fault(request, good) if "/resolve/" in request.path else good


def without_commit(request: Request, good: Answer) -> Answer:
    return replace(good, headers={name: value for name, value in good.headers.items() if name != "X-Repo-Commit"})


def without_token(request: Request, good: Answer) -> Answer:
    """The hub's answer to an expired token, also where none is needed."""
    said = "Invalid credentials in Authorization header"
    refusal = Answer(
        401, {"X-Error-Message": said, "Content-Type": "application/json"}, b'{"error": "%s"}' % said.encode()
    )
    return refusal if "authorization" in request.headers else good


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("hub")
    small = bert(root / "bert")
    models = dict.fromkeys(["org/tiny", "org/sha1", "org/md5", "org/nameless", "org/public"], small)
    data = dict.fromkeys(["datasets/nyu-mll/glue", "datasets/org/md5", "datasets/org/public"], glue())
    with serving(data | models) as hub:
        hub.faults = {"org/sha1": with_etag("sha1"), "org/md5": with_etag("md5"), "org/nameless": without_commit}
        hub.faults |= {"datasets/org/md5": with_etag("md5")}
        hub.faults |= dict.fromkeys(["org/public", "datasets/org/public"], without_token)
        with forked_stages(root, HF_ENDPOINT=hub.address, HF_HOME=str(root / "hf"), HF_TOKEN="hf_expired") as stages:
            own = World(hub, root, stages)
            assert stages(*RTE, folder=own.folder()).status == 0
            yield own


def without_links(world: World, repository: str) -> Path:
    """The cache of a repository in the form that `cp -rL` and HF_HUB_DISABLE_SYMLINKS give it."""
    folder = world.root / "hf/hub" / repository
    copy = shutil.copytree(folder, folder.with_name("copy"))
    shutil.rmtree(folder)
    copy.rename(folder)
    return next((folder / "snapshots").iterdir())


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_damaged_model_in_a_cache_without_links(world, record_fault, file):
    assert world.stages(*FINETUNE, folder=world.prepared(name="org/tiny")).status == 0
    path = without_links(world, "models--org--tiny") / file
    path.write_bytes(flipped(path.read_bytes(), 20))
    ended = world.stages(*FINETUNE, folder=world.prepared(name="org/tiny"))
    told = check_refused(world, ended, f"error: {path}: differs from {file} of org/tiny; delete it and run again")
    record_fault(KIND, f"a bit flipped in {file} of a cache without links (`cp -rL`)", told)
    path.unlink()
    assert world.stages(*FINETUNE, folder=world.prepared(name="org/tiny")).status == 0


def test_a_damaged_data_set_in_a_cache_without_links(world, record_fault):
    path = without_links(world, "datasets--nyu-mll--glue") / "rte/train-00000-of-00001.parquet"
    sound = path.read_bytes()
    path.write_bytes(flipped(sound, 100))
    ended = world.stages(*RTE, folder=world.folder())
    path.write_bytes(sound)
    told = check_refused(world, ended, f"error: {path}: differs from {path.name} of nyu-mll/glue; delete it and ")
    record_fault(KIND, "a bit flipped in a data set of a cache without links", told)


@pytest.mark.parametrize("digest", ["sha1", "md5"])
def test_a_mirror_that_sends_another_hash_as_etag(world, record_fault, digest):
    for told in (f"fetching org/{digest} from {world.hub.address}\n", ""):
        ended = world.stages(*FINETUNE, folder=world.prepared(name=f"org/{digest}"))
        assert (ended.status, ended.errors) == (0, told)
    record_fault(
        KIND, f"a mirror whose ETag is the {digest.upper()} of the content", "compares with the listing; trains"
    )


def test_a_data_set_of_such_a_mirror_without_a_listing_is_not_compared_which_a_line_says(world, record_fault):
    assert world.stages(*RTE, folder=world.folder("org/md5")).status == 0
    folder = world.root / "hf/hub/datasets--org--md5"
    shutil.rmtree(folder / "trees")
    ended = world.stages(*RTE, folder=world.folder("org/md5"))
    [line] = ended.errors.splitlines()
    [snapshot] = (folder / "snapshots").iterdir()
    assert ended.status == 0
    assert line == f"warning: {snapshot}: 4 files, such as README.md, cannot be checked without a hash"
    record_fault(KIND, "the same without a listing of hashes in the cache", as_told(world, ended.errors))


def test_a_mirror_that_names_no_commit_is_refused_by_the_library(world, record_fault):
    ended = world.stages(*FINETUNE, folder=world.prepared(name="org/nameless"))
    told = check_refused(world, ended, "is missing the 'X-Repo-Commit' header")
    record_fault(KIND, "a mirror that sends no X-Repo-Commit", told)


@pytest.mark.parametrize("what", ["model", "data set"])
def test_an_expired_token_is_named(world, record_fault, what):
    if what == "model":
        ended = world.stages(*FINETUNE, folder=world.prepared(name="org/public"))
    else:
        ended = world.stages(*RTE, folder=world.folder("org/public"))
    expected = "(the hub refuses your token (401)); unset HF_TOKEN or renew it; public repositories need no token"
    record_fault(KIND, f"an expired HF_TOKEN, a public {what}", check_refused(world, ended, expected))
