"""Two namespaces joined by the real wire process, with its capture and its report."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testbed.drive.tun import open_tap
from testbed.link import LinkParams
from tests.namespaces import Namespace, expect_line, namespaces

A, B = "10.9.0.1", "10.9.0.2"


class Wire:
    def __init__(self, directory: Path, a: Namespace, b: Namespace, **spec: Any) -> None:
        self.out = directory / "out.json"
        fds = []
        for namespace, address in ((a, "10.9.0.1/24"), (b, "10.9.0.2/24")):
            name = f"t{uuid.uuid4().hex[:10]}"
            fds.append(open_tap(name))
            subprocess.run(["ip", "link", "set", name, "netns", namespace.name], check=True)
            namespace.sysctl(f"net.ipv6.conf.{name}.disable_ipv6", "1")
            namespace.run("ip", "link", "set", name, "name", "eth0", "txqueuelen", "5000")
            namespace.run("ip", "addr", "add", address, "dev", "eth0")
            namespace.run("ip", "link", "set", "eth0", "up")
        link = {"name": "a-b", "a_fd": fds[0], "b_fd": fds[1], **spec}
        for side in ("forward", "backward"):
            link[side] = dataclasses.asdict(link.get(side, LinkParams()))
        path = directory / "spec.json"
        path.write_text(json.dumps({"seed": 3, "links": [link]}))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "testbed.drive.wires", str(path), str(self.out)],
            pass_fds=fds,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for fd in fds:
            os.close(fd)
        expect_line(self.process, "ready")

    def end(self) -> dict[str, Any]:
        _, errors = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, errors
        report: dict[str, Any] = json.loads(self.out.read_text())
        return report


@contextmanager
def wire(directory: Path, **spec: Any) -> Iterator[tuple[Namespace, Namespace, Wire]]:
    with namespaces(2) as (a, b):
        running = Wire(directory, a, b, **spec)
        try:
            yield a, b, running
        finally:
            if running.process.poll() is None:
                running.process.kill()
                running.process.communicate()
