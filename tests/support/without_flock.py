"""Run a command for which `flock` fails, as on a network disk without it: `without_flock.py ERRNO COMMAND ...`.

A filter for this process and its children (seccomp) has the kernel refuse the call.
"""

import ctypes
import os
import platform
import struct
import sys

FLOCK = {"x86_64": 73, "aarch64": 32}  # the number of the system call
LOAD_NUMBER, IF_EQUAL, RETURN = 0x20, 0x15, 0x06
REFUSED, ALLOWED = 0x00050000, 0x7FFF0000
NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def refuse_flock(number: int) -> None:
    """Have `flock` fail with an errno from now on."""
    instructions = [
        (LOAD_NUMBER, 0, 0, 0),
        (IF_EQUAL, 0, 1, FLOCK[platform.machine()]),
        (RETURN, 0, 0, REFUSED | number),
        (RETURN, 0, 0, ALLOWED),
    ]
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    system = ctypes.CDLL(None, use_errno=True)
    if system.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or system.prctl(
        SECCOMP, FILTER, ctypes.byref(Program(len(instructions), code)), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "this system has no filters for system calls")


if __name__ == "__main__":
    refuse_flock(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
