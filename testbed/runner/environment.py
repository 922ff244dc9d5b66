"""Where and how results were made: the evidence beside every figure.

Decides what environment.json says: commit, versions, kernel, CPU, way of running, and the resolved
experiment once more, so that the file explains the directory by itself.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from testbed.interpreter import child_environment
from testbed.plan import sketch
from testbed.portable import is_root, usable_cores
from testbed.runner.experiment import Campaign
from testbed.runner.network import network_of
from testbed.shipped import checkout
from testbed.version import version

PACKAGES = ("mptcp-testbed", "mininet", "pyroute2", "pydantic", "pandas", "scipy", "matplotlib")


def describe(campaign: Campaign, net: str, way: str, jobs: int) -> dict[str, Any]:
    return {
        "name": campaign.name,
        "question": campaign.experiment.question,
        "way": way,
        "net": net,
        "links": campaign.experiment.links if net == "mininet" else None,
        "commit": commit(),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        **machine(),
        "jobs": jobs,
        "root": is_root(),
        "command": sys.argv,
        "figures": list(campaign.experiment.figures),
        "experiment": campaign.resolved(),
        "source": _source(campaign),
        "topology": sketch(network_of(campaign.cells[0].cell)),
    }


def _source(campaign: Campaign) -> str:
    """The experiment's file as it was written; '' where it is none that can be read."""
    try:
        return Path(campaign.source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def machine() -> dict[str, Any]:
    """Its kernel, system, CPU and cores."""
    return {
        "kernel": f"{platform.system()} {platform.release()}",
        "system": _system(),
        "cpu": _cpu(),
        "cores": usable_cores(),
    }


def commit() -> str:
    """The commit that the code stands at; '+' behind it where files differ from it.

    'version 0.1.0' where the package is installed: a repository around it is another project's.
    """
    root = checkout()
    if root is None:
        return f"version {version()}"
    head = _git(root, "rev-parse", "--short=12", "HEAD")
    if not head:
        return "unknown"
    return head + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")


def _git(root: Path, *words: str) -> str:
    # A checkout that another user owns (make run by root, a mounted folder) is still only read here.
    command = ["git", "-c", f"safe.directory={root}", "-c", "core.fsmonitor=false", "-C", str(root), *words]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=20, check=True, env=child_environment()
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return platform.platform()
