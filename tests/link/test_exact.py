"""Exact drops: each takes the very packet it names, counts per connection, and says what it took."""

from __future__ import annotations

from testbed.mptcp.wire import ACK, FIN, RST, SYN, Dss, MpJoinSyn, Option
from tests.link.packets import Frame, direction, down, up


def taken(drops: tuple[str, ...], *packets: Frame) -> list[int]:
    """Which of the packets, counted from 0, are dropped."""
    link = direction(drops=drops)
    return [n for n, packet in enumerate(packets) if not link.offer(n, packet)]


def handshake_and_data(port: int = 40_000, isn: int = 1_000) -> list[Frame]:
    return [
        up(SYN, isn, port=port),
        up(ACK, isn + 1, port=port),
        up(ACK, isn + 1, b"a" * 100, port=port),
        up(ACK, isn + 101, b"b" * 100, port=port),
        up(ACK, isn + 201, port=port),
    ]


def test_third_ack() -> None:
    assert taken(("third_ack",), *handshake_and_data()) == [1]


def test_third_ack_once_though_it_is_repeated() -> None:
    assert taken(("third_ack",), up(SYN, 5), up(ACK, 6), up(ACK, 6), up(ACK, 6)) == [1]


def test_third_ack_behind_a_repeated_syn() -> None:
    assert taken(("third_ack",), up(SYN, 5), up(SYN, 5), up(ACK, 6)) == [2]


def test_piggybacked_third_ack_is_data() -> None:
    packets = [up(SYN, 5), up(ACK, 6, b"hello"), up(ACK, 11)]
    assert taken(("third_ack",), *packets) == []
    assert taken(("data:1",), *packets) == [1]


def test_rst_is_no_third_ack() -> None:
    assert taken(("third_ack",), up(SYN, 5), up(RST, 6)) == []
    assert taken(("third_ack",), up(SYN, 5), up(FIN | ACK, 6)) == []


def test_first_data_once_though_it_is_retransmitted() -> None:
    packets = [*handshake_and_data(), up(ACK, 1_001, b"a" * 100), up(ACK, 1_001, b"a" * 100)]
    assert taken(("data:1",), *packets) == [2]
    assert taken(("data:2",), *packets) == [3]
    assert taken(("data:1-2",), *packets) == [2, 3]


def test_data_counts_across_the_wrap_of_sequence_numbers() -> None:
    start = 0xFFFF_FFF0
    packets = [up(SYN, start - 1), up(ACK, start, b"x" * 32), up(ACK, 16, b"y"), up(ACK, start, b"x" * 32)]
    assert taken(("data:2",), *packets) == [2]


def test_combination() -> None:
    packets = [*handshake_and_data(), up(ACK, 1_001, b"a" * 100)]
    assert taken(("third_ack", "data:1"), *packets) == [1, 2]


def test_syns() -> None:
    packets = [up(SYN, 5)] * 4
    assert taken(("syn",), *packets) == [0]
    assert taken(("syn:2",), *packets) == [1]
    assert taken(("syn x3",), *packets) == [0, 1, 2]
    assert taken(("synack",), *packets) == []


def test_synack() -> None:
    packets = [down(SYN | ACK, 9), down(SYN | ACK, 9), down(ACK, 10, b"x")]
    assert taken(("synack",), *packets) == [0]
    assert taken(("synack x2",), *packets) == [0, 1]
    assert taken(("syn", "third_ack"), *packets) == []


def test_each_connection_counts_on_its_own() -> None:
    first, second = handshake_and_data(40_000), handshake_and_data(40_001)
    mixed = [packet for pair in zip(first, second, strict=True) for packet in pair]
    assert taken(("third_ack",), *mixed) == [2, 3]


def test_reused_port_is_a_new_connection() -> None:
    packets = [*handshake_and_data(isn=1_000), *handshake_and_data(isn=9_000)]
    assert taken(("third_ack",), *packets) == [1, 6]


def test_packet_counts_everything() -> None:
    packets = [Frame(60), *handshake_and_data()]
    assert taken(("packet:1",), *packets) == [0]
    assert taken(("packet:3-4",), *packets) == [2, 3]


def test_report_says_what_was_matched() -> None:
    link = direction(drops=("data:1", "syn:2"))
    for n, packet in enumerate(handshake_and_data()):
        link.offer(n * 10, packet)
    report = link.report()
    assert report["exact"] == [
        {
            "time": 20,
            "rule": "data:1",
            "word": "data",
            "n": 1,
            "source": "10.0.1.1:40000",
            "destination": "10.0.2.1:80",
            "seq": 1_001,
            "length": 100,
        }
    ]
    assert report["unmatched"] == ["syn:2"]
    assert report["dropped"] == {"exact": 1, "random": 0, "queue": 0}
    assert link.cause == "exact: data:1"


def test_an_exact_drop_does_not_shift_the_losses() -> None:
    plain, exact = direction(loss=0.3), direction(loss=0.3, drops=("packet:5",))
    fates = [bool(plain.offer(n, Frame())) for n in range(200)]
    others = [bool(exact.offer(n, Frame())) for n in range(200)]
    assert fates[5:] == others[5:]
    assert not others[4]


def test_memory_is_bounded() -> None:
    link = direction(drops=("third_ack",))
    for n in range(70_000):
        packet = up(SYN, 5, port=n & 0xFFFF)
        assert packet.value is not None
        packet.value.src = n.to_bytes(4, "big")
        link.offer(n, packet)
    assert len(link._exact._flows) == 65_536


def with_options(packet: Frame, *options: Option) -> Frame:
    assert packet.value is not None
    packet.value.options = options
    return packet


def test_by_sequence() -> None:
    packets = [Frame(60) for _ in range(6)]
    assert taken(("packet:1+3+4",), *packets) == [0, 2, 3]


def test_what_an_option_means() -> None:
    join = MpJoinSyn(backup=False, address_id=1, token=1, nonce=1)
    packets = [
        with_options(up(SYN, 5), join),
        up(ACK, 6),
        with_options(up(ACK, 6), Dss(data_ack=1)),
        with_options(up(ACK, 6, b"x"), Dss(dsn=1, ssn=1, length=1)),
        with_options(up(ACK, 7), Dss(dsn=2, length=1, data_fin=True)),
        up(FIN | ACK, 7),
        up(RST, 8),
    ]
    for words, expected in {
        ("mp_join",): [0],
        ("dss",): [2],
        ("dss:2",): [3],
        ("mapping",): [3],
        ("data_fin",): [4],
        ("fin",): [5],
        ("rst",): [6],
        ("ack:1-2",): [1, 2],
    }.items():
        assert taken(words, *packets) == expected, words


def test_retransmission() -> None:
    packets = [*handshake_and_data(), up(ACK, 1_001, b"a" * 100), up(ACK, 1_101, b"b" * 100)]
    assert taken(("retransmission:2",), *packets) == [6]


def test_of_one_connection() -> None:
    first, second = handshake_and_data(40_000), handshake_and_data(40_001)
    mixed = [packet for pair in zip(first, second, strict=True) for packet in pair]
    assert taken(("third_ack@2",), *mixed) == [3]
    assert taken(("packet:2@2",), *mixed) == [3]
    assert taken(("data@10.0.2.1:80",), *mixed) == [4, 5]
    assert taken(("data@10.0.1.1:40001",), *mixed) == [5]
    assert taken(("data@10.0.1.9",), *mixed) == []


def test_of_all_connections_together() -> None:
    first, second = handshake_and_data(40_000), handshake_and_data(40_001)
    mixed = [packet for pair in zip(first, second, strict=True) for packet in pair]
    assert taken(("third_ack:2@all",), *mixed) == [3]
    assert taken(("data:3@all",), *mixed) == [6]


def test_a_packet_that_two_rules_mean_counts_for_both() -> None:
    link = direction(drops=("packet:1", "syn"))
    assert link.offer(0, up(SYN, 5)) == []
    assert link.unmatched() == ()
    assert link.dropped["exact"] == 1
