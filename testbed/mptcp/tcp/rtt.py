"""Round-trip time and the retransmission timeout.

Decides the RTO from samples and expiries. Knows no segment. Read first: RFC 6298 §2, §5.
"""

from __future__ import annotations

from testbed.mptcp.config import MILLISECOND, SECOND, TcpConfig


class RttEstimator:
    """All times in ns. `rto` includes the back-off, which only a sample ends (RFC 6298 §5, Karn)."""

    __slots__ = ("_backoff", "_base", "_max", "_min", "latest", "min_rtt", "rttvar", "srtt")

    GRANULARITY = MILLISECOND  # the timestamp clock's

    def __init__(self, config: TcpConfig) -> None:
        self.srtt: int | None = None
        self.rttvar = 0
        self.min_rtt: int | None = None
        self.latest: int | None = None
        self._base = config.rto_initial
        self._min = config.rto_min
        self._max = config.rto_max
        self._backoff = 0

    @property
    def rto(self) -> int:
        return min(self._base << self._backoff, self._max)

    @property
    def backoff(self) -> int:
        """Expiries in a row since the last sample."""
        return self._backoff

    def sample(self, rtt: int) -> None:
        """One measurement, never from a retransmitted segment (Karn) unless timestamps tell (RFC 7323)."""
        rtt = max(rtt, 1)
        self.latest = rtt
        self.min_rtt = rtt if self.min_rtt is None else min(self.min_rtt, rtt)
        if self.srtt is None:
            self.srtt, self.rttvar = rtt, rtt // 2
        else:
            self.rttvar += (abs(self.srtt - rtt) - self.rttvar) // 4
            self.srtt += (rtt - self.srtt) // 8
        self._base = max(self._min, self.srtt + max(self.GRANULARITY, 4 * self.rttvar))
        self._backoff = 0

    def after_lost_syn(self) -> None:
        """Data starts and the SYN's timer had expired: be careful (RFC 6298 (5.7))."""
        self._backoff = 0
        if self.srtt is None:
            self._base = max(self._base, 3 * SECOND)

    def expired(self) -> None:
        self._backoff += 1
