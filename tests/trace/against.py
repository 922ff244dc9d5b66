"""Connections of two real endpoints, put through bytes, a pcapng file and the trace, beside their reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from testbed.capture import CapturedPacket, write_pcapng
from testbed.mptcp.config import ClientConfig, ServerConfig
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.report import ConnectionReport
from testbed.mptcp.wire import encode
from testbed.trace import Connection, Judgement, connections, from_segments, ladder, read_capture
from tests.pair import Pair, Side

DROPPED = "dropped: "


def split_drops(drops: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """`synack` and what goes down with it, the others up."""
    down = tuple(rule for rule in drops if rule.startswith("synack"))
    return {"up": tuple(rule for rule in drops if rule not in down), "down": down}


def request_and_response(pair: Pair, request: int, response: int) -> None:
    """The client asks, the server answers, both close; as far as they get."""

    def over() -> bool:
        return pair.client.closed() is not None

    pair.connect()
    pair.run(until=lambda: pair.client.connected() or over())
    if over():
        return
    pair.client.send(bytes(request))
    pair.run(until=lambda: len(pair.server.received()) == request or over())
    if not over():
        pair.server.send(bytes(response))
        pair.run(until=lambda: len(pair.client.received()) == response or over())
    if not over():
        pair.client.close()
        pair.server.close()
    pair.run()


def captured(pair: Pair, path: Path) -> list[Connection]:
    """Through a file, and in memory: both must give the same."""
    packets = [CapturedPacket(each.time, encode(each.segment), _cause(each.fate)) for each in pair.crossings]
    write_pcapng(path, packets)
    found = connections(read_capture(path).packets)
    direct = connections(
        from_segments((each.time, each.segment, _cause(each.fate)) for each in pair.crossings)
    )
    assert [_summary(each) for each in found] == [_summary(each) for each in direct]
    return found


def _cause(fate: str) -> str | None:
    return fate.removeprefix(DROPPED) if fate.startswith(DROPPED) else None


def _summary(found: Connection) -> tuple[object, ...]:
    return found.profile, found.keys, found.ends, found.bytes, found.closed_by


@dataclass
class Compared:
    """What the wire says and what the endpoints say of one connection. `server`: None if it never had one."""

    wire: Connection
    client: ConnectionReport
    server: ConnectionReport | None
    text: str

    def check(self) -> None:
        """Everything that both can know."""
        self._check_end(self.wire.ends[0], self.client)
        self._check_end(self.wire.ends[1], self.server)
        reports = [(0, self.client), *([(1, self.server)] if self.server is not None else [])]
        for side, report in reports:
            assert report.closed_by == self.wire.closed_by, self.text
            assert report.bytes_received == self.wire.bytes[1 - side], self.text
            # A listener that fell back at a cookie forgot what the SYN had said.
            if side == 0 or report.verdict is Verdict.MPTCP:
                assert report.profile == self.wire.profile, self.text
            if report.local_key is not None and self.wire.keys[side] is not None:
                assert report.local_key == self.wire.keys[side], self.text
                assert report.local_token == self.wire.tokens[side], self.text

    def _check_end(self, judged: Judgement | None, report: ConnectionReport | None) -> None:
        if report is None:
            assert judged is None or judged.reason is Reason.COOKIE_INVALID, self.text
            return
        assert judged is not None, self.text
        assert judged.verdict is report.verdict, self.text
        if judged.verdict is not Verdict.TCP:  # what a listener would have offered cannot be seen
            assert judged.reason is report.reason, self.text


def compare(
    path: Path,
    client: ClientConfig,
    server: ServerConfig,
    drops: tuple[str, ...] = (),
    request: int = 300,
    response: int = 10_000,
) -> Compared:
    pair = Pair(client=client, server=server, **split_drops(drops))  # type: ignore[arg-type]
    request_and_response(pair, request, response)
    (wire,) = captured(pair, path)
    return compared(pair, wire)


def compared(pair: Pair, wire: Connection) -> Compared:
    return Compared(wire, pair.client.report(), _report(pair.server), f"\n{pair.ladder()}\n\n{ladder(wire)}")


def _report(side: Side) -> ConnectionReport | None:
    return side.report() if side.connections else None
