"""Packets of a first subflow -> how each end ended, and why: the verdicts and reasons of the endpoints'
own reports, judged from the wire alone.

Decides per end, from what it sent and from what reached it. A packet marked as dropped was sent but not
received; in a foreign capture, which marks none, all that was captured counts as received.
Must not know what the endpoints say of themselves: this judgement is held against theirs.

What cannot be seen, and what is said then:
- Whether a listener keeps state. A listener that was told the keys and answers data without DATA_ACKs
  forgot them: after a third ACK that never arrived that is `cookie_without_key`, unless it repeated its
  SYN/ACK, which only state can do (then `third_ack_without_capable`).
- Why a listener that was sent everything it needs does not speak MPTCP (a loss behind the capture, an
  option stripped there): its reason is `none`, and the initiator's `no_data_ack` stands for both.
- That an application gave up waiting: a reset after long silence of the other end is taken for it.
- In which order packets arrived that overtook each other behind the place of capture.

Read first: RFC 8684 §3.1, §3.7; draft-paasch-mptcp-syncookies-02 §2; RFC 4987 §3.6.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from testbed.mptcp.reasons import CONSEQUENCES, Reason, Verdict
from testbed.mptcp.wire import ACK, FIN, RST, SYN, Dss, MpFail, Segment
from testbed.mptcp.wire.mptcp_options import FLAG_CHECKSUM
from testbed.trace.closing import Finish
from testbed.trace.data import mappings, relative_data_ack
from testbed.trace.flows import Flow
from testbed.trace.handshake import Handshake, capable, dss, fastclose, usable
from testbed.trace.packets import Packet

_SILENCE = 10_000_000_000  # ns without a packet of the other end after which a reset means "gave up"
_LAST_ATTEMPT = 15  # transmissions of one segment after which common stacks give up (Linux's tcp_retries2)


@dataclass(frozen=True, slots=True)
class Judgement:
    """`cause`: the packet, sent or received, that settled it; None when nothing went wrong."""

    verdict: Verdict
    reason: Reason = Reason.NONE
    since: int | None = None  # ns, at this end
    cause: Packet | None = field(default=None, compare=False, repr=False)


@dataclass(slots=True)
class _Seen:
    """One packet as an end met it."""

    time: int
    sent: bool
    segment: Segment
    packet: Packet

    def settles(self, verdict: Verdict, reason: Reason) -> Judgement:
        return Judgement(verdict, reason, self.time, self.packet)


class _Heard:
    """By an end so far: a DATA_ACK, one about data, a DATA_FIN, and how far TCP's acknowledgements go."""

    def __init__(self, first: int) -> None:
        self.first = self.acked = first
        self.confirmed = self.acknowledged = self.data_fin = False


class End:
    """One end of a flow. `side` 0 is the initiator, 1 the listener. `idsns` as far as they are known."""

    def __init__(
        self, flow: Flow, side: int, handshake: Handshake, idsns: tuple[int | None, int | None]
    ) -> None:
        self.flow, self.side, self.handshake, self.idsns = flow, side, handshake, idsns
        self.fell_back = False  # set by `judge`; a connection that fell back may still end otherwise
        self.seen = sorted(
            (
                _Seen(packet.time if sent else packet.arrived, sent, packet.segment, packet)
                for packet in flow.packets
                for sent in (flow.upward(packet.segment) == (side == 0),)
                if sent or packet.dropped is None
            ),
            key=lambda each: each.time,
        )
        self.mapped = [
            (mapping.ssn, mapping.ssn + mapping.length)
            for mapping in mappings(flow, 1 - side, idsns[1 - side])
        ]

    def judge(self, *, survives: bool = False) -> Judgement | None:
        """None when this end never had a connection. `survives`: the connection outlived this subflow."""
        if self.side == 1 and self.flow.seen_open and self._third_packet() is None:
            return self._cookie_refused()
        asked = bool(self.handshake.offered) or self.handshake.version is not None
        fallen = self._fallback() if asked else None
        self.fell_back = fallen is not None
        ended = None if survives else self._ended()
        if ended is not None:
            return ended
        if not asked:
            told = self.side == 1 and self.flow.seen_open
            return Judgement(Verdict.TCP, Reason.NO_CAPABLE_IN_SYN if told else Reason.NONE)
        if fallen is None:
            return Judgement(Verdict.MPTCP)
        if fallen.reason is Reason.NO_CAPABLE_IN_SYN:
            return replace(fallen, verdict=Verdict.TCP)  # it was asked for no more than that
        return fallen

    # -- fallback -------------------------------------------------------------------------------------

    def _fallback(self) -> Judgement | None:
        """The first thing that made this end fall back, unless it went on speaking MPTCP nevertheless."""
        found = self._handshake_fallback() or (
            self._initiator_data() if self.side == 0 else self._listener_data()
        )
        if found is None or found.since is None or self._speaks_after(found.since):
            return None
        return found

    def _handshake_fallback(self) -> Judgement | None:
        if not self.flow.seen_open:
            return None
        return self._initiator_handshake() if self.side == 0 else self._listener_handshake()

    def _initiator_handshake(self) -> Judgement | None:
        """What the SYN/ACK says to it (RFC 8684 §3.1)."""
        plain = False
        for seen in self.seen:
            segment = seen.segment
            option = capable(segment)
            if seen.sent and segment.flags & SYN:
                plain = option is None
            elif not seen.sent and segment.flags & (SYN | ACK | RST) == SYN | ACK:
                if option is None or not usable(option) or option.sender_key is None:
                    reason = Reason.SYN_RETRIES_EXHAUSTED if plain else Reason.NO_CAPABLE_IN_SYNACK
                    return seen.settles(Verdict.FALLBACK, reason)
                if self._takes_up(seen.time):
                    return None
                if option.version not in self.handshake.offered:
                    return seen.settles(Verdict.FALLBACK, Reason.VERSION_NOT_OFFERED)
                if option.flags & FLAG_CHECKSUM and not self._asked_for_checksum():
                    return seen.settles(Verdict.FALLBACK, Reason.CHECKSUM_REFUSED)
                return None
        return None

    def _takes_up(self, since: int) -> bool:
        """Whether the initiator sends an MPTCP option after the SYN/ACK."""
        later = [each for each in self.seen if each.sent and each.time >= since]
        return not later or any(capable(each.segment) or dss(each.segment) for each in later)

    def _asked_for_checksum(self) -> bool:
        syns = [capable(each.segment) for each in self.seen if each.sent and each.segment.flags & SYN]
        return any(option is not None and option.flags & FLAG_CHECKSUM for option in syns)

    def _listener_handshake(self) -> Judgement | None:
        """What the SYN and the third packet say to it (RFC 8684 §3.1)."""
        third = self._third_packet()
        if third is None:
            return None
        # A stateless listener may have answered several SYNs; the one taken up is the one acknowledged.
        answers = [each for each in self.seen if each.sent and each.segment.flags & SYN]
        taken = [each for each in answers if each.segment.seq == self.flow.isn[1] and each.time <= third.time]
        if taken and capable(taken[-1].segment) is None:
            return taken[-1].settles(Verdict.FALLBACK, Reason.NO_CAPABLE_IN_SYN)
        option = capable(third.segment)
        if option is None:
            if dss(third.segment) is not None:
                return None  # data overtook the third ACK, or outlived it: what follows will tell
            return third.settles(Verdict.FALLBACK, self._without_capable())
        if option.receiver_key not in self.handshake.listener_keys:
            return third.settles(Verdict.FALLBACK, Reason.COOKIE_KEY_MISMATCH)
        if not usable(option) or option.version != self.handshake.version:
            return third.settles(Verdict.FALLBACK, Reason.THIRD_ACK_WITHOUT_CAPABLE)
        return None

    def _third_packet(self) -> _Seen | None:
        """The first packet that arrives in order and acknowledges the SYN/ACK: the one a cookie accepts."""
        for each in self.seen:
            segment = each.segment
            if each.sent or segment.flags & (SYN | ACK | RST) != ACK:
                continue
            if self.flow.acked(segment) >= 1 and self.flow.offset(segment) == 1 + self.flow.fast_open[0]:
                return each
        return None

    def _without_capable(self) -> Reason:
        """Why the first packet to arrive has no key: see the head of this file."""
        lost = any(
            packet.dropped is not None
            and self.flow.upward(packet.segment)
            and not packet.segment.flags & SYN
            and capable(packet.segment) is not None
            for packet in self.flow.packets
        )
        if self.flow.fast_open[0]:
            return Reason.THIRD_ACK_WITHOUT_CAPABLE  # who takes data from a SYN keeps state
        forgot = lost or (self.handshake.version == 0 and not self._third_ack_captured())
        return (
            Reason.COOKIE_WITHOUT_KEY
            if forgot and not self._repeated_answer()
            else Reason.THIRD_ACK_WITHOUT_CAPABLE
        )

    def _third_ack_captured(self) -> bool:
        return any(
            self.flow.upward(packet.segment)
            and packet.segment.flags & (SYN | ACK | RST | FIN) == ACK
            and not packet.segment.payload
            and self.flow.offset(packet.segment) == 1
            and self.flow.acked(packet.segment) == 1
            for packet in self.flow.packets
        )

    def _repeated_answer(self) -> bool:
        """A SYN/ACK more than there were SYNs: only a listener that keeps state repeats one."""
        syns = sum(1 for each in self.seen if not each.sent and each.segment.flags & SYN)
        answers = sum(1 for each in self.seen if each.sent and each.segment.flags & SYN)
        return answers > syns

    # -- data -----------------------------------------------------------------------------------------

    def _initiator_data(self) -> Judgement | None:
        return self._signals()

    def _listener_data(self) -> Judgement | None:
        """The first acknowledgement of data without a DATA_ACK betrays a listener that fell back."""
        signal = self._signals()
        for each in self.seen:
            if signal is not None and signal.since is not None and each.time > signal.since:
                break
            segment = each.segment
            if not each.sent or segment.flags & (SYN | ACK | RST) != ACK:
                continue
            option = dss(segment)
            if option is not None and option.data_ack is not None:
                break  # it speaks MPTCP
            if self.flow.acked(segment) > 1 + self.flow.fast_open[0] and self._has_data(before=each.time):
                return each.settles(Verdict.FALLBACK, self._listener_reason())
        return signal

    def _listener_reason(self) -> Reason:
        third = self._third_packet()
        if third is not None and capable(third.segment) is None:
            return self._without_capable()
        return Reason.NONE

    def _has_data(self, before: int) -> bool:
        return any(each.segment.payload and not each.sent and each.time <= before for each in self.seen)

    def _signals(self) -> Judgement | None:
        """What arrives, in the order in which an end looks at it (RFC 8684 §3.7).

        An end that has sent MP_FAIL falls back with the next sign of plain TCP.
        """
        failed = False
        sent_up_to = 1 + self.flow.fast_open[self.side]
        heard = _Heard(sent_up_to)
        finish = Finish()
        for each in self.seen:
            segment = each.segment
            finish.observe(self.flow, segment)
            if failed and segment.flags & FIN and not finish.data:
                return each.settles(Verdict.FALLBACK, Reason.CHECKSUM_FAILED)
            if each.sent:
                failed = failed or any(isinstance(option, MpFail) for option in segment.options)
                if not segment.flags & SYN:
                    length = len(segment.payload) + bool(segment.flags & FIN)
                    sent_up_to = max(sent_up_to, self.flow.offset(segment) + length)
                continue
            if segment.flags & (SYN | RST) or not segment.flags & ACK:
                continue
            if failed:
                heard.confirmed = heard.acknowledged = False
            reason = self._signal(segment, heard, sent_up_to)
            if failed and reason not in (None, Reason.MP_FAIL_RECEIVED):
                return each.settles(Verdict.FALLBACK, Reason.CHECKSUM_FAILED)
            if reason is not None and not failed:
                return each.settles(Verdict.FALLBACK, reason)
        return None

    def _signal(self, segment: Segment, heard: _Heard, sent_up_to: int) -> Reason | None:
        acked = min(self.flow.acked(segment), sent_up_to)
        if any(isinstance(option, MpFail) for option in segment.options):
            heard.acked = max(heard.acked, acked)
            return Reason.MP_FAIL_RECEIVED
        option = dss(segment)
        if option is not None and option.dsn is not None and option.length == 0:
            return Reason.INFINITE_MAPPING_RECEIVED
        if option is not None and option.data_ack is not None:
            heard.confirmed = True
            heard.acknowledged = heard.acknowledged or acked > heard.first or self._acknowledges(option)
        elif acked > heard.acked and not heard.acknowledged and capable(segment) is None:
            return Reason.NO_DATA_ACK
        heard.data_fin = heard.data_fin or (option is not None and option.data_fin)
        unmapped = segment.payload and not self._is_mapped(segment)
        if (unmapped or (segment.flags & FIN and not heard.data_fin)) and not heard.confirmed:
            return Reason.NO_MAPPING
        heard.acked = max(heard.acked, acked)
        return None

    def _acknowledges(self, option: Dss) -> bool:
        """Whether a DATA_ACK is about anything that this end has sent: a DATA_FIN, at the least."""
        idsn = self.idsns[self.side]
        if idsn is None or option.data_ack is None:
            return True
        return relative_data_ack(option.data_ack, option.data_ack_8, idsn) > 1

    def _is_mapped(self, segment: Segment) -> bool:
        start = self.flow.ssn(segment)
        first = capable(segment)
        if first is not None and first.data_length is not None:
            return True
        return any(left <= start < right for left, right in self.mapped)

    def _speaks_after(self, since: int) -> bool:
        """Whether this end sends a DATA_ACK, after that time, that acknowledges more than all before it.

        What was on its way when it fell back does not, nor does the answer to a packet without a mapping.
        """
        peer_idsn = self.idsns[1 - self.side]
        if peer_idsn is None:
            return False
        highest = 1
        for each in self.seen:
            option = dss(each.segment) if each.sent else None
            if option is None or option.data_ack is None or (option.dsn is not None and not option.length):
                continue
            number = relative_data_ack(option.data_ack, option.data_ack_8, peer_idsn)
            if number > highest and each.time > since:
                return True
            highest = max(highest, number)
        return False

    # -- ends -----------------------------------------------------------------------------------------

    def _ended(self) -> Judgement | None:
        """A reset or a silence, unless the connection was finished before it."""
        finish = Finish()
        answered = False  # the SYN, by this end or by the other
        progress = self.seen[0].time if self.seen else 0
        for each in self.seen:
            segment = each.segment
            fast = fastclose(segment, self.flow, self.handshake.keys)
            if fast or segment.flags & RST:
                if finish.complete(self.flow):
                    return None
                if fast and not each.sent:
                    return each.settles(Verdict.RESET, Reason.FASTCLOSE_RECEIVED)
                return self._reset(each, progress)
            finish.observe(self.flow, segment)
            if not each.sent:
                progress = each.time
            answered = answered or segment.flags & (SYN | ACK) == SYN | ACK
        return self._unanswered() if not answered else None

    def _reset(self, last: _Seen, progress: int) -> Judgement:
        if not last.sent:
            return last.settles(Verdict.RESET, Reason.RST_RECEIVED)
        if last.time - progress > _SILENCE:
            timed_out = self._data_timed_out()
            return last.settles(Verdict.HANG, Reason.DATA_TIMED_OUT if timed_out else Reason.NO_PROGRESS)
        return last.settles(Verdict.RESET, Reason.ABORTED)

    def _cookie_refused(self) -> Judgement | None:
        """A listener without a connection that resets what came after its SYN/ACK: no cookie fitted."""
        answered = False
        for each in self.seen:
            if each.sent and each.segment.flags & RST and answered:
                return each.settles(Verdict.RESET, Reason.COOKIE_INVALID)
            answered = answered or (each.sent and bool(each.segment.flags & SYN))
        return None

    def _data_timed_out(self) -> bool:
        """Whether some data was sent over and over until the end."""
        sent = Counter(
            self.flow.offset(each.segment) for each in self.seen if each.sent and each.segment.payload
        )
        return bool(sent) and max(sent.values()) >= _LAST_ATTEMPT

    def _unanswered(self) -> Judgement | None:
        if self.side == 1 or not self.flow.seen_open:
            return None
        return self.seen[-1].settles(Verdict.HANG, Reason.CONNECT_TIMED_OUT)


def both(client: Judgement | None, server: Judgement | None) -> Judgement:
    """One verdict for the connection: `fallback` if either end fell back, else what the client met with.

    The reason is the cause, as far as one of the ends tells it.
    """
    if client is None:
        return server or Judgement(Verdict.HANG, Reason.NO_PROGRESS)
    if server is None:
        return client
    first, other = client, server
    if server.verdict is Verdict.FALLBACK is not client.verdict:
        first, other = server, client
    same = first.verdict is other.verdict
    return other if same and first.reason in CONSEQUENCES and other.reason is not Reason.NONE else first
