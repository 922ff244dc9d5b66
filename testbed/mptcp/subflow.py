"""One subflow of a connection: its TCP, and what Multipath TCP keeps for each subflow by itself.

Holds state, decides little: whether data may be sent on it and what its mappings say. TCP is in tcp/, the
handshake of an additional subflow in join.py. Never sees its connection.
Read first: RFC 8684 §3.2, §3.3.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from testbed.mptcp.carrying import Carrying
from testbed.mptcp.mapping import Mapping, MappingTable
from testbed.mptcp.ranges import RangeSet, SendBuffer, most_pieces
from testbed.mptcp.reasons import Reason
from testbed.mptcp.report import SubflowReport
from testbed.mptcp.tcp.state import SYNCHRONIZED, State
from testbed.mptcp.tcp.tcb import Tcb
from testbed.mptcp.wire import Option


@dataclass(slots=True)
class JoinState:
    """MP_JOIN's handshake as far as it has come (RFC 8684 §3.2)."""

    local_nonce: int
    remote_nonce: int | None = None
    ack_at: int | None = None  # when the third ACK is sent again, until something comes back
    ack_due: bool = False
    acks: int = 0  # third ACKs sent


class Subflow:
    """`index` counts the subflows of a connection from 0 and is never used again."""

    __slots__ = (
        "acknowledged",
        "acks_without_data_ack",
        "announce_infinite",
        "answers_synack",
        "asked",
        "asks",
        "backup_here",
        "backup_there",
        "carrying",
        "closed_because",
        "confirmed",
        "copied",
        "cursor",
        "data_ack_is_current",
        "index",
        "initiated",
        "join",
        "leaving",
        "local_id",
        "opened",
        "peer_maps",
        "penalized_at",
        "pending",
        "plain_syn",
        "receive_mappings",
        "received",
        "remote_id",
        "reset_options",
        "retiring",
        "send_mappings",
        "sent",
        "signals",
        "stale",
        "tcb",
        "unmapped",
        "usable",
    )

    def __init__(self, index: int, tcb: Tcb, *, initiated: bool, join: JoinState | None = None) -> None:
        self.index, self.tcb = index, tcb
        self.initiated = initiated  # we sent the SYN
        self.join = join  # None on the first subflow
        self.local_id = self.remote_id = 0
        self.backup_here = self.backup_there = False  # we, or the peer, ask not to use it while others work
        self.usable = join is None  # the handshake lets data be sent on it
        self.opened = False  # the application was told
        # The handshake of the first subflow.
        self.plain_syn = False  # the last SYN went out without MP_CAPABLE
        self.answers_synack = False  # the next ACK answers a SYN/ACK
        # Data.
        self.send_mappings = MappingTable()
        self.receive_mappings = MappingTable(most_pieces(tcb.config.receive_buffer))
        self.pending = SendBuffer(1)  # in order on the subflow, not yet mapped
        self.unmapped = 0  # bytes dropped for want of a mapping since it last brought some in order
        self.carrying = Carrying()  # data sent on it, not DATA_ACKed
        self.copied = RangeSet()  # the same, and kept where it is mapped once more elsewhere
        self.cursor = 1  # how far this subflow has come in a redundant schedule
        self.confirmed = False  # a DATA_ACK came on it
        self.acknowledged = False  # and acknowledged data of ours: options pass both ways (RFC 8684 §3.7)
        self.acks_without_data_ack = 0
        self.peer_maps = False  # a mapping of the peer came on it, in a DSS
        self.data_ack_is_current = False  # the newest acknowledgement of data on it came with a DATA_ACK
        self.asks = self.asked = False  # an ACK that the peer must answer is due; was sent
        self.announce_infinite: Mapping | None = None
        self.sent = self.received = 0  # payload bytes, copies included
        # Trouble.
        self.stale = False  # its retransmission timer fired and nothing was acknowledged since
        self.penalized_at: int | None = None
        # Ends.
        self.retiring = False  # is to be closed alone, once no fallback can come
        self.leaving = False  # carries no new data
        self.signals: deque[Option] = deque()  # each waits for an ACK to carry it
        self.reset_options: tuple[Option, ...] | None = None  # a RST is to be sent
        self.closed_because = Reason.NONE

    @property
    def alive(self) -> bool:
        """Established or on the way there; neither closed nor closing."""
        return self.tcb.state is not State.CLOSED and self.tcb.state is not State.TIME_WAIT

    @property
    def lost(self) -> bool:
        """It ended before its time: what arrives on it counts no longer."""
        return self.closed_because is not Reason.NONE

    @property
    def established(self) -> bool:
        return self.usable and self.tcb.state in SYNCHRONIZED and self.tcb.state is not State.TIME_WAIT

    @property
    def may_carry(self) -> bool:
        """New data may be sent on it, as far as its own state goes."""
        return self.usable and not self.leaving and self.tcb.may_send_data and not self.tcb.fin_queued

    @property
    def backup(self) -> bool:
        return self.backup_here or self.backup_there

    def commit(self, start: int, end: int, now: int) -> None:
        """It carries this data from now on."""
        self.carrying.commit(start, end, now)
        self.copied.add(start, end)

    def forget_carried(self, una: int) -> None:
        """Data before `una` was DATA_ACKed."""
        self.carrying.forget(una)
        self.copied.drop_below(una)

    def forget_repeated(self, end: int) -> None:
        """Data up to `end` is mapped once more. What has arrived here is no longer this subflow's to answer
        for; a peer that never sends a DATA_ACK would make the list grow for ever."""
        self.carrying.keep(lambda one: one.end > end or self.send_mappings.holds_data(one.start))

    def deadline(self) -> int | None:
        earliest = self.tcb.deadline()
        at = self.join.ack_at if self.join is not None else None
        return at if earliest is None or (at is not None and at < earliest) else earliest

    def describe(self) -> SubflowReport:
        tcb = self.tcb
        return SubflowReport(
            index=self.index,
            local=tcb.local,
            remote=tcb.remote,
            local_id=self.local_id,
            remote_id=self.remote_id,
            backup=self.backup,
            state=tcb.state.value,
            bytes_sent=self.sent,
            bytes_received=self.received,
            retransmits=tcb.retransmits,
            srtt=tcb.rtt.srtt,
            cwnd=tcb.cc.cwnd,
            reason=self.closed_because,
        )
