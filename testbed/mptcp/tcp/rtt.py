"""Round-trip time and the retransmission timeout.

Decides the RTO from one sample in a round trip, as RFC 6298 means its gains, and from expiries; and what the
round trip is now, from every acknowledgement: a scheduler, or a sender that slows down before a queue is
full, cannot wait for ten round trips. Samples come from segments that were sent once, acknowledged or SACKed;
only where there is none, from echoed timestamps. Knows no segment. Read first: RFC 6298 §2, §5.
"""

from __future__ import annotations

from testbed.mptcp.config import MILLISECOND, SECOND, TcpConfig


class RttEstimator:
    """All times in ns. `rto` includes the back-off, which only a sample ends (RFC 6298 §5, Karn).

    `mean` and `rttvar` are RFC 6298's SRTT and RTTVAR. `srtt` is as smooth, but follows each ACK, as `latest`
    and `min_rtt` do. `rto` is never below `latest`: in a queue that grows fast the mean comes too late.
    """

    __slots__ = (
        "_backoff",
        "_base",
        "_max",
        "_min",
        "_sampled_at",
        "latest",
        "mean",
        "min_rtt",
        "rttvar",
        "srtt",
    )

    GRANULARITY = MILLISECOND  # the timestamp clock's

    def __init__(self, config: TcpConfig) -> None:
        self.srtt: int | None = None
        self.mean: int | None = None
        self.rttvar = 0
        self.min_rtt: int | None = None
        self.latest: int | None = None
        self._base = config.rto_initial
        self._min = config.rto_min
        self._max = config.rto_max
        self._backoff = 0
        self._sampled_at = 0

    @property
    def rto(self) -> int:
        return max(min(max(self._base, self.latest or 0) << self._backoff, self._max), 1)

    @property
    def backoff(self) -> int:
        """Expiries in a row since the last sample."""
        return self._backoff

    def measure(self, now: int, newest: int, oldest: int) -> None:
        """An ACK reports ranges that were each sent once: how long ago the newest and the oldest had left.
        The oldest is the sample for the RTO, as it includes the peer's delay. Its round trip begins after
        the last sample."""
        self.observe(newest)
        if now - oldest >= self._sampled_at or self._backoff:
            self.sample(oldest)
            self._sampled_at = now

    def sample(self, rtt: int) -> None:
        """For the RTO; never from a retransmitted segment (Karn) unless timestamps tell (RFC 7323)."""
        rtt = max(rtt, 1)
        if self.mean is None:
            self.mean, self.rttvar = rtt, rtt // 2
        else:
            self.rttvar += (abs(self.mean - rtt) - self.rttvar) // 4
            self.mean += (rtt - self.mean) // 8
        self._base = max(self._min, self.mean + max(self.GRANULARITY, 4 * self.rttvar))
        self._backoff = 0
        if self.srtt is None:
            self.observe(rtt)

    def observe(self, rtt: int) -> None:
        """The round trip as it is now. Within one tick of the clock that is 1 ns: controllers and schedulers
        divide by a round-trip time."""
        rtt = max(rtt, 1)
        self.latest = rtt
        if self.min_rtt is None or rtt < self.min_rtt:
            self.min_rtt = rtt
        self.srtt = rtt if self.srtt is None else self.srtt + (rtt - self.srtt) // 8

    def after_lost_syn(self) -> None:
        """Data starts and the SYN's timer had expired: be careful (RFC 6298 (5.7))."""
        self._backoff = 0
        if self.mean is None:
            self._base = max(self._base, 3 * SECOND)

    def forget_backoff(self) -> None:
        """The expiries had another cause than loss: a closed window."""
        self._backoff = 0

    def expired(self) -> None:
        self._backoff += 1
