"""The parts that need no namespace: timer, stop, lateness, services, the one-connection client's sums."""

from __future__ import annotations

import errno
import os
import select
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.drive.fidelity import LatenessMeter, ResourceMeter
from testbed.drive.frames import is_housekeeping
from testbed.drive.host import within
from testbed.drive.stop import Stop
from testbed.drive.timer import Timer, ask_for_exact_timers
from testbed.mptcp.config import ClientConfig, ServerConfig, TcpConfig
from testbed.workloads import HostSpec
from testbed.workloads.serving import CHUNK, MOST_HELD, SERVICES, Echo, Source, pattern

MILLISECOND = 1_000_000


def test_timer_wakes_at_its_deadline_and_never_before() -> None:
    ask_for_exact_timers()
    timer = Timer()
    epoll = select.epoll()
    epoll.register(timer.fileno(), select.EPOLLIN)
    for wait in (200_000, 1_300_000, 5_700_000):
        deadline = time.monotonic_ns() + wait
        timer.arm(deadline)
        assert epoll.poll(5) != []
        assert time.monotonic_ns() >= deadline
    timer.arm(time.monotonic_ns() - MILLISECOND)  # long past: at once
    assert epoll.poll(5) != []
    timer.arm(None)
    assert epoll.poll(0) == []
    timer.close()
    with pytest.raises(OSError) as closed:
        os.fstat(timer.fileno())
    assert closed.value.errno == errno.EBADF


def test_stop_wakes_a_sleeping_loop() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    stop = Stop()
    epoll = select.epoll()
    epoll.register(stop.fileno(), select.EPOLLIN)
    try:
        stop.on_signals()
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGHUP)
        assert epoll.poll(5) != []
        assert stop.requested
        assert stop.signal == signal.SIGHUP
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop.close()


@given(st.lists(st.integers(-5, 60_000_000), min_size=1, max_size=300))
def test_lateness_quantiles_are_exact(samples: list[int]) -> None:
    meter = LatenessMeter()
    for sample in samples:
        meter.add(sample)
    ordered = sorted(max(sample, 0) // 1000 for sample in samples)
    for share in (0.5, 0.99):
        assert meter.quantile(share) == ordered[max(1, round(share * len(ordered))) - 1]
    figures = meter.figures("wire")
    assert figures["wire_lateness_max_us"] == ordered[-1]


def test_lateness_beyond_the_buckets_and_without_samples() -> None:
    meter = LatenessMeter()
    assert meter.quantile(0.99) == 0
    meter.add(3_000 * MILLISECOND)
    assert meter.quantile(0.5) == meter.figures("x")["x_lateness_max_us"] == 3_000_000
    assert ResourceMeter().figures("x", 5)["x_packets"] == 5


UNICAST = bytes(6) + b"\x02" + bytes(5)


@pytest.mark.parametrize(
    ("frame", "housekeeping"),
    [
        (UNICAST + b"\x08\x06" + bytes(28), True),  # an ARP reply
        (b"\xff" * 6 + UNICAST[6:] + b"\x08\x06" + bytes(28), True),  # an ARP request
        (b"\x01" + UNICAST[1:] + b"\x08\x00" + bytes(28), True),  # IPv4 multicast
        (UNICAST + b"\x08\x00" + bytes(40), False),
        (UNICAST + b"\x86\xdd" + bytes(6) + b"\x06" + bytes(53), False),  # TCP over IPv6
        (
            UNICAST + b"\x86\xdd" + bytes(6) + b"\x3a" + bytes(33) + b"\x88" + bytes(23),
            True,
        ),  # an advertisement
        (
            UNICAST + b"\x86\xdd" + bytes(6) + b"\x3a" + bytes(33) + b"\x80" + bytes(23),
            False,
        ),  # an echo request
        (UNICAST + b"\x86\xdd" + bytes(6) + b"\x3a", False),  # cut off
    ],
)
def test_what_no_loss_may_touch(frame: bytes, housekeeping: bool) -> None:
    assert is_housekeeping(frame) == housekeeping


@given(st.lists(st.binary(max_size=CHUNK), max_size=8), st.integers(1, CHUNK))
def test_echo_returns_all_and_holds_little(parts: list[bytes], step: int) -> None:
    echo, out = Echo(), bytearray()
    for part in parts:
        while part:
            room = echo.room
            assert room <= MOST_HELD
            echo.feed(part[:room])
            part = part[room:]
            out += echo.waiting()[:step]
            echo.sent(min(step, len(echo.waiting())))
    echo.finish()
    while not echo.finished:
        waiting = echo.waiting()
        out += waiting
        echo.sent(len(waiting))
    assert out == b"".join(parts)


def test_source_gives_the_pattern_until_the_peer_finishes() -> None:
    source, out = Source(), b""
    while len(out) < 3 * CHUNK:
        out += source.waiting()[:10_007]
        source.sent(10_007)
    assert pattern().matches(0, out)
    source.finish()
    assert source.finished
    assert source.waiting() == b""


def test_every_service_ends_when_the_peer_does() -> None:
    for new in SERVICES.values():
        service = new()
        service.finish()
        assert service.finished


@pytest.mark.parametrize(("asked", "granted"), [(0, 0), (30_000, 30_000), (1 << 16, 65_500)])
def test_a_host_takes_no_larger_frames_than_the_kernel_cuts(asked: int, granted: int) -> None:
    tcp = TcpConfig(gso_max_size=asked)
    spec = HostSpec("c", "client", ("10.0.0.1",), ("10.0.0.2",), client=ClientConfig(tcp=tcp))
    client = within(spec, 65_500).client
    assert client is not None
    assert client.tcp.gso_max_size == granted
    server = within(HostSpec("s", "server", ("10.0.0.2",), (), server=ServerConfig(tcp=tcp)), 0).server
    assert server is not None
    assert server.tcp.gso_max_size == 0
