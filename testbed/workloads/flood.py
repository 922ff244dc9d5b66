"""A SYN flood: SYNs at a steady rate from many ports, and never a word about what comes back.

Decides when each SYN is due, what it looks like, and what is counted. It is an application on an
endpoint that holds no connection: a SYN/ACK is heard, counted and forgotten, without ACK and without RST, as
by a host that lends its addresses to forged SYNs. Every four-tuple has its turn before one comes again. Must
not know whom it meets. Read first: RFC 4987 §2-§3; host.py (Hosted) for the contract.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from typing import TYPE_CHECKING

from testbed.mptcp.capable import syn_option
from testbed.mptcp.config import MILLISECOND, SECOND, Profile
from testbed.mptcp.events import Event
from testbed.mptcp.profiles import speech
from testbed.mptcp.report import Peaks
from testbed.mptcp.tcp.handshake import syn_options
from testbed.mptcp.tcp.tcb import Tcb
from testbed.mptcp.wire import ACK, RST, SYN, Option, Segment, TooBig
from testbed.workloads.outcome import Row
from testbed.workloads.spec import FIRST_EPHEMERAL, MOST_CONNECTIONS, HostSpec, packed

if TYPE_CHECKING:
    from testbed.mptcp.endpoint import Endpoint

PACE = MILLISECOND  # SYNs that fall due within so long leave together
BURST = 20 * MILLISECOND  # what may be made up for at once: more would fill a queue that the rate would not
SENT, ANSWERED, REFUSED = "FloodSyns", "FloodSynAcks", "FloodResets"


class SynSource:
    """What Hosted takes for an endpoint. `send_syn` puts the next SYN out."""

    def __init__(self, spec: HostSpec, rng: random.Random) -> None:
        assert spec.client is not None, "HostSpec has checked it"
        self._config = spec.client
        self.profile = spec.client.profile
        self._remote = packed(spec.remote[0]), spec.port
        same = [address for address in map(packed, spec.addresses) if len(address) == len(self._remote[0])]
        self._addresses = same
        self._rng = rng
        self._first = rng.randrange(len(same) * MOST_CONNECTIONS)
        self._model = Tcb(self._config.tcp, (same[0], 0), self._remote, 0, rng.getrandbits(32))
        self._options: tuple[Option, ...] = ()  # of TCP, as they are in this millisecond
        self._options_at = -1
        self._outbox: deque[Segment] = deque()
        self.counters: Counter[str] = Counter()
        self.peaks = Peaks()

    def __len__(self) -> int:
        return 0

    def send_syn(self, now: int) -> None:
        rng = self._rng
        port, address = divmod(self._first + self.counters[SENT], len(self._addresses))
        if self._options_at != now // MILLISECOND:
            self._options, self._options_at = syn_options(self._model, now), now // MILLISECOND
        options = self._options
        if self.profile is not Profile.TCP:
            spoken = speech(self.profile, self._config.mptcp)
            options += (syn_option(spoken, self._config.mptcp, rng.getrandbits(64)),)
        self._outbox.append(
            Segment(
                self._addresses[address],
                self._remote[0],
                FIRST_EPHEMERAL + port % MOST_CONNECTIONS,
                self._remote[1],
                rng.getrandbits(32),
                0,
                SYN,
                self._config.tcp.syn_window,
                options,
            )
        )
        self.counters[SENT] += 1

    def handle_segment(self, now: int, segment: Segment) -> None:
        if segment.flags & (SYN | ACK) == SYN | ACK:
            self.counters[ANSWERED] += 1
        elif segment.flags & RST:
            self.counters[REFUSED] += 1

    def packet_too_big(self, now: int, too_big: TooBig) -> None:
        pass

    def poll_transmit(self, now: int) -> Segment | None:
        return self._outbox.popleft() if self._outbox else None

    def poll_event(self) -> Event | None:
        return None

    def poll_timeout(self) -> int | None:
        return None

    def handle_timeout(self, now: int) -> None:
        pass


class SynFlood:
    """The application: SYN number n is due n / rate after the beginning. `source` is its endpoint."""

    def __init__(self, spec: HostSpec, source: SynSource) -> None:
        assert spec.flood is not None, "whoever makes it has looked"
        self._spec, self._flood, self._source = spec, spec.flood, source
        self._begin = self._last = 0
        self._at_once = max(1, int(BURST * spec.flood.rate / SECOND))
        self._wake: int | None = None

    done = False
    open_connections = 0

    def start(self, now: int, endpoint: Endpoint) -> None:
        self._begin = self._last = now + self._spec.workload.start
        self._wake = self._begin if self._flood.rate else None

    def poll_timeout(self) -> int | None:
        return self._wake

    def handle_event(self, now: int, endpoint: Endpoint, event: Event) -> None:
        pass

    def handle_timeout(self, now: int, endpoint: Endpoint) -> None:
        if self._wake is None or now < self._wake:
            return
        flood, source = self._flood, self._source
        sent = source.counters[SENT]
        due = min(int((now - self._begin) * flood.rate / SECOND) + 1, flood.most, sent + self._at_once)
        for _ in range(sent, due):
            source.send_syn(now)
        if due > sent:
            self._last = now
        next_due = self._begin + -int(-due * SECOND // flood.rate)
        self._wake = max(next_due, now + PACE) if due < flood.most else None

    def rows(self, endpoint: Endpoint) -> list[Row]:
        """One, for the run's record: what went out and came back, and at which rate it really went."""
        counters = self._source.counters
        seconds = (self._last - self._begin) / SECOND
        syns = counters[SENT]
        return [
            {
                "host": self._spec.name,
                "role": "flood",
                "to": self._flood.victim,
                "profile": str(self._source.profile),
                "syn_flood": self._flood.rate,
                "syns": syns,
                "synacks": counters[ANSWERED],
                "resets": counters[REFUSED],
                "seconds": seconds,
                "syns_per_second": (syns - 1) / seconds if seconds else 0.0,
            }
        ]
