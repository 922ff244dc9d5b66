"""What connections did, interval by interval: an application around an application, with a timer beside it.

Decides when an interval begins and ends (with the connection, every `every` nanoseconds, and at the end of
the connection, but for an idle rest) and what is said of it. Bytes sent are those that the peer has
acknowledged, so that a send buffer that fills is no transfer; a subflow's are its payload, copies included.
Knows no clock and prints nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from testbed.mptcp.config import SECOND
from testbed.mptcp.events import Accepted, Closed, Connected, Event
from testbed.mptcp.report import ConnectionReport, SubflowReport
from testbed.workloads.outcome import Row

if TYPE_CHECKING:
    from testbed.mptcp.endpoint import Endpoint
    from testbed.workloads.host import Application


@dataclass(frozen=True, slots=True)
class PathInterval:
    """One subflow. `share`: its part of the payload, both ways, of all subflows; None where there was none.
    `srtt` in ns and `cwnd` in bytes as they stand at the end."""

    subflow: int
    bytes_sent: int
    bytes_received: int
    share: float | None
    retransmits: int
    srtt: int | None
    cwnd: int


@dataclass(frozen=True, slots=True)
class Interval:
    """`start` and `end` in ns since the connection was established, `connection` counted from 0."""

    connection: int
    local: tuple[bytes, int]
    remote: tuple[bytes, int]
    start: int
    end: int
    last: bool
    bytes_sent: int
    bytes_received: int
    retransmits: int
    paths: tuple[PathInterval, ...]
    short: bool = False  # a rest at the end, less than a tenth of the others: its rate says little

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / SECOND

    @property
    def moved(self) -> bool:
        """Whether there is anything to tell."""
        paths = any(path.bytes_sent or path.bytes_received for path in self.paths)
        return paths or bool(self.bytes_sent or self.bytes_received or self.retransmits)

    def as_data(self) -> dict[str, object]:
        """Plain values: seconds, bytes, bit/s."""
        seconds = self.seconds
        return {
            "start": self.start / SECOND,
            "end": self.end / SECOND,
            "short": self.short,
            "bytes_sent": self.bytes_sent,
            "bytes_received": self.bytes_received,
            "bitrate_sent": self.bytes_sent * 8 / seconds if seconds else 0.0,
            "bitrate_received": self.bytes_received * 8 / seconds if seconds else 0.0,
            "retransmits": self.retransmits,
            "paths": [
                {
                    "subflow": path.subflow,
                    "bytes_sent": path.bytes_sent,
                    "bytes_received": path.bytes_received,
                    "share": path.share,
                    "retransmits": path.retransmits,
                    "srtt_ns": path.srtt,
                    "cwnd": path.cwnd,
                }
                for path in self.paths
            ],
        }


class Metered:
    """Does what `application` does, and hands out each connection's intervals as they end."""

    def __init__(self, application: Application, every: int, on_interval: Callable[[Interval], None]) -> None:
        self._application = application
        self._every = every
        self._on_interval = on_interval
        self._meters: dict[int, _Meter] = {}  # of the connections that are established, in their order
        self._count = 0

    @property
    def done(self) -> bool:
        return self._application.done

    @property
    def open_connections(self) -> int:
        return self._application.open_connections

    def start(self, now: int, endpoint: Endpoint) -> None:
        self._application.start(now, endpoint)

    def rows(self, endpoint: Endpoint) -> list[Row]:
        return self._application.rows(endpoint)

    def handle_event(self, now: int, endpoint: Endpoint, event: Event) -> None:
        if isinstance(event, Accepted | Connected):
            self._meters[event.connection] = _Meter(self._count, now, now + self._every)
            self._count += 1
        elif isinstance(event, Closed):
            meter = self._meters.pop(event.connection, None)
            if meter is not None:
                rest = meter.take(now, endpoint.describe(event.connection), last=True)
                short = bool(rest.start) and rest.end - rest.start < self._every // 10
                if not short or rest.moved:
                    self._on_interval(replace(rest, short=short))
        self._application.handle_event(now, endpoint, event)

    def poll_timeout(self) -> int | None:
        mine = min((meter.due for meter in self._meters.values()), default=None)
        other = self._application.poll_timeout()
        return other if mine is None or (other is not None and other < mine) else mine

    def handle_timeout(self, now: int, endpoint: Endpoint) -> None:
        self._application.handle_timeout(now, endpoint)
        for number, meter in list(self._meters.items()):
            if meter.due <= now:
                meter.due += self._every * ((now - meter.due) // self._every + 1)
                self._on_interval(meter.take(now, endpoint.describe(number)))


class _Meter:
    """One connection's account as it stood at the end of the last interval."""

    def __init__(self, connection: int, established: int, due: int) -> None:
        self._connection = connection
        self._established = self._until = established
        self.due = due
        self._sent = self._received = 0
        self._paths: dict[int, SubflowReport] = {}

    def take(self, now: int, report: ConnectionReport, *, last: bool = False) -> Interval:
        """What happened since the last call."""
        paths = [(path, self._paths.get(path.index)) for path in report.paths]
        moved = [
            (path.bytes_sent - old.bytes_sent, path.bytes_received - old.bytes_received)
            if old
            else (path.bytes_sent, path.bytes_received)
            for path, old in paths
        ]
        total = sum(map(sum, moved))
        interval = Interval(
            self._connection,
            report.local,
            report.remote,
            self._until - self._established,
            now - self._established,
            last,
            report.bytes_acked - self._sent,
            report.bytes_received - self._received,
            sum(path.retransmits - (old.retransmits if old else 0) for path, old in paths),
            tuple(
                PathInterval(
                    path.index,
                    sent,
                    received,
                    (sent + received) / total if total else None,
                    path.retransmits - (old.retransmits if old else 0),
                    path.srtt,
                    path.cwnd,
                )
                for (path, old), (sent, received) in zip(paths, moved, strict=True)
            ),
        )
        self._until = now
        self._sent, self._received = report.bytes_acked, report.bytes_received
        self._paths = {path.index: path for path in report.paths}
        return interval
