"""The `python` of `tests/support/warm_python.py`: runs `-m MODULE` in a fork of the server, all else in an interpreter.

python -IS tests/support/warm_command.py FOLDER [-m MODULE] ARGUMENTS
"""

import json
import os
import socket
import sys
from pathlib import Path

STREAMS = (0, 1, 2)


def main(folder: str, *arguments: str) -> None:
    if arguments[:1] != ("-m",):
        os.execv(sys.executable, [sys.executable, *arguments])
    asked = json.dumps([arguments[1:], str(Path.cwd()), dict(os.environ)])
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(f"{folder}/server")
        socket.send_fds(server, [b"."], STREAMS)
        server.sendall(asked.encode() + b"\n")
        status = int(server.recv(20))
    if status < 0:
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
