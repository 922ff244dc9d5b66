"""Data sequence mappings: which subflow bytes are which connection bytes.

Decides nothing about loss or order. Both levels are counted in offsets: subflow offset 1 is the first
byte after the SYN, data offset 1 the first byte after the IDSN (RFC 8684 §3.3.1: the IDSN itself
belongs to the SYN). Read first: RFC 8684 §3.3.1.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from testbed.mptcp.ranges import RangeSet

ENDLESS = 1 << 62


@dataclass(frozen=True, slots=True)
class Mapping:
    """`length` bytes from subflow offset `ssn` are the connection's bytes from `data`.

    `length` None: the infinite mapping. `capable`: travels in MP_CAPABLE, not in a DSS. `with_fin`: its
    checksum also counts a DATA_FIN, which has no byte on the subflow. `payload`: a sender's own copy of the
    bytes, kept until the subflow has acknowledged them, whatever was DATA_ACKed (RFC 8684 §3.3.6).
    """

    ssn: int
    data: int
    length: int | None
    checksum: int | None = None
    capable: bool = False
    with_fin: bool = False
    payload: bytes = field(default=b"", compare=False, repr=False)

    def contains(self, ssn: int) -> bool:
        return self.ssn <= ssn and (self.length is None or ssn < self.ssn + self.length)

    def left(self, ssn: int) -> int:
        """Bytes of the mapping from `ssn` on."""
        return ENDLESS if self.length is None else self.ssn + self.length - ssn

    @property
    def data_end(self) -> int:
        """Behind its last byte of data; very far for the infinite mapping."""
        return self.data + (ENDLESS if self.length is None else self.length)

    def data_at(self, ssn: int) -> int:
        return self.data + ssn - self.ssn


class MappingTable:
    """Mappings of one direction of one subflow, by subflow offset."""

    __slots__ = ("_data", "_floor", "_mappings", "_most", "_starts")

    def __init__(self, most: int | None = None) -> None:
        """`most`: of a peer, who may declare what never comes. Without it the mappings are our own, and what
        data they hold can be asked."""
        self._most = most
        self._data = RangeSet() if most is None else None
        self._floor = 1  # what ends here or before is history: the SYN, and what was forgotten
        self._starts: list[int] = []
        self._mappings: list[Mapping] = []

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def full(self) -> bool:
        return self._most is not None and len(self._starts) >= self._most

    def at(self, ssn: int) -> Mapping | None:
        index = bisect_right(self._starts, ssn) - 1
        if index >= 0 and self._mappings[index].contains(ssn):
            return self._mappings[index]
        return None

    def in_step(self, ssn: int, data: int) -> bool:
        """Whether all mappings from this subflow offset on are parts of the one from `ssn` to `data`."""
        first = max(bisect_right(self._starts, ssn) - 1, 0)
        return all(one.data_at(ssn) == data or one.left(ssn) <= 0 for one in self._mappings[first:])

    def next_start(self, ssn: int) -> int | None:
        """Where the first mapping behind this subflow offset begins."""
        index = bisect_right(self._starts, ssn)
        return self._starts[index] if index < len(self._starts) else None

    def holds_data(self, data: int) -> bool:
        """Whether one of our own mappings that are kept contains this data offset."""
        assert self._data is not None
        return self._data.past(data) > data

    def data_from(self, ssn: int, data: int) -> Iterator[tuple[int, int]]:
        """The data (start, end) of our own mappings that belongs behind this subflow offset and ends behind
        `data`, as far as the data stands in the order of the subflow."""
        assert self._data is not None
        mapping = self.at(ssn)
        if mapping is not None:
            yield from self._data.from_offset(max(mapping.data_at(ssn), data))

    def add(self, mapping: Mapping) -> bool:
        """False when it contradicts what is known: mappings are immutable (RFC 8684 §3.3.1).

        A repetition is fine, also of a part that has been forgotten. Once it is full, only what comes
        before all others is kept.
        """
        if mapping.length is not None and mapping.ssn + mapping.length <= self._floor:
            return True
        index = bisect_right(self._starts, mapping.ssn) - 1
        if index >= 0 and self._mappings[index].contains(mapping.ssn):
            known = self._mappings[index]
            same_place = known.data_at(mapping.ssn) == mapping.data
            same_end = known.length is not None and known.left(mapping.ssn) == mapping.length
            return same_place and (known.length is None or same_end)
        if mapping.length is not None and mapping.ssn < self._floor:
            return False  # its first bytes were taken under another mapping
        index += 1
        if index < len(self._starts):
            following = self._mappings[index]
            if mapping.length is None or mapping.ssn + mapping.length > following.ssn:
                return False
        if not (self.full and index):
            self._starts.insert(index, mapping.ssn)
            self._mappings.insert(index, mapping)
            if self._data is not None:
                self._data.add(mapping.data, mapping.data_end)
        return True

    def declare_infinite(self, ssn: int, data: int) -> None:
        """From `ssn` on the two levels run in step (RFC 8684 §3.7); what was mapped beyond is void."""
        index = bisect_right(self._starts, ssn - 1)
        del self._starts[index:], self._mappings[index:]
        if index > 0 and self._mappings[index - 1].contains(ssn):
            cut = self._mappings[index - 1]
            length = ssn - cut.ssn
            payload = cut.payload[:length]
            self._mappings[index - 1] = Mapping(cut.ssn, cut.data, length, None, cut.capable, payload=payload)
        self._starts.append(ssn)
        self._mappings.append(Mapping(ssn, data, None))
        if self._data is not None:
            self._data = RangeSet()
            for one in self._mappings:
                self._data.add(one.data, one.data_end)

    def forget(self, before: int) -> None:
        """Drop mappings that end at or before this subflow offset."""
        self._floor = max(self._floor, before)
        count = 0
        for mapping in self._mappings:
            if mapping.length is None or mapping.ssn + mapping.length > before:
                break
            if self._data is not None:
                self._data.remove(mapping.data, mapping.data_end)
            count += 1
        if count:
            del self._starts[:count], self._mappings[:count]
