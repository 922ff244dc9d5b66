"""Run the command line in a child Python that lacks what another operating system lacks.

Decides what each system is without: modules that cannot be imported, names that `os`, `select`, `socket` and
`signal` do not have, and /proc. A `sitecustomize` module on PYTHONPATH takes them away at the start of the
interpreter, so the workers that a command starts lack them too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_TAKE_AWAY = """
import json, os, select, signal, socket, sys, sysconfig
sysconfig.get_config_vars()  # read for this system, before the platform changes
lacks = json.loads(os.environ["SIMULATED_SYSTEM"])
for name in lacks["modules"]:
    sys.modules.pop(name, None)
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in lacks["modules"]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
for owner, names in lacks["names"].items():
    module = {"os": os, "select": select, "signal": signal, "socket": socket}[owner]
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
if lacks["platform"]:
    sys.platform = lacks["platform"]
    if sys.platform == "darwin":  # part of the standard library there
        from types import ModuleType
        sys.modules["_scproxy"] = proxies = ModuleType("_scproxy")
        proxies._get_proxy_settings = proxies._get_proxies = dict
def no_proc(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(("/proc/", "/sys/")):
        raise FileNotFoundError(2, "No such file or directory", arguments[0])
sys.addaudithook(no_proc)
"""

_LINUX_ONLY = {
    "os": [
        *("sched_getaffinity", "sched_setaffinity", "sched_setscheduler", "sched_param", "SCHED_RR"),
        *("SCHED_RESET_ON_FORK", "setns", "unshare", "memfd_create", "eventfd", "pidfd_open", "O_PATH"),
        *("O_TMPFILE", "posix_fadvise", "splice", "copy_file_range", "getrandom"),
    ],
    "select": ["epoll", "EPOLLIN"],
    "socket": ["AF_PACKET", "AF_NETLINK", "SO_BINDTODEVICE"],
    "signal": ["SIGRTMIN", "SIGRTMAX", "sigtimedwait"],
}
_UNIX_ONLY = {
    "os": [
        *("geteuid", "getuid", "getegid", "getgid", "fork", "setsid", "O_CLOEXEC", "O_NONBLOCK"),
        *("uname", "mkfifo", "getpgid", "killpg", "fchmod", "sched_yield", "nice", "getpriority"),
    ],
    "select": ["poll", "POLLIN", "POLLHUP"],
    "socket": ["AF_UNIX"],
    "signal": ["SIGHUP", "SIGQUIT", "pthread_sigmask"],
}

SYSTEMS: dict[str, dict[str, Any]] = {
    "macOS": {"platform": "darwin", "modules": ["pyroute2"], "names": _LINUX_ONLY},
    # The interpreter itself stays a Unix one, so sys.platform stays as it is.
    "without Unix modules": {
        "platform": "",
        "modules": ["pyroute2", "fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog"],
        "names": {
            owner: [
                *_LINUX_ONLY[owner],
                *(name for name in _UNIX_ONLY[owner] if name not in ("fork", "uname")),
            ]
            for owner in _LINUX_ONLY
        },
    },
}


def without(module: str = "", name: tuple[str, str] | None = None) -> dict[str, Any]:
    """A Linux that lacks one module, or one name of a module."""
    return {
        "platform": "",
        "modules": [module] if module else [],
        "names": {name[0]: [name[1]]} if name else {},
    }


class System:
    """`directory` holds the sitecustomize module and is where commands run."""

    def __init__(self, directory: Path, lacks: dict[str, Any]) -> None:
        self.directory, self._lacks = directory, lacks
        place = directory / "site"
        place.mkdir()
        (place / "sitecustomize.py").write_text(_TAKE_AWAY)
        self._path = os.pathsep.join([str(place), str(Path(__file__).parents[2])])

    def testbed(self, *words: object, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": self._path, "SIMULATED_SYSTEM": json.dumps(self._lacks)}
        return subprocess.run(
            [sys.executable, "-c", "from testbed.cli import main; main()", *map(str, words)],
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
