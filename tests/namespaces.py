"""Network namespaces for tests: made, entered, and gone with everything in them.

Each has a unique name; nothing of the machine's own network is touched.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def why_no_lab() -> str | None:
    """Why namespaces and TUN devices cannot be had here; None if they can."""
    if os.geteuid() != 0:
        return "needs root"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "needs /dev/net/tun"
    return None


class Namespace:
    """One network namespace with its loopback up."""

    def __init__(self) -> None:
        self.name = f"tb-{uuid.uuid4().hex[:10]}"
        self._children: list[subprocess.Popen[str]] = []
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *words: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *words]

    def run(self, *words: str, check: bool = True, timeout: float = 60) -> str:
        done = subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT
        )
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def python(self, source: str, *arguments: str, timeout: float = 60) -> str:
        """Runs Python source inside; what it prints."""
        return self.run(sys.executable, "-P", "-c", source, *arguments, timeout=timeout)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A process inside, with pipes; ended with the namespace at the latest."""
        child = subprocess.Popen(
            self.command(*words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._children.append(child)
        return child

    def start_python(self, source: str, *arguments: str) -> subprocess.Popen[str]:
        return self.start(sys.executable, "-P", "-u", "-c", source, *arguments)

    def sysctl(self, name: str, value: str) -> None:
        self.run("sysctl", "-qw", f"{name}={value}")

    def close(self) -> None:
        for child in self._children:
            if child.poll() is None:
                child.kill()
            child.communicate()
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


@contextmanager
def namespaces(count: int) -> Iterator[list[Namespace]]:
    made: list[Namespace] = []
    try:
        for _ in range(count):
            made.append(Namespace())
        yield made
    finally:
        for namespace in made:
            namespace.close()


def join(a: Namespace, b: Namespace, a_address: str, b_address: str, name: str = "eth0") -> None:
    """A veth pair between two namespaces, both ends called `name`, addresses with prefix length."""
    a.run("ip", "link", "add", name, "type", "veth", "peer", "name", name, "netns", b.name)
    for namespace, address in ((a, a_address), (b, b_address)):
        namespace.run("ip", "addr", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
        namespace.run("ip", "link", "set", name, "up")


def expect_line(child: subprocess.Popen[str], line: str) -> None:
    """Waits for one line on the child's standard output; fails with its errors."""
    assert child.stdout is not None
    got = child.stdout.readline()
    if got.strip() != line:
        child.kill()
        _, errors = child.communicate()
        raise AssertionError(f"expected {line!r}, got {got!r}\n{errors}")
