"""A Hugging Face hub on the loopback interface, with the part of its HTTP API that the pinned libraries use.

Repositories are kept in memory. Files of 1 kB and more are "large": as on the hub, `resolve` answers with a redirect to
another address, and names their SHA-256 as ETag.
"""

import hashlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = 1000
API = re.compile(
    r"/api/(?P<kind>models|datasets)/(?P<id>[^/]+/[^/]+)(?:/(?P<what>revision|tree|paths-info)/(?P<rest>.*))?"
)
FILE = re.compile(r"/(?P<kind>datasets/)?(?P<id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
STORED = re.compile(r"/stored/(?P<name>.+)/(?P<digest>[0-9a-f]{64})")


@dataclass(frozen=True)
class Repository:
    """The files of a repository at one revision, by path."""

    revision: str
    files: dict[str, bytes]


@dataclass
class Answer:
    """The answer to a request: status, headers, content. `cut` is the byte after which the connection ends."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    cut: int | None = None
    wait: float = 0.0


class Request(NamedTuple):
    """A request and its number among those for its repository, from 1. Names of headers are in lower case."""

    number: int
    method: str
    path: str
    headers: dict[str, str]


Fault = Callable[[Request, Answer], Answer]  # puts another answer in the place of the good one


class Hub(ThreadingHTTPServer):
    """The server; `asked` has every request as "METHOD path", and `faults` change the answers of some repositories."""

    daemon_threads = True

    def __init__(self, repositories: dict[str, Repository]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories = repositories
        self.stored = {
            hashlib.sha256(content).hexdigest(): content
            for repository in repositories.values()
            for content in repository.files.values()
        }
        self.asked: list[str] = []
        self.faults: dict[str, Fault] = {}
        self.counts: Counter[str] = Counter()

    def handle_error(self, *_: object) -> None:
        """Do nothing: clients that were cut off or did not wait are gone."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, method: str, target: str, headers: dict[str, str]) -> Answer:
        """The answer to a request, with the fault in it if there is one."""
        parts = urlsplit(target)
        path = unquote(parts.path)
        self.asked.append(f"{method} {path}")
        if match := API.fullmatch(path):
            name, good = _name(match), self._api(match, parse_qs(parts.query))
        elif match := FILE.fullmatch(path):
            name, good = _name(match), self._file(match)
        elif match := STORED.fullmatch(path):
            content = self.stored[match["digest"]]
            name, good = match["name"], Answer(headers={"ETag": f'"{match["digest"]}"'}, content=content)
        else:
            return missing("EntryNotFound", f"no page {path}")
        if name not in self.faults:
            return good
        self.counts[name] += 1
        return self.faults[name](Request(self.counts[name], method, path, headers), good)

    def _found(self, name: str, revision: str | None) -> Repository | Answer:
        repository = self.repositories.get(name)
        if repository is None:
            return missing("RepoNotFound", "Repository not found", status=401)  # as the hub says it without a token
        if revision not in (None, "main", repository.revision):
            return missing("RevisionNotFound", f"Invalid rev id: {revision}")
        return repository

    def _api(self, match: re.Match, query: dict[str, list[str]]) -> Answer:
        revision, _, below = (match["rest"] or "").partition("/")
        found = self._found(_name(match), revision or None)
        if isinstance(found, Answer):
            return found
        if match["what"] in ("tree", "paths-info"):
            entries = list(_tree(found.files, below, recursive=query.get("recursive", ["false"])[0].lower() == "true"))
            if below and not entries:
                return missing("EntryNotFound", f"{below} does not exist on {revision}")
            return _json(entries)
        siblings = [{"rfilename": path} for path in found.files]
        own = {"id": match["id"], "sha": found.revision, "siblings": siblings, "tags": [], "downloads": 0, "likes": 0}
        return _json(own | {"private": False, "gated": False, "disabled": False})

    def _file(self, match: re.Match) -> Answer:
        found = self._found(_name(match), match["revision"])
        if isinstance(found, Answer):
            return found
        headers = {"X-Repo-Commit": found.revision, "Accept-Ranges": "bytes"}
        if match["path"] not in found.files:
            absent = missing("EntryNotFound", "Entry not found")
            return replace(absent, headers=absent.headers | headers)
        content = found.files[match["path"]]
        digest = hashlib.sha256(content).hexdigest()
        if len(content) < LARGE:
            return Answer(headers=headers | {"ETag": f'"{_git_hash(content)}"'}, content=content)
        linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        # Under another name of this machine, as the hub keeps such files on another host.
        elsewhere = f"http://localhost:{self.server_address[1]}/stored/{_name(match)}/{digest}"
        return Answer(302, headers | linked | {"Location": elsewhere})


class Handler(BaseHTTPRequestHandler):
    """Sends the answer of `Hub.answer`, or the requested range of it."""

    protocol_version = "HTTP/1.1"
    server: Hub

    def do_GET(self) -> None:
        self._send(with_content=True)

    def do_HEAD(self) -> None:
        self._send(with_content=False)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._send(with_content=True)

    def _send(self, with_content: bool) -> None:
        answer = self.server.answer(
            self.command, self.path, {name.lower(): value for name, value in self.headers.items()}
        )
        time.sleep(answer.wait)
        content, status, headers = answer.content, answer.status, dict(answer.headers)
        if status == 200 and (wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))):
            first, last = int(wanted[1]), int(wanted[2] or len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            status, content = 206, content[first : last + 1]
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if with_content:
            self.wfile.write(content if answer.cut is None else content[: answer.cut])
        if answer.cut is not None:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Do nothing: `Hub.asked` keeps the requests."""


@contextmanager
def serving(repositories: dict[str, Repository]) -> Generator[Hub]:
    """The hub while it runs."""
    hub = Hub(repositories)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()


def _name(match: re.Match) -> str:
    """A repository's name among `Hub.repositories`."""
    return f"datasets/{match['id']}" if (match["kind"] or "").startswith("datasets") else match["id"]


def _tree(files: dict[str, bytes], below: str, recursive: bool) -> Iterator[dict]:
    """The files below a folder, or directly in it."""
    beginning, folders = f"{below}/" if below else "", set()
    for path, content in files.items():
        folder = path[len(beginning) :].partition("/")[0] if "/" in path[len(beginning) :] else ""
        if not path.startswith(beginning):
            continue
        if recursive or not folder:
            yield _entry(path, content)
        elif folder not in folders:
            folders.add(folder)
            name = beginning + folder
            yield {"type": "directory", "path": name, "oid": hashlib.sha1(name.encode()).hexdigest(), "size": 0}


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(path: str, content: bytes) -> dict:
    digest = hashlib.sha256(content).hexdigest()
    own = {"type": "file", "path": path, "size": len(content), "oid": _git_hash(content)}
    return own | ({"lfs": {"oid": digest, "size": len(content), "pointerSize": 134}} if len(content) >= LARGE else {})


def _json(content: object, status: int = 200, **headers: str) -> Answer:
    return Answer(status, {"Content-Type": "application/json"} | headers, json.dumps(content).encode())


def missing(code: str, said: str, status: int = 404) -> Answer:
    """The hub's answer for a repository that does not exist or that this user may not read."""
    answer = _json({"error": said}, status)
    answer.headers |= {"X-Error-Code": code, "X-Error-Message": said}
    return answer
