"""Which version of the testbed this is, and which checkout, where it runs from one."""

from __future__ import annotations

from importlib import metadata

from testbed.shipped import checkout

PACKAGE = "mptcp-testbed"


def version() -> str:
    """Return "0.1.0", or "unknown" where the code was neither installed nor linked."""
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return "unknown"


def described() -> str:
    """Return the version and, in a checkout, where that is."""
    root = checkout()
    return f"{version()} ({root})" if root else version()
