"""Which process holds a lease, and whether it is provably dead.

A process is named by `BOOT/NAMESPACE/PID/START`: the boot id of the machine, the inode of the pid
namespace, the pid in it and the start of the process in ticks since boot, all from /proc (proc(5)).
Where there is no /proc that shows this namespace the name is empty, and nothing can be proved.
"""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")
_PARTS = 4
_STATE, _START = 0, 19
"""Fields of `/proc/PID/stat` after the name: the third and the 22nd of all."""
_ENDED = "ZX"


def identity(proc: Path = _PROC) -> str:
    """The name of this process; empty if there is none."""
    pid = os.getpid()
    try:
        if (proc / "self").readlink() != Path(str(pid)):  # /proc of another namespace
            return ""
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
        namespace = (proc / "self/ns/pid").stat().st_ino
        return f"{boot}/{namespace}/{pid}/{_stat(proc, pid)[_START]}"
    except OSError:  # no /proc, or one that shows less: then only time tells
        return ""


def is_dead(name: str, proc: Path = _PROC) -> bool:
    """Whether the process of that name was on this machine and is there no more."""
    parts = name.rsplit("/", 2)
    here = identity(proc).rsplit("/", 2)[0]
    is_name = name.count("/") == _PARTS - 1 and parts[1].isdecimal()
    if not here or not is_name or parts[0] != here:
        return False
    pid = int(parts[1])
    try:
        os.kill(pid, 0)  # /proc may hide the processes of other users; this does not
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass  # somebody else's, or no pid at all
    try:
        fields = _stat(proc, pid)
    except OSError:  # hidden, or it ended just now: the next look tells
        return False
    return fields[_START] != parts[2] or fields[_STATE] in _ENDED


def _stat(proc: Path, pid: int) -> list[str]:
    # The name of a process may hold spaces and parentheses.
    return (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
