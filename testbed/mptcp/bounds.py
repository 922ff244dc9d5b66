"""The range of every number in config.py that has one: what TCP and MPTCP allow, and what can work.

Decides least and most, ends included, in the unit of the field (nanoseconds, bytes, or a count). A number
without a row here is 0 or more. Must not know how a value is written, or in which file.
Read first: testbed/mptcp/config.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from testbed.mptcp.config import (
    LAST_DRAFT_VERSION,
    LEAST_DRAFT_VERSION,
    LEAST_RECEIVE_BUFFER,
    MILLISECOND,
    SECOND,
    ClientConfig,
    MptcpConfig,
    ServerConfig,
    TcpConfig,
)

HOUR = 3600 * SECOND
LARGEST_BUFFER = 1 << 30  # bytes: the largest window that the largest scale can announce (RFC 7323 §2.3)

BOUNDS: Mapping[tuple[type, str], tuple[int, int]] = {
    (TcpConfig, "mss"): (88, 65_495),  # Linux's least; an IPv4 packet of 65,535 bytes without its headers
    (TcpConfig, "window_scale"): (0, 14),  # RFC 7323 §2.3
    (TcpConfig, "receive_buffer"): (LEAST_RECEIVE_BUFFER, LARGEST_BUFFER),
    (TcpConfig, "send_buffer"): (1, LARGEST_BUFFER),
    (TcpConfig, "rto_initial"): (MILLISECOND, HOUR),
    (TcpConfig, "rto_min"): (MILLISECOND, HOUR),
    (TcpConfig, "rto_max"): (MILLISECOND, HOUR),
    (TcpConfig, "syn_attempts"): (1, 255),
    (TcpConfig, "data_attempts"): (1, 255),
    (TcpConfig, "delayed_ack"): (0, 500 * MILLISECOND),  # RFC 9293 §3.8.6.3
    (TcpConfig, "time_wait"): (0, HOUR),
    (TcpConfig, "gso_max_size"): (0, 1 << 16),
    (TcpConfig, "initial_window"): (1, 1000),
    (MptcpConfig, "draft_version"): (LEAST_DRAFT_VERSION, LAST_DRAFT_VERSION),
    (MptcpConfig, "dsn_bytes"): (4, 8),
    (MptcpConfig, "close_timeout"): (0, HOUR),
    (ClientConfig, "syn_retries"): (0, 255),
    (ServerConfig, "backlog"): (0, 1_000_000),
    (ServerConfig, "fast_open_pending"): (0, 1_000_000),
}
