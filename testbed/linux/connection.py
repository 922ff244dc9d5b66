"""One connection of Linux's: what was seen of it so far, and the report that comes of that.

Decides what is remembered of a connection whose subflows vanish before it does, and what it is called in a
report. When the kernel is asked, and what happens to the socket, is endpoint.py's. Address ids of subflows
are not to be had from a socket. Read first: sockets.py; testbed/mptcp/report.py.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import replace

from testbed.linux import sockets, verdicts
from testbed.linux.sockets import Flow, Place
from testbed.mptcp.config import ClientConfig, Profile
from testbed.mptcp.reasons import Reason
from testbed.mptcp.report import ConnectionReport, SubflowReport
from testbed.mptcp.tcp.fastopen import FastOpenOutcome
from testbed.mptcp.tcp.state import State

# tcpi_state, by number
STATES = (
    State.CLOSED,
    State.ESTABLISHED,
    State.SYN_SENT,
    State.SYN_RECEIVED,
    State.FIN_WAIT_1,
    State.FIN_WAIT_2,
    State.TIME_WAIT,
    State.CLOSED,
    State.CLOSE_WAIT,
    State.LAST_ACK,
    State.CLOSED,  # LISTEN
    State.CLOSING,
)
# tcpi_fastopen_client_fail, by number
FAILURES = (
    FastOpenOutcome.NO_DATA,
    FastOpenOutcome.COOKIE,
    FastOpenOutcome.REFUSED,
    FastOpenOutcome.LOST,
)


class Connection:
    """`sock` None once it is over, `end` then says how. `plain`: there is no MPTCP, `fallback` says why."""

    def __init__(self, number: int, sock: socket.socket, role: str, local: Place, remote: Place) -> None:
        self.number, self.role = number, role
        self.sock: socket.socket | None = sock
        self.local, self.remote = local, remote
        self.config: ClientConfig | None = None
        self.connecting = True
        self.incoming = b""
        self.sent = self.received = 0
        self.shut = self.peer_finished = False
        self.plain = False
        self.fallback = Reason.NONE
        self.end: verdicts.End | None = None
        self.syn_data = 0
        self._flows: dict[tuple[Place, Place], Flow] = {}
        self._acked = 0

    def observe(self) -> None:
        """Asks the kernel. Subflows are remembered once they were seen."""
        if self.sock is None or self.connecting:
            return
        info = sockets.info(self.sock)
        self.plain = info is None or info.fallback
        flows = [] if info is None else sockets.subflows(self.sock)
        if not flows and (only := sockets.plain(self.sock, self.local, self.remote)) is not None:
            flows = [only] if self.plain else []
        for flow in flows:
            self._remember(flow)
        acked = sum(flow.acked for flow in flows) if info is None else info.bytes_acked
        self._acked = max(self._acked, acked)

    def _remember(self, flow: Flow) -> None:
        """Of one that it has taken down, the kernel tells the state, and nothing of what was."""
        key = flow.local, flow.remote
        known = self._flows.get(key, flow)
        self._flows[key] = replace(known, state=flow.state) if flow.acked < known.acked else flow

    def note_syn_data(self) -> None:
        """A server's, at once: whatever has come by now came with the SYN, if anything did."""
        first = next(iter(self._flows.values()), None)
        if first is not None and first.syn_data:
            self.syn_data = first.received

    @property
    def retransmits(self) -> int:
        return sum(flow.retransmits for flow in self._flows.values())

    @property
    def packed_local(self) -> tuple[bytes, int]:
        return _packed(self.local)

    @property
    def packed_remote(self) -> tuple[bytes, int]:
        return _packed(self.remote)

    def report(self) -> ConnectionReport:
        end = self.end or verdicts.End(verdicts.running(self.fallback), self.fallback, "open")
        fast_open = self._fast_open()
        return ConnectionReport(
            profile=Profile.KERNEL.value,
            role=self.role,
            local=self.packed_local,
            remote=self.packed_remote,
            verdict=end.verdict,
            reason=end.reason,
            local_key=None,
            remote_key=None,
            local_token=None,
            remote_token=None,
            bytes_sent=self.sent,
            bytes_acked=min(self._acked, self.sent),  # without SYN and FIN
            bytes_received=self.received,
            subflows=max(len(self._flows), 1),
            closed_by=end.closed_by,
            retransmits=self.retransmits,
            srtt=next((flow.srtt_us * 1000 for flow in self._flows.values()), None),
            paths=tuple(_path(index, flow) for index, flow in enumerate(self._flows.values())),
            fast_open=fast_open,
            syn_data=self.syn_data if fast_open is FastOpenOutcome.ACCEPTED else 0,
        )

    def _fast_open(self) -> FastOpenOutcome:
        first = next(iter(self._flows.values()), None)
        if first is not None and first.syn_data:
            return FastOpenOutcome.ACCEPTED
        if self.config is None or not self.config.fast_open or first is None:
            return FastOpenOutcome.NONE
        return FAILURES[first.fast_open_failure]


def text_of(address: bytes) -> str:
    return str(ipaddress.ip_address(address))


def _packed(place: Place) -> tuple[bytes, int]:
    return ipaddress.ip_address(place[0]).packed, place[1]


def _path(index: int, flow: Flow) -> SubflowReport:
    return SubflowReport(
        index=index,
        local=_packed(flow.local),
        remote=_packed(flow.remote),
        local_id=None,
        remote_id=None,
        backup=False,
        state=STATES[flow.state].value,
        bytes_sent=flow.sent,
        bytes_received=flow.received,
        retransmits=flow.retransmits,
        srtt=flow.srtt_us * 1000 or None,
        cwnd=flow.cwnd,
        reason=Reason.NONE,
    )
