"""The MP_CAPABLE handshake of a living connection: its SYN/ACK, third packet and first data arrive.

Decides when the keys count as known and what is acknowledged at once. What the options say is read in
capable.py, what their absence means is decided in fallback.py.
Read first: RFC 8684 §3.1; draft-paasch-mptcp-syncookies-02 §3.1.1-§3.1.2.
"""

from __future__ import annotations

from testbed.mptcp.capable import client_key, denies_join_initial, judge_synack, wants_checksum
from testbed.mptcp.connection import Connection, Mode
from testbed.mptcp.dss import add_mapping, take_dss
from testbed.mptcp.fallback import Action, Observation
from testbed.mptcp.mapping import Mapping
from testbed.mptcp.observe import observe
from testbed.mptcp.subflow import Subflow
from testbed.mptcp.tcp.arrive import Arrival
from testbed.mptcp.wire import Dss, MpCapable, Segment

MOST_EARLY_DSS = 1024  # mappings kept before the peer's key is known


def synack_arrived(conn: Connection, now: int, option: MpCapable | None) -> None:
    """The client's part."""
    sub = conn.first
    seen = judge_synack(option, conn.speech, conn.mptcp, sub.plain_syn)
    if seen is not None:
        name = "MPCapableSYNTXDrop" if seen is Observation.SYNACK_TO_PLAIN_SYN else "MPCapableFallbackSYNACK"
        conn.context.count(name)
        observe(conn, now, sub, seen)
        return
    assert option is not None
    assert option.sender_key is not None
    conn.context.count("MPCapableSYNACKRX")
    conn.set_remote_key(option.sender_key)
    conn.checksum = conn.mptcp.checksum or wants_checksum(option)
    conn.book.deny_join_initial = denies_join_initial(option, conn.speech)
    conn.mode = Mode.MPTCP


def third_packet_arrived(
    conn: Connection, now: int, segment: Segment, option: MpCapable | None, dss: Dss | None, arrival: Arrival
) -> None:
    """The server's last word on MPTCP: the first packet in order (RFC 8684 §3.1).

    A later segment that overtook it decides nothing: it may not carry the keys.
    """
    sub = conn.first
    key = None
    if conn.local_key is not None:
        key = client_key(option, conn.speech, conn.local_key, conn.remote_key)
    if key is not None:
        assert option is not None
        _learn_client_key(conn, key)
        conn.book.deny_join_initial = denies_join_initial(option, conn.speech)
    elif arrival.offset > 1:
        if dss is not None and len(conn.early_dss) < MOST_EARLY_DSS:
            conn.early_dss.append(dss)
    else:
        if dss is None:
            seen = Observation.FIRST_PACKET_WITHOUT_CAPABLE
        elif dss.data_ack is not None and conn.has_sent:
            seen = Observation.FIRST_PACKET_WITH_DATA_ACK
        else:
            seen = Observation.FIRST_PACKET_WITH_DSS
        if conn.third_packet_observation is not None:
            seen = conn.third_packet_observation
        if observe(conn, now, sub, seen).action is Action.FALL_BACK:
            conn.context.count("MPCapableFallbackACK")
        else:
            conn.mode = Mode.MPTCP
    if conn.mode is not Mode.NEGOTIATING:
        early, conn.early_dss = conn.early_dss, []
        for one in early:
            if conn.mode is Mode.MPTCP:
                take_dss(conn, sub, now, segment, one)


def _learn_client_key(conn: Connection, key: int) -> None:
    """Key-A has come, in whichever packet. The draft then wants a DATA_ACK at once (§3.1.1)."""
    conn.context.count("MPCapableACKRX")
    conn.set_remote_key(key)
    conn.mode = Mode.MPTCP
    conn.book.plan_due = True
    if not conn.speech.key_in_syn and not conn.speech.sha256:
        conn.first.tcb.ack_now = True


def capable_again(conn: Connection, option: MpCapable) -> None:
    """The keys once more: the client has not seen a DATA_ACK yet. Answer with one (draft §3.1.2)."""
    if _brings_known_keys(conn, option):
        conn.first.tcb.ack_now = True


def _brings_known_keys(conn: Connection, option: MpCapable) -> bool:
    return conn.local_key is not None and client_key(option, conn.speech, conn.local_key) == conn.remote_key


def take_capable_mapping(conn: Connection, sub: Subflow, now: int, option: MpCapable) -> None:
    """MP_CAPABLE with data maps the first bytes: subflow offset 1, data offset 1 (draft §3.1.1).

    With other keys than the agreed ones it counts as absent, as in the third ACK (RFC 8684 §3.1).
    """
    assert option.data_length is not None
    if conn.role != "server" or sub.index or not _brings_known_keys(conn, option):
        return
    if conn.first_capable_length not in (None, option.data_length):
        conn.context.count("DSSNotMatching")
        observe(conn, now, sub, Observation.MAPPING_CONTRADICTS)
        return
    conn.first_capable_length = option.data_length
    conn.peer_dss_seen = conn.book.plan_due = True
    add_mapping(conn, sub, now, Mapping(1, conn.receiver.first, option.data_length, option.checksum))
