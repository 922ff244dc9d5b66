"""HTTP/1.1 without a socket: what a client asks, and what a server answers.

Decides the resources of a server (`/` is a page, `/SIZE` a body of that size, such as /1MB; `/SIZE?N` the
body of connection N), what is refused and how, and how much of what a client says is kept: one head, no body.
Both sides parse with h11. Knows nothing of endpoints. Read first: RFC 9112 §2-§3, §9.3; RFC 9110 §9.3, §15.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import h11

from testbed.units import SIZES
from testbed.workloads.payload import PATTERN, RESPONSE, Headed, Payload

MOST_HEAD = 1 << 14  # bytes of a request's head
MOST_BODY = 10**9
MOST_REQUESTS = 1000  # on one connection; the last answer closes it
LEAST_REQUEST = 128  # bytes: what a request takes at most before it is filled up
MOST_REQUEST = 8000

PAGE = b"<!doctype html><title>testbed</title><p>It works over Multipath TCP.</p>\n"
TEXTS = {
    400: b"bad request\n",
    404: b"there are / and /SIZE, such as /10KB, up to 1GB\n",
    405: b"only GET and HEAD\n",
    417: b"no body is expected\n",
    431: b"the head of the request is too long\n",
    501: b"that is not implemented\n",
}
_TARGET = re.compile(rb"/([0-9]{1,12})(%s)?(?:\?([0-9]{1,8}))?" % b"|".join(unit.encode() for unit in SIZES))
_ABSOLUTE = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)  # RFC 9112 §3.2.2: taken, whoever is named


class _Passed:
    """Stands for a body that goes its own way: h11 asks for its length alone."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length


@dataclass(frozen=True, slots=True)
class Answer:
    """`stream`: head and body. `connection`: of which connection the body is, where the target says so."""

    status: int
    stream: Headed
    connection: int | None = None


class ServerSide:
    """One connection. After `feed` ask `next_answer`: a second request waits until it is asked again. `over`:
    no other will be heard."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEAD)
        self._request: h11.Request | None = None
        self._served = 0
        self.over = False

    def feed(self, data: bytes) -> None:
        if not self.over and data:  # none would be the end
            self._http.receive_data(data)

    def next_answer(self) -> Answer | None:
        while not self.over:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                return self._close(error.error_status_hint)
            if isinstance(event, h11.Request):
                self._request = event
                if self._http.they_are_waiting_for_100_continue:
                    return self._close(417)
                if event.method not in (b"GET", b"HEAD"):
                    return self._close(405, [("Allow", "GET, HEAD")])
            elif isinstance(event, h11.EndOfMessage):
                return self._serve()
            elif not isinstance(event, h11.Data):
                return None
        return None

    def _serve(self) -> Answer:
        assert self._request is not None, "h11 gives none without one"
        target = _ABSOLUTE.sub(b"", self._request.target, count=1) or b"/"
        self._served += 1
        more = [("Connection", "close")] if self._served == MOST_REQUESTS else []
        if target == b"/":
            return self._respond(200, Headed(PAGE), "text/html; charset=utf-8", more)
        asked = _TARGET.fullmatch(target)
        size = int(asked[1]) * SIZES[(asked[2] or b"B").decode()] if asked else MOST_BODY + 1
        if asked is None or size > MOST_BODY:
            return self._respond(404, Headed(TEXTS[404]), "text/plain", more)
        number = int(asked[3]) if asked[3] else None
        body = Payload(PATTERN, 0, size) if number is None else Payload(RESPONSE, number, size)
        return self._respond(200, Headed(b"", body), "application/octet-stream", more, number)

    def _close(self, status: int, more: Sequence[tuple[str, str]] = ()) -> Answer:
        """Nothing that follows on this connection can be understood, or is wanted."""
        answer = self._respond(status, Headed(TEXTS[status]), "text/plain", [*more, ("Connection", "close")])
        self.over = True
        return answer

    def _respond(
        self,
        status: int,
        body: Headed,
        kind: str,
        more: Sequence[tuple[str, str]],
        connection: int | None = None,
    ) -> Answer:
        http = self._http
        headers = [("Content-Type", kind), ("Content-Length", str(body.length)), *more]
        head = http.send(h11.Response(status_code=status, headers=headers, reason=_REASONS[status])) or b""
        if self._request is not None and self._request.method == b"HEAD":
            body = Headed(b"")
        if body.length:
            http.send_with_data_passthrough(h11.Data(data=_Passed(body.length)))  # type: ignore[arg-type]
        http.send(h11.EndOfMessage())
        if http.our_state is h11.DONE and http.their_state is h11.DONE:
            http.start_next_cycle()
        else:
            self.over = True
        self._request = None
        return Answer(status, Headed(head + body.head, body.body), connection)


_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
}


def request(
    host: str, size: int, connection: int, response: int, reader: h11.Connection | None = None
) -> bytes:
    """A GET of exactly `size` bytes for a body of `response` bytes; `reader` will read the answer to it."""
    http = reader or h11.Connection(h11.CLIENT)
    target = f"/{response}?{connection}"
    plain = len(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nX-Padding: \r\n\r\n")
    headers = [("Host", host), ("X-Padding", "x" * (size - plain))]
    head = http.send(h11.Request(method="GET", target=target, headers=headers)) or b""
    return head + (http.send(h11.EndOfMessage()) or b"")


class ClientSide:
    """The answer to one request. `failed`: it was none, or not the one that was asked for."""

    def __init__(self, host: str, size: int, connection: int, response: int) -> None:
        self._http = h11.Connection(h11.CLIENT)
        self.request = Headed(request(host, size, connection, response, self._http))
        self.failed = False

    def body(self, data: bytes) -> bytes:
        """What of the answer's body is in the next bytes of the stream."""
        found = []
        if not data:  # h11 would take it for the end
            return b""
        try:
            self._http.receive_data(data)
            while not isinstance(event := self._http.next_event(), _NO_MORE):
                if isinstance(event, h11.Response):
                    self.failed = event.status_code != 200
                elif isinstance(event, h11.Data):
                    found.append(bytes(event.data))
        except h11.RemoteProtocolError:
            self.failed = True
        return b"".join(found)


_NO_MORE = (h11.NEED_DATA, h11.PAUSED, h11.EndOfMessage, h11.ConnectionClosed)
