"""What a running program can be told on standard input, in the words of ip-mptcp(8).

Decides the words and what each does to the connections that there are: `endpoint delete id N` withdraws an
address, `endpoint change id N backup` (or `nobackup`) asks the peer to spare its subflows, `go` lets a client
go on that was told to hold. A line that means nothing is answered on standard error and changes nothing.
Read first: RFC 8684 §3.3.8, §3.4.2.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from testbed.errors import UserError
from testbed.mptcp.endpoint import Endpoint
from testbed.workloads.host import Hosted

Action = Callable[[int, Endpoint], None]
EXPECTED = "expected `endpoint delete id N`, `endpoint change id N backup` or `... nobackup`"


class Control:
    """Lines, in whatever pieces they come."""

    def __init__(self, host: Hosted, now: Callable[[], int], go: Action | None = None) -> None:
        self._host, self._now, self._go = host, now, go
        self._rest = b""

    def hear(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                action = parse(line.decode(errors="replace"), self._go)
            except UserError as error:
                print(error, file=sys.stderr, flush=True)
            else:
                self._host.act(self._now(), action)


def parse(line: str, go: Action | None = None) -> Action:
    match line.split():
        case ["go"] if go is not None:
            return go
        case ["endpoint", "delete", "id", number, *_] if number.isdecimal():
            return _delete(int(number))
        case ["endpoint", "change", "id", number, ("backup" | "nobackup") as word] if number.isdecimal():
            return _change(int(number), word == "backup")
    raise UserError(f"{line.strip()!r}: {EXPECTED}")


def _delete(address_id: int) -> Action:
    def act(now: int, endpoint: Endpoint) -> None:
        for connection in endpoint.connections:
            endpoint.remove_address(now, connection, address_id)

    return act


def _change(address_id: int, backup: bool) -> Action:
    def act(now: int, endpoint: Endpoint) -> None:
        for connection in endpoint.connections:
            for path in endpoint.describe(connection).paths:
                if path.local_id == address_id:
                    endpoint.set_backup(now, connection, path.index, backup)

    return act
