"""One Multipath TCP connection: its state, and the verbs of its application.

Decides the connection's life: opening, mode, verdict, closing; what is left of it when a subflow is lost.
What an arriving segment means is in incoming.py, which subflow carries what in assign.py, what leaves in
outgoing.py, the DATA_FIN exchange in closing.py, fallback in observe.py, TCP in tcp/.
Read first: RFC 8684 §3.1, §3.3.3, §3.5.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from testbed.mptcp import events
from testbed.mptcp.address_book import AddressBook
from testbed.mptcp.cc.group import Group
from testbed.mptcp.config import FirstData, LostThirdAck, MptcpConfig, Profile, ThirdAck
from testbed.mptcp.context import Context
from testbed.mptcp.data_level import DataReceiver, DataSender
from testbed.mptcp.fallback import Observation
from testbed.mptcp.keys import token_and_idsn
from testbed.mptcp.paths import PathsConfig
from testbed.mptcp.profiles import speech
from testbed.mptcp.reasons import HANGS, Reason, Verdict
from testbed.mptcp.report import ConnectionReport, SubflowReport
from testbed.mptcp.sched import SCHEDULERS
from testbed.mptcp.subflow import JoinState, Subflow
from testbed.mptcp.tcp.fastopen import FastOpenOutcome, Opening, Welcome
from testbed.mptcp.tcp.output import window_update_due
from testbed.mptcp.tcp.state import State
from testbed.mptcp.tcp.tcb import Tcb
from testbed.mptcp.wire import Dss, MpFastclose, Option

MOST_PAST = 64  # closed subflows whose reports are kept
NEVER_ON_A_WIRE = (State.CLOSED, State.SYN_SENT, State.TIME_WAIT)


class Mode(Enum):
    NEGOTIATING = "negotiating"
    MPTCP = "mptcp"
    TCP = "tcp"  # asked for, or after fallback


class Connection:
    __slots__ = (
        "assign_due",
        "book",
        "checksum",
        "closed_by",
        "config",
        "confirmed",
        "context",
        "data_fin_at",
        "data_fin_attempts",
        "data_rto_at",
        "data_rto_attempts",
        "early_dss",
        "failed",
        "fallback_reason",
        "fast_open",
        "fastclose_at",
        "fastclose_attempts",
        "fin_ack_due",
        "finished",
        "first",
        "first_capable_length",
        "first_data",
        "group",
        "join_asked_at",
        "joined",
        "linger_at",
        "linger_reason",
        "local",
        "local_idsn",
        "local_key",
        "local_token",
        "lost_third_ack",
        "mode",
        "mptcp",
        "next_index",
        "number",
        "past",
        "paths",
        "peer_dsn_8",
        "peer_dss_seen",
        "profile",
        "receiver",
        "remote",
        "remote_idsn",
        "remote_key",
        "remote_token",
        "report",
        "role",
        "scheduled",
        "scheduler",
        "sender",
        "speech",
        "subflows",
        "syn_retries",
        "third_ack",
        "third_packet_observation",
        "told",
        "want_space",
    )

    def __init__(
        self,
        number: int,
        role: str,
        context: Context,
        tcb: Tcb,
        profile: Profile,
        mptcp: MptcpConfig,
        paths: PathsConfig,
    ) -> None:
        self.number, self.role, self.context = number, role, context
        self.profile, self.mptcp, self.config = profile, mptcp, tcb.config
        self.speech = speech(profile, mptcp)
        self.local, self.remote = tcb.local, tcb.remote  # of the first subflow
        self.mode = Mode.TCP if profile is Profile.TCP else Mode.NEGOTIATING
        # Subflows: those that hold state here, in the order of their opening.
        self.group = Group()
        tcb.group = self.group
        self.first = Subflow(0, tcb, initiated=role == "client")
        self.subflows = [self.first]
        self.next_index = 1
        self.past: deque[SubflowReport] = deque(maxlen=MOST_PAST)
        self.joined = 0  # further subflows that have opened so far
        self.join_asked_at: int | None = None  # the newest SYN with MP_JOIN from the peer
        self.failed = False  # a checksum was wrong and the peer was told: no more subflows
        self.paths = paths
        self.book = AddressBook()
        # Keys and what follows from them.
        self.local_key = self.remote_key = None  # type: int | None
        self.local_token = self.remote_token = None  # type: int | None
        self.local_idsn = 0
        self.remote_idsn: int | None = None
        self.checksum = False  # negotiated
        # The handshake.
        self.third_ack = ThirdAck.BARE
        self.first_data = FirstData.CAPABLE
        self.lost_third_ack = LostThirdAck.KEEP
        self.syn_retries = 0
        self.third_packet_observation: Observation | None = None  # known from a returning cookie
        self.fast_open: Opening | Welcome | None = None
        self.early_dss: list[Dss] = []  # of segments that overtook the one with the keys
        self.confirmed = False  # a DATA_ACK of the peer was seen
        self.peer_dss_seen = False
        self.peer_dsn_8 = False
        self.first_capable_length: int | None = None
        # Data.
        self.sender, self.receiver = DataSender(), DataReceiver(self.config.receive_buffer)
        self.scheduler = SCHEDULERS[mptcp.scheduler]()
        self.assign_due = False  # data may wait, or room may have appeared
        self.want_space = False
        self.data_rto_at: int | None = None
        self.data_rto_attempts = 0
        # Ends.
        self.data_fin_at: int | None = None
        self.data_fin_attempts = 0
        self.fin_ack_due = False
        self.fastclose_at: int | None = None
        self.fastclose_attempts = 0
        self.linger_at: int | None = None  # no subflow is left: how long a new one may still come
        self.linger_reason = Reason.SUBFLOWS_GONE
        self.fallback_reason = Reason.NONE
        self.closed_by = "open"
        self.told = role == "client"  # the application knows of the connection
        self.finished = False
        self.report: ConnectionReport | None = None  # frozen when finished
        self.scheduled: int | None = None  # the endpoint's timer entry
        if self.mode is Mode.TCP:
            self.run_in_step(self.first, 1, 1)

    # -- keys -----------------------------------------------------------------------------------------

    def set_local_key(self, key: int) -> None:
        self.local_key = key
        self.local_token, self.local_idsn = token_and_idsn(key, self.speech.sha256)
        self.context.tokens[self.local_token] = self.number

    def set_remote_key(self, key: int) -> None:
        self.remote_key = key
        self.remote_token, idsn = token_and_idsn(key, self.speech.sha256)
        self.remote_idsn = idsn + 1 - self.receiver.first

    # -- the application's events and verbs -----------------------------------------------------------

    def tell(self, event: events.Event) -> None:
        """Pass an event to the application: not before it knows the connection, and nothing after Closed."""
        if self.told and not self.finished:
            self.context.events.append(event)

    def send(self, data: bytes) -> int:
        if self.sender.fin_queued or self.finished:
            return 0
        buffer = self.sender.buffer
        space = self.config.send_buffer - (buffer.end - buffer.start)
        count = min(len(data), max(space, 0))
        if count:
            buffer.append(data if count == len(data) else data[:count])
        self.want_space = count < len(data)
        return count

    def receive(self, most: int) -> bytes:
        data = self.receiver.read(most)
        if data and not self.finished:
            opened = self.receiver.next + self.receive_space() - self.receiver.adv
            if window_update_due(self.first.tcb, opened):
                for sub in self.subflows:
                    if sub.established:
                        sub.tcb.ack_now = True
                        if not sub.tcb.snd_wnd:
                            sub.tcb.probe = True  # a peer that refused our probe takes no ACK from behind it
        return data

    def close(self) -> None:
        self.sender.fin_queued = True

    def receive_space(self) -> int:
        """Of the one window for all subflows: what the application has not read takes room. What is out
        of order lies inside the window (RFC 8684 §3.3.4)."""
        return self.config.receive_buffer - self.receiver.queued

    # -- subflows -------------------------------------------------------------------------------------

    def new_subflow(self, tcb: Tcb, *, initiated: bool, join: JoinState) -> Subflow:
        """A further subflow that is not one of the connection's yet."""
        tcb.group = self.group
        return Subflow(self.next_index, tcb, initiated=initiated, join=join)

    def adopt(self, sub: Subflow) -> None:
        """The newest of `new_subflow` is one of the connection's from here on."""
        self.next_index += 1
        self.subflows.append(sub)

    def join_asked(self, now: int) -> None:
        """The peer has begun a join (RFC 8684 §3.2)."""
        self.join_asked_at = now

    @property
    def alive(self) -> int:
        """Subflows that are established or on the way there."""
        return sum(sub.alive for sub in self.subflows)

    def announce_subflow(self, now: int, sub: Subflow) -> None:
        """It may carry data from now on."""
        self.joined += 1
        sub.usable = sub.opened = True
        self.linger_at = None
        self.assign_due = True
        where = f"{sub.index} {'by us' if sub.initiated else 'by the peer'}"
        self.context.trace(now, self.number, "subflow", where)
        opened = events.SubflowOpened(self.number, sub.index, sub.tcb.local, sub.tcb.remote, sub.backup)
        self.tell(opened)

    def reset_subflow(self, now: int, sub: Subflow, reason: Reason, options: tuple[Option, ...] = ()) -> None:
        """Send a RST on this subflow and go on with the others, if there are any."""
        if sub.tcb.state not in NEVER_ON_A_WIRE:
            sub.reset_options = options
        self.lose(now, sub, reason)

    def lose(self, now: int, sub: Subflow, reason: Reason) -> None:
        """A subflow is gone: what it carried goes to the others; without any, the connection ends.

        It waits for a new subflow only where there has been more than one path (RFC 8684 §3.3.3 leaves
        open for how long), and a shorter time where the peer has just begun a join.
        """
        self._close_subflow(now, sub, reason)
        if self.finished or any(other.alive for other in self.subflows):
            return
        patience = self.mptcp.close_timeout if self.joined else self._join_patience(now)
        if self.mode is Mode.MPTCP and patience > 0 and not self.both_done:
            if self.linger_at is None:
                self.linger_at = now + patience
                self.linger_reason = reason
        else:
            self.finish_or_reset(now, reason, "rst")

    def _join_patience(self, now: int) -> int:
        """How long a join that the peer has begun may still save the connection, in ns. Its SYN and its
        third ACK may each be lost once."""
        if self.join_asked_at is None:
            return 0
        longest = min(3 * self.config.rto_initial, self.mptcp.close_timeout)
        return self.join_asked_at + longest - now

    def _close_subflow(self, now: int, sub: Subflow, reason: Reason) -> None:
        if sub.alive:
            sub.tcb.move(State.CLOSED)
        sub.closed_because = reason
        self.group.leave(sub.tcb.cc)
        for one in sub.carrying:
            self.sender.again.add(max(one.start, self.sender.una), one.end)
        sub.carrying.clear()
        self.assign_due = self.book.plan_due = True
        if sub.index:
            self.context.trace(now, self.number, "subflow closed", f"{sub.index}: {reason.value}")
            if sub.opened:
                self.tell(events.SubflowClosed(self.number, sub.index, reason))

    def closed_by_peer(self, now: int, sub: Subflow) -> None:
        """A RST with MP_FASTCLOSE ends all subflows (RFC 8684 §3.5)."""
        self.finish_or_reset(now, Reason.FASTCLOSE_RECEIVED, "fastclose")
        self._close_subflow(now, sub, Reason.FASTCLOSE_RECEIVED)
        for other in list(self.subflows):
            if other.alive:
                self.reset_subflow(now, other, Reason.FASTCLOSE_RECEIVED)

    def finish_or_reset(self, now: int, reason: Reason, closed_by: str) -> None:
        """The last subflow is gone; that hurts only when there was something left to say."""
        if self.both_done:
            self.finish_clean(now)
            return
        self.closed_by = closed_by
        verdict = Verdict.HANG if reason in HANGS else Verdict.RESET
        self.finish(now, clean=False, verdict=verdict, reason=reason)

    def bury(self, sub: Subflow) -> None:
        """Nothing more leaves on this subflow: keep its report only."""
        if sub in self.subflows:
            self.subflows.remove(sub)
            self.group.leave(sub.tcb.cc)
            if sub.opened and sub.index:
                self.past.append(sub.describe())

    # -- fallback -------------------------------------------------------------------------------------

    def run_in_step(self, sub: Subflow, send_ssn: int, receive_ssn: int) -> None:
        """From here on both levels count alike, in both directions (RFC 8684 §3.7)."""
        sub.send_mappings.declare_infinite(send_ssn, self.sender.nxt)
        sub.receive_mappings.declare_infinite(receive_ssn, self.receiver.next)

    # -- ends -----------------------------------------------------------------------------------------

    @property
    def both_done(self) -> bool:
        """Both DATA_FINs are exchanged and acknowledged."""
        return self.mode is Mode.MPTCP and self.sender.fin_acked and self.receiver.fin_taken

    def reset(self, now: int, reason: Reason, options: tuple[Option, ...] = ()) -> None:
        """Send a RST on every subflow and be done."""
        if self.finished and not self.alive:
            return
        fast = reason is Reason.FASTCLOSE_RECEIVED or any(isinstance(o, MpFastclose) for o in options)
        self.closed_by = "fastclose" if fast else "rst"
        verdict = Verdict.HANG if reason in HANGS else Verdict.RESET
        self.finish(now, clean=False, verdict=verdict, reason=reason)
        for sub in list(self.subflows):
            if sub.alive:
                self.reset_subflow(now, sub, reason, options)

    def finish(self, now: int, *, clean: bool, verdict: Verdict, reason: Reason) -> None:
        """The last event, and the report as it stays."""
        if self.finished:
            return
        self.report = self.describe(verdict, reason)
        self.tell(events.Closed(self.number, clean, verdict, reason))
        self.finished = True
        self.data_fin_at = self.linger_at = self.data_rto_at = None
        self.context.trace(now, self.number, "closed", f"{verdict.value}: {reason.value}")
        if self.local_token is not None:
            self.context.tokens.pop(self.local_token, None)
        for sub in self.subflows:
            if sub.join is not None and not sub.usable and sub.alive:
                self._close_subflow(now, sub, reason)

    def finish_clean(self, now: int) -> None:
        self.closed_by = "data_fin" if self.mode is Mode.MPTCP else "fin"
        self.finish(now, clean=True, verdict=self.running_verdict(), reason=self.fallback_reason)

    @property
    def has_sent(self) -> bool:
        """Data of ours was mapped."""
        return self.sender.nxt > self.sender.first

    @property
    def has_fallen_back(self) -> bool:
        """Plain TCP by now, and the SYN or the profile asked for more."""
        asked = self.profile is not Profile.TCP and self.fallback_reason is not Reason.NO_CAPABLE_IN_SYN
        return self.mode is Mode.TCP and asked

    def running_verdict(self) -> Verdict:
        if self.mode is not Mode.TCP:
            return Verdict.MPTCP
        return Verdict.FALLBACK if self.has_fallen_back else Verdict.TCP

    def describe(self, verdict: Verdict | None = None, reason: Reason | None = None) -> ConnectionReport:
        if self.report is not None:
            return self.report
        open_now = [self.first, *[sub for sub in self.subflows if sub.opened and sub.index]]
        paths = tuple(sorted((*self.past, *[sub.describe() for sub in open_now]), key=lambda one: one.index))
        return ConnectionReport(
            profile=self.profile.value,
            role=self.role,
            local=self.local,
            remote=self.remote,
            verdict=verdict if verdict is not None else self.running_verdict(),
            reason=reason if reason is not None else self.fallback_reason,
            local_key=self.local_key,
            remote_key=self.remote_key,
            local_token=self.local_token,
            remote_token=self.remote_token,
            bytes_sent=self.sender.end - 1,
            bytes_acked=min(self.sender.una, self.sender.end) - 1,
            bytes_received=self.receiver.total,
            subflows=1 + self.joined,
            closed_by=self.closed_by,
            retransmits=sum(path.retransmits for path in paths),
            srtt=self.first.tcb.rtt.srtt,
            paths=paths,
            fast_open=self.fast_open.outcome if self.fast_open else FastOpenOutcome.NONE,
            syn_data=self.fast_open.accepted if self.fast_open else 0,
        )

    # -- numbers --------------------------------------------------------------------------------------

    def data_ack_number(self) -> int:
        """The 64-bit DATA_ACK to send; only once the peer's key is known."""
        return self.peer_dsn(self.receiver.next)

    def peer_dsn(self, offset: int) -> int:
        """The 64-bit DSN of a data offset of the peer's."""
        return ((self.remote_idsn or 0) + offset) & 0xFFFF_FFFF_FFFF_FFFF

    def dsn(self, offset: int) -> int:
        """The 64-bit DSN of a data offset of ours."""
        return (self.local_idsn + offset) & 0xFFFF_FFFF_FFFF_FFFF

    def deadline(self) -> int | None:
        times = [self.data_fin_at, self.linger_at, self.data_rto_at, self.fastclose_at]
        times += [sub.deadline() for sub in self.subflows]
        times.append(self.book.deadline())
        return min((at for at in times if at is not None), default=None)
