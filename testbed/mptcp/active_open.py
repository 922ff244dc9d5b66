"""How a client's connection begins: active OPEN, with its SYN due.

Decides what the configuration means for a new connection, and draws its key. What the SYN carries is
outgoing.py's. Read first: RFC 9293 §3.9.1, RFC 8684 §3.1.
"""

from __future__ import annotations

from testbed.mptcp.config import ClientConfig, Profile
from testbed.mptcp.connection import Connection
from testbed.mptcp.context import Context
from testbed.mptcp.keys import token_and_idsn
from testbed.mptcp.tcp.cookies import FourTuple, SynCookieJar
from testbed.mptcp.tcp.state import State
from testbed.mptcp.tcp.tcb import Tcb


def active_open(
    context: Context,
    now: int,
    jar: SynCookieJar,
    number: int,
    local: tuple[bytes, int],
    remote: tuple[bytes, int],
    config: ClientConfig,
) -> Connection:
    tuple_ = FourTuple(local, remote)
    tcb = Tcb(config.tcp, local, remote, jar.isn(now, tuple_), jar.timestamp_offset(tuple_))
    tcb.move(State.SYN_SENT)
    tcb.syn_due = True
    conn = Connection(number, "client", context, tcb, config.profile, config.mptcp, config.paths)
    conn.third_ack, conn.first_data = config.third_ack, config.first_data
    conn.syn_retries = config.syn_retries
    if config.profile is not Profile.TCP:
        key = context.random(8)
        while token_and_idsn(key, conn.speech.sha256)[0] in context.tokens:
            key = context.random(8)
        conn.set_local_key(key)
    return conn
