"""`client.bind`: which paths or addresses a client uses, and which of them its first subflow takes.

Decides what a word of the list means (a path of the topology by its name, or an address of the client), the
order of both ends' addresses that follows, and when endpoints can have no effect. Must not know how a host is
run. Read first: network.py, whose hosts these are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from testbed.errors import UserError
from testbed.mptcp.config import ClientConfig, Profile, ServerConfig
from testbed.plan import NetPlan, PathPlan
from testbed.runner.document import Path_

ENDPOINTS = ("paths", "endpoints")


def bound(words: Sequence[str], paths: Sequence[PathPlan]) -> list[PathPlan]:
    """The paths of one client to its server that `words` name, in that order; all of them without words.

    UserError for a word that names none, or one that was named before.
    """
    chosen: list[PathPlan] = []
    for word in words:
        named = [path for path in paths if word in (path.name, path.name.rpartition(":")[2])]
        named = named[:1] or [path for path in paths if path.client_address == word]
        if not named:
            names = ", ".join(path.name for path in paths)
            addresses = ", ".join(dict.fromkeys(path.client_address for path in paths))
            raise UserError(
                f"{word!r} is neither a path nor an address of {paths[0].client}; expected one or more of "
                f"the paths {names}, or of the addresses {addresses}"
            )
        if any(path in chosen for path in named):
            raise UserError(f"{word!r} is a path or an address that is in the list already")
        chosen += named
    return chosen or list(paths)


def in_order(chosen: Iterable[PathPlan], every: Iterable[PathPlan]) -> list[PathPlan]:
    """The chosen paths, then the others: what the addresses of a server are ordered by."""
    return list(dict.fromkeys([*chosen, *every]))


def without_effect(client: ClientConfig, server: ServerConfig) -> Iterator[tuple[Path_, str]]:
    """Endpoints that can open no subflow because an end speaks plain TCP: key, and words."""
    only_tcp = "client.profile is tcp" if client.profile is Profile.TCP else ""
    if not only_tcp and server.profiles == (Profile.TCP,):
        only_tcp = "server.profiles is tcp"
    if only_tcp and client.paths.endpoints:
        yield (
            ("client", *ENDPOINTS),
            f"has no effect: {only_tcp}, and plain TCP has one subflow; to choose its path, expected "
            "client.bind, such as bind: [2]",
        )
    if server.profiles == (Profile.TCP,) and server.paths.endpoints:
        yield ("server", *ENDPOINTS), "has no effect: server.profiles is tcp, and plain TCP has one subflow"


def crossed(plan: NetPlan, rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Warnings for a run's record: subflows between addresses that are the two ends of no path."""
    known = {(path.client_address, path.server_address) for path in plan.paths}
    found: dict[tuple[str, str], int] = {}
    for row in rows:
        for subflow in row.get("paths") or () if row["role"] == "client" else ():
            ends = subflow["local_address"], subflow["remote_address"]
            if ends not in known:
                found[ends] = found.get(ends, 0) + 1
    return [
        f"crossed paths: {count} subflow{'s' * (count > 1)} from {here} to {there}, which are the ends of "
        "different paths of the topology; client.paths and server.paths say which subflows are opened"
        for (here, there), count in found.items()
    ]
