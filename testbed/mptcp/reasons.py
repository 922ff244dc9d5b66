"""Verdicts, and the reasons that lead to them: how a connection ended, "because ...".

Decides the vocabulary that records, traces, `testbed trace` and `testbed explain` share. Which
reason applies is decided in fallback.py (and, from a capture alone, in testbed/trace).
"""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    MPTCP = "mptcp"
    FALLBACK = "fallback"
    RESET = "reset"
    HANG = "hang"
    TCP = "tcp"  # plain TCP was asked for
    UNFINISHED = "unfinished"  # a time limit of the experiment ended it while data still moved: no finding
    UNKNOWN = "unknown"  # of captures alone: they do not show it


ENDPOINT_VERDICTS = tuple(verdict for verdict in Verdict if verdict is not Verdict.UNKNOWN)


class Reason(StrEnum):
    """Finishes the sentence "... because". `meaning` and `section` are for `testbed explain`."""

    meaning: str
    section: str

    def __new__(cls, value: str, meaning: str, section: str) -> Reason:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        member.section = section
        return member

    NONE = "none", "nothing went wrong", ""
    # Handshake, as the client sees it.
    NO_CAPABLE_IN_SYNACK = (
        "no_capable_in_synack",
        "the SYN/ACK came without a usable MP_CAPABLE: the peer speaks no MPTCP or the option was stripped",
        "RFC 8684 §3.1",
    )
    VERSION_NOT_OFFERED = (
        "version_not_offered",
        "the SYN/ACK carries an MP_CAPABLE version that this client did not offer",
        "RFC 8684 §3.1",
    )
    SYN_RETRIES_EXHAUSTED = (
        "syn_retries_exhausted",
        "the SYNs with MP_CAPABLE went unanswered, so plain SYNs were tried",
        "RFC 8684 §3.9.3",
    )
    CHECKSUM_REFUSED = (
        "checksum_refused",
        "the peer requires DSS checksums and this host refuses them",
        "RFC 8684 §3.1",
    )
    SIMULTANEOUS_OPEN = (
        "simultaneous_open",
        "both ends opened the connection at once: MP_CAPABLE knows no such handshake",
        "RFC 8684 §3.1",
    )
    # Handshake, as the server sees it.
    NO_CAPABLE_IN_SYN = (
        "no_capable_in_syn",
        "the SYN came without MP_CAPABLE, or with one that no offered profile speaks",
        "RFC 8684 §3.1",
    )
    THIRD_ACK_WITHOUT_CAPABLE = (
        "third_ack_without_capable",
        "the first in-order packet after the SYN/ACK carries no MP_CAPABLE",
        "RFC 8684 §3.1",
    )
    COOKIE_WITHOUT_KEY = (
        "cookie_without_key",
        "the packet that brings back a valid SYN cookie has no client key: MPTCP state cannot be rebuilt",
        "draft-paasch-mptcp-syncookies-02 §2",
    )
    COOKIE_KEY_MISMATCH = (
        "cookie_key_mismatch",
        "the echoed server key is not the one that this SYN cookie implies",
        "draft-paasch-mptcp-syncookies-02 §3.1.1",
    )
    TOKEN_COLLISION = (
        "token_collision",
        "the token of a key is already in use by another connection",
        "RFC 8684 §3.1",
    )
    # Data transfer.
    NO_DATA_ACK = (
        "no_data_ack",
        "the peer acknowledged data without a DATA_ACK before any DATA_ACK was seen",
        "RFC 8684 §3.7",
    )
    NO_MAPPING = (
        "no_mapping",
        "data came without a mapping before the peer's MPTCP was confirmed",
        "RFC 8684 §3.7",
    )
    MAPPING_NEVER_CAME = (
        "mapping_never_came",
        "a receive window of data came without a mapping after MPTCP was confirmed",
        "RFC 8684 §3.3.1",
    )
    OPTIONS_VANISHED = (
        "options_vanished",
        "acknowledgements of data stopped carrying DATA_ACKs after MPTCP was confirmed",
        "RFC 8684 §3.7",
    )
    DATA_ACK_OVERDUE = (
        "data_ack_overdue",
        "subflows acknowledged data and its repetitions, and no DATA_ACK for it ever came",
        "RFC 8684 §3.3.6",
    )
    MAPPING_CONTRADICTS = (
        "mapping_contradicts",
        "a mapping disagrees with one received earlier for the same bytes",
        "RFC 8684 §3.3.1",
    )
    CHECKSUM_FAILED = (
        "checksum_failed",
        "a DSS checksum does not match: a middlebox changed the payload",
        "RFC 8684 §3.7",
    )
    CHECKSUM_MISSING = (
        "checksum_missing",
        "DSS checksums were negotiated and a mapping came without one",
        "RFC 8684 §3.3.1",
    )
    CHECKSUM_UNEXPECTED = (
        "checksum_unexpected",
        "a mapping carries a checksum though none was negotiated",
        "RFC 8684 §3.3.1",
    )
    MP_FAIL_RECEIVED = (
        "mp_fail_received",
        "the peer reports a failed DSS checksum",
        "RFC 8684 §3.7",
    )
    INFINITE_MAPPING_RECEIVED = (
        "infinite_mapping_received",
        "the peer declared an infinite mapping: it has fallen back",
        "RFC 8684 §3.7",
    )
    # Ends that are no fallback.
    RST_RECEIVED = "rst_received", "the peer reset the connection", "RFC 9293 §3.10.7"
    RST_UNSPECIFIED = "rst_unspecified", "MP_TCPRST without a specific reason (code 0)", "RFC 8684 §3.6"
    RST_MPTCP_ERROR = (
        "rst_mptcp_error",
        "MP_TCPRST: MPTCP-specific error (code 1)",
        "RFC 8684 §3.6",
    )
    RST_NO_RESOURCES = "rst_no_resources", "MP_TCPRST: lack of resources (code 2)", "RFC 8684 §3.6"
    RST_PROHIBITED = "rst_prohibited", "MP_TCPRST: administratively prohibited (code 3)", "RFC 8684 §3.6"
    RST_TOO_MUCH_DATA = (
        "rst_too_much_data",
        "MP_TCPRST: too much outstanding data (code 4)",
        "RFC 8684 §3.6",
    )
    RST_UNACCEPTABLE_PERFORMANCE = (
        "rst_unacceptable_performance",
        "MP_TCPRST: unacceptable performance of this subflow (code 5)",
        "RFC 8684 §3.6",
    )
    RST_MIDDLEBOX = (
        "rst_middlebox",
        "MP_TCPRST: middlebox interference was detected (code 6)",
        "RFC 8684 §3.6",
    )
    COOKIE_INVALID = (
        "cookie_invalid",
        "an ACK for no connection brings back no valid SYN cookie, so it is answered by a reset",
        "RFC 4987 §3.6",
    )
    FASTCLOSE_RECEIVED = "fastclose_received", "the peer sent MP_FASTCLOSE", "RFC 8684 §3.5"
    ABORTED = "aborted", "the application aborted the connection", "RFC 9293 §3.9.1"
    CONNECT_TIMED_OUT = (
        "connect_timed_out",
        "no SYN was answered",
        "RFC 9293 §3.8.3",
    )
    DATA_TIMED_OUT = (
        "data_timed_out",
        "data went unacknowledged through every retransmission",
        "RFC 9293 §3.8.3",
    )
    SUBFLOWS_GONE = (
        "subflows_gone",
        "the last subflow closed without a DATA_FIN",
        "RFC 8684 §3.3.3",
    )
    JOIN_REFUSED = (
        "join_refused",
        "an answer in the handshake of an additional subflow came without MP_JOIN",
        "RFC 8684 §3.2",
    )
    JOIN_HMAC_WRONG = (
        "join_hmac_wrong",
        "the HMAC of an additional subflow is not the one that the keys imply",
        "RFC 8684 §3.2",
    )
    ADDRESS_REMOVED = (
        "address_removed",
        "the address of a subflow was withdrawn by REMOVE_ADDR",
        "RFC 8684 §3.4.2",
    )
    SUBFLOW_FINISHED = (
        "subflow_finished",
        "one end closed this subflow alone, by a FIN without a DATA_FIN",
        "RFC 8684 §3.3.3",
    )
    NO_PROGRESS = (
        "no_progress",
        "the application gave up waiting: the peer has no such connection or sends nothing",
        "",
    )
    TIME_LIMIT = (
        "time_limit",
        "data still moved when the time limit of the experiment (workload.timeout) ended the connection",
        "",
    )
    NOT_CAPTURED = (
        "not_captured",
        "the capture lacks the packets or options that would show how the connection went",
        "",
    )


# Reasons that report what the other end did first: where that end has one of its own, it is the cause.
CONSEQUENCES = frozenset(
    {
        Reason.NONE,
        Reason.NO_CAPABLE_IN_SYN,
        Reason.NO_CAPABLE_IN_SYNACK,
        Reason.NO_DATA_ACK,
        Reason.NO_MAPPING,
        Reason.MP_FAIL_RECEIVED,
        Reason.INFINITE_MAPPING_RECEIVED,
        Reason.RST_RECEIVED,
        Reason.FASTCLOSE_RECEIVED,
    }
)

# What MP_TCPRST says, by its code (RFC 8684 §3.6).
RESET_REASONS = (
    Reason.RST_UNSPECIFIED,
    Reason.RST_MPTCP_ERROR,
    Reason.RST_NO_RESOURCES,
    Reason.RST_PROHIBITED,
    Reason.RST_TOO_MUCH_DATA,
    Reason.RST_UNACCEPTABLE_PERFORMANCE,
    Reason.RST_MIDDLEBOX,
)

# Verdicts of connections that did not come to an end in good order, so that bytes may be missing.
CUT_OFF = frozenset({Verdict.RESET, Verdict.HANG, Verdict.UNFINISHED})

HANGS = frozenset({Reason.NO_PROGRESS, Reason.CONNECT_TIMED_OUT, Reason.DATA_TIMED_OUT})
