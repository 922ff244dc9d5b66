"""One Multipath TCP connection (with one subflow so far): its state and the verbs of its application.

Decides the connection's life: opening, mode, verdict, closing. What an arriving segment means is in
incoming.py, what leaves in outgoing.py, the DATA_FIN exchange in closing.py, TCP in tcp/.
Read first: RFC 8684 §3.1, §3.3.3, §3.5.
"""

from __future__ import annotations

from enum import Enum

from testbed.mptcp import events
from testbed.mptcp.config import FirstData, LostThirdAck, MptcpConfig, Profile, ThirdAck
from testbed.mptcp.context import Context
from testbed.mptcp.data_level import DataReceiver, DataSender
from testbed.mptcp.fallback import Action, Decision, Observation, Situation, decide
from testbed.mptcp.keys import token_and_idsn
from testbed.mptcp.mapping import Mapping, MappingTable
from testbed.mptcp.profiles import speech
from testbed.mptcp.ranges import SendBuffer
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.report import ConnectionReport
from testbed.mptcp.tcp.output import window_update_due
from testbed.mptcp.tcp.state import State
from testbed.mptcp.tcp.tcb import Tcb
from testbed.mptcp.wire import Dss, MpFail, MpFastclose, MpTcpRst, Option


class Mode(Enum):
    NEGOTIATING = "negotiating"
    MPTCP = "mptcp"
    TCP = "tcp"  # asked for, or after fallback


class Connection:
    __slots__ = (
        "acks_without_data_ack",
        "announce_infinite",
        "announced",
        "answers_synack",
        "checksum",
        "closed_by",
        "confirmed",
        "context",
        "data_fin_at",
        "data_fin_attempts",
        "early_dss",
        "fallback_reason",
        "fin_ack_due",
        "finished",
        "first_capable_length",
        "first_data",
        "linger_at",
        "local_idsn",
        "local_key",
        "local_token",
        "lost_third_ack",
        "mode",
        "mptcp",
        "number",
        "peer_dsn_8",
        "peer_dss_seen",
        "pending",
        "plain_syn",
        "profile",
        "receive_mappings",
        "receiver",
        "remote_idsn",
        "remote_key",
        "remote_token",
        "report",
        "reset_options",
        "role",
        "scheduled",
        "send_fail",
        "send_mappings",
        "sender",
        "speech",
        "syn_retries",
        "tcb",
        "third_ack",
        "third_packet_observation",
        "want_space",
    )

    def __init__(
        self, number: int, role: str, context: Context, tcb: Tcb, profile: Profile, mptcp: MptcpConfig
    ) -> None:
        self.number, self.role, self.context, self.tcb = number, role, context, tcb
        self.profile, self.mptcp = profile, mptcp
        self.speech = speech(profile, mptcp)
        self.mode = Mode.TCP if profile is Profile.TCP else Mode.NEGOTIATING
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
        self.plain_syn = False  # the last SYN went out without MP_CAPABLE
        self.answers_synack = False  # the next ACK answers a SYN/ACK
        self.early_dss: list[Dss] = []  # of segments that overtook the one with the keys
        self.confirmed = False  # a DATA_ACK of the peer was seen
        self.peer_dss_seen = False
        self.peer_dsn_8 = False
        self.first_capable_length: int | None = None
        self.acks_without_data_ack = 0
        # Data.
        self.sender, self.receiver = DataSender(), DataReceiver()
        self.send_mappings, self.receive_mappings = MappingTable(), MappingTable()
        self.pending = SendBuffer(1)  # in order on the subflow, not yet mapped
        self.want_space = False
        # Ends.
        self.announce_infinite: Mapping | None = None
        self.send_fail: MpFail | None = None
        self.data_fin_at: int | None = None
        self.data_fin_attempts = 0
        self.fin_ack_due = False
        self.linger_at: int | None = None
        self.fallback_reason = Reason.NONE
        self.closed_by = "open"
        self.reset_options: tuple[Option, ...] | None = None  # a RST is to be sent
        self.announced = role == "client"  # the application knows of it
        self.finished = False
        self.report: ConnectionReport | None = None  # frozen when finished
        self.scheduled: int | None = None  # the endpoint's timer entry
        if self.mode is Mode.TCP:
            self._run_in_step(1, 1)

    # -- keys -----------------------------------------------------------------------------------------

    def set_local_key(self, key: int) -> None:
        self.local_key = key
        self.local_token, self.local_idsn = token_and_idsn(key, self.speech.sha256)
        self.context.tokens[self.local_token] = self.number

    def set_remote_key(self, key: int) -> None:
        self.remote_key = key
        self.remote_token, self.remote_idsn = token_and_idsn(key, self.speech.sha256)

    # -- the application's verbs ----------------------------------------------------------------------

    def send(self, data: bytes) -> int:
        if self.sender.fin_queued or self.finished:
            return 0
        buffer = self.sender.buffer
        space = self.tcb.config.send_buffer - (buffer.end - buffer.start)
        count = min(len(data), max(space, 0))
        if count:
            buffer.append(data if count == len(data) else data[:count])
        self.want_space = count < len(data)
        return count

    def receive(self, most: int) -> bytes:
        data = self.receiver.read(most)
        if data and not self.finished and window_update_due(self.tcb, self.receive_space()):
            self.tcb.ack_now = True
        return data

    def close(self) -> None:
        self.sender.fin_queued = True

    def abort(self, now: int, reason: Reason) -> None:
        """Reset, with MP_FASTCLOSE where RFC 8684 §3.5 has it on a RST (option R)."""
        options: tuple[Option, ...] = ()
        if self.mode is Mode.MPTCP and self.profile is Profile.V1 and self.remote_key is not None:
            options = (MpFastclose(self.remote_key),)
            self.context.count("MPFastcloseTx")
        self.reset(now, reason, options)

    def receive_space(self) -> int:
        held = self.tcb.reassembly.held + self.receiver.queued + self.receiver.reassembly.held
        return self.tcb.config.receive_buffer - held - (self.pending.end - self.pending.start)

    # -- fallback -------------------------------------------------------------------------------------

    def observe(self, now: int, observation: Observation, contiguous: bool = True) -> Decision:
        """Report what was seen to fallback.py and carry out what it decides."""
        decision = decide(
            observation,
            Situation(
                self.profile,
                confirmed=self.confirmed,
                contiguous=contiguous,
                unconfirmed_acks=self.acks_without_data_ack,
                lost_third_ack=self.lost_third_ack,
            ),
        )
        self.context.trace(
            now, self.number, observation.value, f"{decision.action.value}: {decision.reason.value}"
        )
        if decision.action is Action.FALL_BACK:
            self._fall_back(decision)
        elif decision.action is Action.RESET:
            options: list[Option] = []
            if decision.send_fail:
                options.append(MpFail(self.data_ack_number()))
                self.context.count("MPFailTx")
            if decision.rst_code is not None:
                options.append(MpTcpRst(decision.rst_code))
                self.context.count("MPRstTx")
            self.reset(now, decision.reason, tuple(options))
        return decision

    def _fall_back(self, decision: Decision) -> None:
        if self.mode is Mode.TCP:
            return
        if self.mode is Mode.MPTCP:
            self.context.count("DssFallback")
        if decision.send_fail:
            self.send_fail = MpFail(self.data_ack_number())
            self.tcb.ack_now = True
        if decision.send_infinite:
            self.announce_infinite = Mapping(self.tcb.snd_end, self.sender.nxt, None)
        self._run_in_step(self.tcb.snd_end, self.pending.start)
        self.mode = Mode.TCP
        self.fallback_reason = decision.reason
        self.data_fin_at = None
        if self.announced:
            self.context.events.append(events.FellBack(self.number, decision.reason))

    def _run_in_step(self, send_ssn: int, receive_ssn: int) -> None:
        """From here on both levels count alike, in both directions (RFC 8684 §3.7)."""
        self.send_mappings.declare_infinite(send_ssn, self.sender.nxt)
        self.receive_mappings.declare_infinite(receive_ssn, self.receiver.next)

    # -- ends -----------------------------------------------------------------------------------------

    def reset(self, now: int, reason: Reason, options: tuple[Option, ...] = ()) -> None:
        """Send a RST and be done."""
        if self.finished and self.tcb.state is State.CLOSED:
            return
        if self.tcb.state not in (State.CLOSED, State.SYN_SENT, State.TIME_WAIT):
            self.reset_options = options
        self.closed_by = "fastclose" if any(isinstance(o, MpFastclose) for o in options) else "rst"
        hang = reason in _HANGS
        self.finish(now, clean=False, verdict=Verdict.HANG if hang else Verdict.RESET, reason=reason)
        self.tcb.move(State.CLOSED)

    def finish(self, now: int, *, clean: bool, verdict: Verdict, reason: Reason) -> None:
        """The last event, and the report as it stays."""
        if self.finished:
            return
        self.report = self.describe(verdict, reason)
        self.finished = True
        self.data_fin_at = self.linger_at = None
        self.context.trace(now, self.number, "closed", f"{verdict.value}: {reason.value}")
        if self.announced:
            self.context.events.append(events.Closed(self.number, clean, verdict, reason))
        if self.local_token is not None:
            self.context.tokens.pop(self.local_token, None)

    def finish_clean(self, now: int) -> None:
        self.closed_by = "data_fin" if self.mode is Mode.MPTCP else "fin"
        self.finish(now, clean=True, verdict=self.running_verdict(), reason=self.fallback_reason)

    def running_verdict(self) -> Verdict:
        if self.mode is not Mode.TCP:
            return Verdict.MPTCP
        plain = self.profile is Profile.TCP or self.fallback_reason is Reason.NO_CAPABLE_IN_SYN
        return Verdict.TCP if plain else Verdict.FALLBACK

    def describe(self, verdict: Verdict | None = None, reason: Reason | None = None) -> ConnectionReport:
        if self.report is not None:
            return self.report
        return ConnectionReport(
            profile=self.profile.value,
            role=self.role,
            local=self.tcb.local,
            remote=self.tcb.remote,
            verdict=verdict if verdict is not None else self.running_verdict(),
            reason=reason if reason is not None else self.fallback_reason,
            local_key=self.local_key,
            remote_key=self.remote_key,
            local_token=self.local_token,
            remote_token=self.remote_token,
            bytes_sent=self.sender.end - 1,
            bytes_received=self.receiver.total,
            subflows=1,
            closed_by=self.closed_by,
            retransmits=self.tcb.retransmits,
            srtt=self.tcb.rtt.srtt,
        )

    # -- numbers --------------------------------------------------------------------------------------

    def data_ack_number(self) -> int:
        """The 64-bit DATA_ACK to send; only once the peer's key is known."""
        idsn = self.remote_idsn if self.remote_idsn is not None else 0
        return (idsn + self.receiver.next) & 0xFFFF_FFFF_FFFF_FFFF

    def dsn(self, offset: int) -> int:
        """The 64-bit DSN of a data offset of ours."""
        return (self.local_idsn + offset) & 0xFFFF_FFFF_FFFF_FFFF

    def deadline(self) -> int | None:
        earliest = self.tcb.deadline()
        for at in (self.data_fin_at, self.linger_at):
            if at is not None and (earliest is None or at < earliest):
                earliest = at
        return earliest


_HANGS = frozenset({Reason.NO_PROGRESS, Reason.CONNECT_TIMED_OUT, Reason.DATA_TIMED_OUT})
