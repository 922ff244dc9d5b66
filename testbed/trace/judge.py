"""Packets of a first subflow -> how each end ended, and why: the verdicts and reasons of the endpoints'
own reports, judged from the wire alone.

Decides per end, from what it sent and from what reached it. A packet marked as dropped was sent but not
received; in a foreign capture, which marks none, all that was captured counts as received.
Must not know what the endpoints say of themselves: this judgement is held against theirs.

Absence in a capture is not absence on the wire. What a packet shows is certain; what no packet shows is not,
and the verdict is then `unknown`. Evidence.py says what a capture shows and what it missed. So:
- An end speaks MPTCP when a packet of its own, or an acknowledgement of its data, shows that it does.
- An end fell back when a packet whose options were all captured shows plain TCP where MPTCP requires an
  option, unless that end speaks MPTCP later or the capture lacks packets before it.
- Nothing is a hang but silence in a capture of both directions: SYNs repeated without an answer, or a reset
  after a long silence of the other end.

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
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple

from testbed.mptcp.reasons import CONSEQUENCES, RESET_REASONS, Reason, Verdict
from testbed.mptcp.wire import ACK, FIN, RST, SYN, Dss, MpTcpRst
from testbed.mptcp.wire.mptcp_options import FLAG_CHECKSUM, MP_FAIL, MP_TCPRST
from testbed.trace.closing import FASTCLOSE, OPEN, RESET, Closing, Finish, LastWords
from testbed.trace.data import mapped, mappings, relative_data_ack
from testbed.trace.evidence import plain_acks
from testbed.trace.flows import HANDSHAKE, SYN_ACK, Flow, Step
from testbed.trace.handshake import Handshake, fastclose, usable
from testbed.trace.packets import Packet

_SILENCE = 10_000_000_000  # ns without a packet of the other end after which a reset means "gave up"
_LAST_ATTEMPT = 15  # transmissions of one segment after which common stacks give up (Linux's tcp_retries2)
_SYNS = 6  # transmissions of a SYN after which common stacks give up (Linux's tcp_syn_retries, and one)
_SHORT = 64  # packets; their order is kept, not made again for every question
_PLAIN = 3  # acknowledgements without a DATA_ACK that are certain even where the capture lacks packets


@dataclass(frozen=True, slots=True)
class Judgement:
    """`cause`: the packet, sent or received, that settled it; None when nothing went wrong."""

    verdict: Verdict
    reason: Reason = Reason.NONE
    since: int | None = None  # ns, at this end
    cause: Packet | None = field(default=None, compare=False, repr=False)


UNKNOWN = Judgement(Verdict.UNKNOWN, Reason.NOT_CAPTURED)


class _Seen(NamedTuple):
    """One packet as an end met it."""

    time: int
    sent: bool
    step: Step

    def settles(self, verdict: Verdict, reason: Reason) -> Judgement:
        return Judgement(verdict, reason, self.time, self.step.packet)


class _Heard:
    """By an end so far: a DATA_ACK, one about data, a DATA_FIN, and how far TCP's acknowledgements go."""

    def __init__(self, first: int) -> None:
        self.first = self.acked = first
        self.confirmed = self.acknowledged = self.data_fin = False


class End:
    """One end of a flow. `side` 0 is the initiator, 1 the listener. `idsns` as far as they are known.

    `shown`: whether the capture shows that this end has spoken MPTCP; `until`: time of its last packet.
    """

    def __init__(
        self,
        flow: Flow,
        side: int,
        handshake: Handshake,
        idsns: tuple[int | None, int | None],
        *,
        shown: bool = False,
        until: int = 0,
    ) -> None:
        self.flow, self.side, self.handshake, self.idsns = flow, side, handshake, idsns
        self.shown, self.until = shown, until
        self.fell_back = False  # set by `judge`; a connection that fell back may still end otherwise
        self.mapped = mapped(mappings(flow, 1 - side, idsns[1 - side]))
        self._late = self._overtaken()
        self._third = self._find_third()

    def _overtaken(self) -> list[_Seen] | None:
        """The packets in the order in which this end met them; None for a long flow in capture order."""
        packets = self.flow.packets
        if len(packets) > _SHORT and all(packet.arrived == packet.time for packet in packets):
            return None
        return sorted(self._as_captured(), key=lambda each: each.time)

    def _as_captured(self) -> Iterator[_Seen]:
        for step in self.flow.steps():
            packet = step.packet
            if step.up != self.side:
                yield _Seen(packet.time, True, step)
            elif packet.dropped is None:
                yield _Seen(packet.arrived, False, step)

    def seen(self) -> Iterator[_Seen]:
        """What it sent and what reached it, in the order of time."""
        return self._as_captured() if self._late is None else iter(self._late)

    def judge(self, closing: Closing) -> Judgement | None:
        """None when this end never had a connection."""
        if self.side == 1 and self.flow.seen_open and self._third is None and not self._connected():
            return self._never_connected()
        asked = bool(self.handshake.offered) or self.handshake.version is not None
        fallen = self._fallback() if asked else None
        self.fell_back = fallen is not None and fallen.verdict is Verdict.FALLBACK
        ended = self._ended(closing)
        if ended is not None:
            return ended
        if fallen is not None:
            if fallen.reason is Reason.NO_CAPABLE_IN_SYN:
                return replace(fallen, verdict=Verdict.TCP)  # it was asked for no more than that
            return fallen
        if self.shown or (asked and self._has_keys()):
            return Judgement(Verdict.MPTCP)
        if self.handshake.plain_syn and not asked:
            return Judgement(Verdict.TCP, Reason.NO_CAPABLE_IN_SYN if self.side == 1 else Reason.NONE)
        return UNKNOWN

    def _has_keys(self) -> bool:
        """A listener that was sent both keys in the packet that completes the handshake."""
        return self.side == 1 and self._third is not None and self._third.step.packet.capable is not None

    # -- never a connection ---------------------------------------------------------------------------

    def _connected(self) -> bool:
        """Whether a listener sends what only an end with a connection sends."""
        return bool(self.flow.from_end(1, ACK))

    def _never_connected(self) -> Judgement | None:
        """None only where packets show it: a refusal, or that nothing reached this end."""
        answered = False
        for each in self.seen():
            packet = each.step.packet
            if each.sent and packet.flags & RST:
                if (
                    answered and not packet.flags & ACK
                ):  # the form of an answer to an ACK (RFC 9293 §3.10.7.1)
                    return each.settles(Verdict.RESET, Reason.COOKIE_INVALID)
                return None if not answered else UNKNOWN
            answered = answered or (each.sent and bool(packet.flags & SYN))
        later = self.flow.from_end(0, ACK)
        lost = bool(later) and all(packet.dropped is not None for packet in later)
        reset = bool(self.flow.from_end(0, RST, RST))
        return None if lost or reset or _gave_up_connecting(self.flow, self.until) else UNKNOWN

    # -- fallback -------------------------------------------------------------------------------------

    def _fallback(self) -> Judgement | None:
        """The first thing that made this end fall back, unless it went on speaking MPTCP nevertheless.

        Verdict.UNKNOWN where that rests on an option that the capture may have missed.
        """
        found = self._handshake_fallback() or (self._signals() if self.side == 0 else self._listener_data())
        if found is None or found.since is None or self._speaks_after(found.since):
            return None
        return UNKNOWN if self._doubtful(found.reason) else found

    def _doubtful(self, reason: Reason) -> bool:
        """Whether the absence of an option is the only evidence, and the capture may lack the packet."""
        if reason in (Reason.NO_DATA_ACK, Reason.NO_MAPPING):
            speaker = 1 - self.side  # the end that did not send it
        elif self.side == 1 and reason in (
            Reason.NONE,
            Reason.THIRD_ACK_WITHOUT_CAPABLE,
            Reason.COOKIE_WITHOUT_KEY,
        ):
            speaker = 1
        else:
            return False
        enough = _PLAIN if self.flow.missed(0) or self.flow.missed(1) else 1
        if speaker == self.side and not self.flow.from_end(1, ACK):
            return self.flow.missed(0) or self._third is None or self._third.step.packet.length == 0
        return next(islice(plain_acks(self.flow, speaker), enough - 1, None), None) is None

    def _handshake_fallback(self) -> Judgement | None:
        if not self.flow.seen_open:
            return None
        return self._initiator_handshake() if self.side == 0 else self._listener_handshake()

    def _initiator_handshake(self) -> Judgement | None:
        """What the SYN/ACK says to it (RFC 8684 §3.1)."""
        plain = False
        for seen in self.seen():
            packet = seen.step.packet
            if not packet.flags & SYN:
                continue
            option = packet.capable
            if seen.sent:
                plain = option is None and packet.complete
            elif packet.flags & HANDSHAKE == SYN_ACK:
                if option is None and not packet.complete:
                    return None
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
        """Whether the initiator sends an MPTCP option after the SYN/ACK, or may have done so."""
        sent = False
        for each in self.seen():
            if each.sent and each.time >= since:
                sent = True
                packet = each.step.packet
                if packet.capable or packet.dss or not packet.complete:
                    return True
        return not sent

    def _asked_for_checksum(self) -> bool:
        syns = [packet.capable for packet in self.flow.from_end(0, SYN, SYN)]
        return any(option is not None and option.flags & FLAG_CHECKSUM for option in syns)

    def _listener_handshake(self) -> Judgement | None:
        """What the SYN and the third packet say to it (RFC 8684 §3.1)."""
        third = self._third
        if third is None:
            return None
        # A stateless listener may have answered several SYNs; the one taken up is the one acknowledged.
        taken = [
            packet
            for packet in self.flow.from_end(1, SYN, SYN)
            if packet.seq == self.flow.isn[1] and packet.time <= third.time
        ]
        if taken and taken[-1].capable is None and taken[-1].complete:
            return Judgement(Verdict.FALLBACK, Reason.NO_CAPABLE_IN_SYN, taken[-1].time, taken[-1])
        packet = third.step.packet
        option = packet.capable
        if option is None:
            if packet.dss is not None or not packet.complete:
                return None  # data overtook the third ACK, or outlived it: what follows will tell
            return third.settles(Verdict.FALLBACK, self._without_capable())
        if taken and taken[-1].capable and option.receiver_key not in self.handshake.listener_keys:
            return third.settles(Verdict.FALLBACK, Reason.COOKIE_KEY_MISMATCH)
        if not usable(option) or option.version != self.handshake.version:
            return third.settles(Verdict.FALLBACK, Reason.THIRD_ACK_WITHOUT_CAPABLE)
        return None

    def _find_third(self) -> _Seen | None:
        """The first packet that arrives in order and acknowledges the SYN/ACK: the one a cookie accepts."""
        first = 1 + self.flow.fast_open[0]
        for each in self.seen():
            if each.sent or each.step.packet.flags & HANDSHAKE != ACK:
                continue
            if each.step.acked >= 1 and each.step.start == first:
                return each
        return None

    def _without_capable(self) -> Reason:
        """Why the first packet to arrive has no key: see the head of this file."""
        lost = any(
            packet.dropped is not None and up and not packet.flags & SYN and packet.capable is not None
            for packet, up in zip(self.flow.packets, self.flow.ups, strict=True)
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
            step.up
            and step.packet.flags & (HANDSHAKE | FIN) == ACK
            and not step.packet.length
            and step.start == 1
            and step.acked == 1
            for step in self.flow.steps()
        )

    def _repeated_answer(self) -> bool:
        """A SYN/ACK more than there were SYNs: only a listener that keeps state repeats one."""
        syns = sum(packet.dropped is None for packet in self.flow.from_end(0, SYN, SYN))
        return len(self.flow.from_end(1, SYN, SYN)) > syns

    # -- data -----------------------------------------------------------------------------------------

    def _listener_data(self) -> Judgement | None:
        """The first acknowledgement of data without a DATA_ACK betrays a listener that fell back."""
        signal = self._signals()
        first, has_data = 1 + self.flow.fast_open[0], False
        for each in self.seen():
            if signal is not None and signal.since is not None and each.time > signal.since:
                break
            packet = each.step.packet
            if not each.sent:
                has_data = has_data or packet.length > 0
                continue
            if packet.flags & HANDSHAKE != ACK:
                continue
            if not packet.complete or (packet.dss is not None and packet.dss.data_ack is not None):
                break  # it speaks MPTCP, or may do so
            if each.step.acked > first and has_data:
                return each.settles(Verdict.FALLBACK, self._listener_reason())
        return signal

    def _listener_reason(self) -> Reason:
        third = self._third
        if third is not None and third.step.packet.capable is None and third.step.packet.complete:
            return self._without_capable()
        return Reason.NONE

    def _signals(self) -> Judgement | None:
        """What arrives, in the order in which an end looks at it (RFC 8684 §3.7).

        An end that has sent MP_FAIL falls back with the next sign of plain TCP.
        """
        failed = False
        sent_up_to = 1 + self.flow.fast_open[self.side]
        heard = _Heard(sent_up_to)
        finish = Finish()
        for each in self.seen():
            step = each.step
            packet, _, start, _ = step
            flags = packet.flags
            finish.observe(self.flow, step)
            if failed and flags & FIN and not finish.data:
                return each.settles(Verdict.FALLBACK, Reason.CHECKSUM_FAILED)
            if each.sent:
                failed = failed or bool(packet.mptcp >> MP_FAIL & 1)
                if not flags & SYN:
                    sent_up_to = max(sent_up_to, start + packet.length + (flags & FIN != 0))
                continue
            if flags & (SYN | RST) or not flags & ACK:
                continue
            if failed:
                heard.confirmed = heard.acknowledged = False
            reason = self._signal(step, heard, sent_up_to)
            if failed and reason not in (None, Reason.MP_FAIL_RECEIVED):
                return each.settles(Verdict.FALLBACK, Reason.CHECKSUM_FAILED)
            if reason is not None and not failed:
                return each.settles(Verdict.FALLBACK, reason)
        return None

    def _signal(self, step: Step, heard: _Heard, sent_up_to: int) -> Reason | None:
        packet = step.packet
        acked = min(step.acked, sent_up_to)
        if packet.mptcp >> MP_FAIL & 1:
            heard.acked = max(heard.acked, acked)
            return Reason.MP_FAIL_RECEIVED
        option = packet.dss
        if option is not None and option.dsn is not None and option.length == 0:
            return Reason.INFINITE_MAPPING_RECEIVED
        if not packet.complete:
            heard.confirmed = heard.acknowledged = True  # what it carried is unknown: nothing is absent now
        if option is not None and option.data_ack is not None:
            heard.confirmed = True
            heard.acknowledged = heard.acknowledged or acked > heard.first or self._acknowledges(option)
        elif acked > heard.acked and not heard.acknowledged and packet.capable is None:
            return Reason.NO_DATA_ACK
        heard.data_fin = heard.data_fin or (option is not None and option.data_fin)
        if not heard.confirmed:
            unmapped = packet.length and not self._is_mapped(step)
            if unmapped or (packet.flags & FIN and not heard.data_fin):
                return Reason.NO_MAPPING
        heard.acked = max(heard.acked, acked)
        return None

    def _acknowledges(self, option: Dss) -> bool:
        """Whether a DATA_ACK is about anything that this end has sent: a DATA_FIN, at the least."""
        idsn = self.idsns[self.side]
        if idsn is None or option.data_ack is None:
            return True
        return relative_data_ack(option.data_ack, option.data_ack_8, idsn) > 1

    def _is_mapped(self, step: Step) -> bool:
        first = step.packet.capable
        if first is not None and first.data_length is not None:
            return True
        # Data accepted with a Fast Open SYN lies outside of the subflow's numbers (RFC 8684 Appendix B.2).
        return step.start - self.flow.fast_open[0 if step.up else 1] in self.mapped

    def _speaks_after(self, since: int) -> bool:
        """Whether this end sends a DATA_ACK, after that time, that acknowledges more than all before it.

        What was on its way when it fell back does not, nor does the answer to a packet without a mapping.
        """
        idsn = self.idsns[1 - self.side]
        base = self._first_mapping() if idsn is None else idsn
        highest = 1
        for each in self.seen():
            option = each.step.packet.dss if each.sent else None
            if option is None or option.data_ack is None or (option.dsn is not None and not option.length):
                continue
            if base is None:  # what its numbers count from is not known
                base = option.data_ack - 1
            number = relative_data_ack(option.data_ack, option.data_ack_8, base)
            if number > highest and each.time > since:
                return True
            highest = max(highest, number)
        return False

    def _first_mapping(self) -> int | None:
        """One less than the first data sequence number that the other end sent, as if it were its IDSN."""
        for each in self.seen():
            option = None if each.sent else each.step.packet.dss
            if option is not None and option.dsn is not None and option.length:
                return option.dsn - 1
        return None

    # -- ends -----------------------------------------------------------------------------------------

    def _ended(self, closing: Closing) -> Judgement | None:
        """A reset or a silence, unless the connection was finished before it."""
        if closing.by == OPEN:
            return self._unanswered()
        if closing.by not in (RESET, FASTCLOSE) or closing.flow is None:
            return None
        if closing.flow is not self.flow:
            last = End(closing.flow, self.side, self.handshake, self.idsns, until=self.until)
            return last._reset_on()
        return self._reset_on()

    def _reset_on(self) -> Judgement | None:
        """What a reset or fast close of this flow was to this end."""
        words = LastWords(self.flow)
        finish = Finish()
        progress: int | None = None
        spoke = False
        for each in self.seen():
            packet = each.step.packet
            fast = fastclose(packet, self.flow, self.handshake.keys)
            if fast or packet.flags & RST:
                if not fast and not words.ends_flow(packet):
                    continue
                if finish.complete(self.flow):
                    return None
                if fast and not each.sent:
                    return each.settles(Verdict.RESET, Reason.FASTCLOSE_RECEIVED)
                return self._reset(each, progress, spoke)
            finish.observe(self.flow, each.step)
            if each.sent:
                spoke = True
            else:
                progress = each.time
        return None

    def _reset(self, last: _Seen, progress: int | None, spoke: bool) -> Judgement:
        """`progress`: when the other end was heard last; `spoke`: this end sent something before."""
        said = last.step.packet.mptcp_option(MpTcpRst, MP_TCPRST)
        if said is not None and said.reason < len(RESET_REASONS):
            return last.settles(Verdict.RESET, RESET_REASONS[said.reason])
        if not last.sent:
            return last.settles(Verdict.RESET, Reason.RST_RECEIVED)
        if progress is not None and last.time - progress > _SILENCE:
            timed_out = self._data_timed_out()
            return last.settles(Verdict.HANG, Reason.DATA_TIMED_OUT if timed_out else Reason.NO_PROGRESS)
        return last.settles(Verdict.RESET, Reason.ABORTED if spoke else Reason.NONE)

    def _data_timed_out(self) -> bool:
        """Whether some data was sent over and over until the end."""
        sent = Counter(each.step.start for each in self.seen() if each.sent and each.step.packet.length)
        return bool(sent) and max(sent.values()) >= _LAST_ATTEMPT

    def _unanswered(self) -> Judgement | None:
        """Only SYNs of the initiator were captured, and no answer."""
        if self.side == 1 or not self.flow.seen_open:
            return None
        last: _Seen | None = None
        for each in self.seen():
            flags = each.step.packet.flags
            if not flags & SYN or (not each.sent and flags & ACK):
                return None
            last = each
        if last is None:
            return None
        if _gave_up_connecting(self.flow, self.until):
            return last.settles(Verdict.HANG, Reason.CONNECT_TIMED_OUT)
        return UNKNOWN


def _gave_up_connecting(flow: Flow, until: int) -> bool:
    """Whether the initiator repeated its SYN without an answer for so long that it gave up.

    Either the capture goes on well past the time of the next SYN, or it was sent as often as common stacks
    do, or the wire dropped all of several.
    """
    if any(packet.dropped is None for packet in flow.from_end(1, SYN_ACK)):
        return False
    syns = flow.from_end(0, SYN)
    if len(syns) < 2 or flow.from_end(0, ACK):
        return False
    gap = syns[-1].time - syns[-2].time
    if len(syns) >= _SYNS or until - syns[-1].time > 5 * gap // 2:
        return True
    return len(syns) > 2 and all(packet.dropped is not None for packet in syns)


def both(client: Judgement | None, server: Judgement | None) -> Judgement:
    """One verdict for the connection: `fallback` if either end fell back, else what the client met with.

    Unknown where one end is, unless the other shows how it went. The reason is the cause, as far as one of
    the ends tells it.
    """
    if client is None:
        return server or UNKNOWN
    if server is None:  # what it would have made of the next packet is not known
        return UNKNOWN if client.verdict is Verdict.MPTCP else client
    first, other = client, server
    if server.verdict is Verdict.FALLBACK is not client.verdict:
        first, other = server, client
    elif client.verdict is Verdict.UNKNOWN:
        return server if server.verdict in (Verdict.RESET, Verdict.TCP) else UNKNOWN
    elif client.verdict is Verdict.MPTCP and server.verdict is Verdict.UNKNOWN:
        return UNKNOWN
    same = first.verdict is other.verdict
    return other if same and first.reason in CONSEQUENCES and other.reason is not Reason.NONE else first
