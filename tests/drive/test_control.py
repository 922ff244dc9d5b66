"""The words on a running program's standard input."""

from __future__ import annotations

import pytest

from testbed.drive.control import Control, parse
from testbed.drive.programs import ClientArguments, ServerArguments
from testbed.errors import UserError
from testbed.mptcp.endpoint import Endpoint
from testbed.mptcp.paths import Flag
from testbed.workloads.host import Hosted
from testbed.workloads.one_connection import OneConnection


class Recorder:
    """An endpoint's side of the words: two connections, with two subflows each."""

    connections = (3, 4)

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def remove_address(self, now: int, connection: int, address_id: int) -> None:
        self.calls.append(("remove", now, connection, address_id))

    def set_backup(self, now: int, connection: int, subflow: int, backup: bool) -> None:
        self.calls.append(("backup", now, connection, subflow, backup))

    def describe(self, connection: int) -> object:
        class Path:
            def __init__(self, index: int, local_id: int) -> None:
                self.index, self.local_id = index, local_id

        class Report:
            paths = (Path(0, 0), Path(1, 2))

        return Report()


def test_each_word_reaches_every_connection() -> None:
    seen = Recorder()
    parse("endpoint delete id 2")(7, seen)  # type: ignore[arg-type]
    parse("endpoint delete id 0 10.0.1.1")(7, seen)  # type: ignore[arg-type]
    parse("endpoint change id 2 backup")(8, seen)  # type: ignore[arg-type]
    parse("endpoint change id 2 nobackup")(9, seen)  # type: ignore[arg-type]
    assert seen.calls == [
        *(("remove", 7, number, 2) for number in (3, 4)),
        *(("remove", 7, number, 0) for number in (3, 4)),
        *(("backup", 8, number, 1, True) for number in (3, 4)),
        *(("backup", 9, number, 1, False) for number in (3, 4)),
    ]


@pytest.mark.parametrize("line", ["", "endpoint", "endpoint delete id x", "endpoint change id 2 fullmesh"])
def test_other_words_are_refused_with_those_there_are(line: str) -> None:
    with pytest.raises(UserError, match="endpoint delete id N"):
        parse(line)


def test_lines_come_in_pieces_and_nonsense_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    acted: list[int] = []

    class Host:
        def act(self, now: int, action: object) -> None:
            acted.append(now)

    control = Control(Host(), lambda: 5)  # type: ignore[arg-type]
    control.hear(b"endpoint del")
    assert acted == []
    control.hear(b"ete id 2\nnonsense\nendpoint change id 2 back")
    assert acted == [5]
    assert "'nonsense'" in capsys.readouterr().err


def test_go_is_for_a_client_that_holds() -> None:
    acted: list[object] = []

    class Host:
        def act(self, now: int, action: object) -> None:
            acted.append(action)

    def go(now: int, endpoint: Endpoint) -> None:
        pass

    Control(Host(), lambda: 5, go).hear(b"go\n")  # type: ignore[arg-type]
    assert acted == [go]
    with pytest.raises(UserError, match="'go'"):
        parse("go")


def test_a_real_host_takes_them_at_any_time() -> None:
    arguments = ClientArguments("10.0.0.2", bind=("10.0.0.1",))
    app = OneConnection(
        (b"\x0a\0\0\1", 1), (b"\x0a\0\0\2", 2), arguments.config(0), send=1, receive=None, patience=10**9
    )
    host = Hosted(Endpoint(entropy=bytes), app)
    Control(host, lambda: 1).hear(b"endpoint delete id 2\nendpoint change id 0 backup\n")
    host.start(2)
    Control(host, lambda: 3).hear(b"endpoint delete id 2\nendpoint change id 0 backup\n")
    assert host.endpoint.connections == (1,)


def test_arguments_become_the_path_managers_configuration() -> None:
    words = ("10.0.2.1 dev eth1 id 3 subflow backup",)
    config = ClientArguments("10.0.0.2", endpoints=words, limits="subflow 1", scheduler="redundant").config(0)
    assert config.paths.endpoints is not None
    (endpoint,) = config.paths.endpoints
    assert (endpoint.text, endpoint.id) == ("10.0.2.1", 3)
    assert endpoint.flags == Flag.SUBFLOW | Flag.BACKUP
    assert config.paths.limits.subflows == 1
    assert config.mptcp.scheduler == "redundant"
    served = ServerArguments(deny_join_initial=True, congestion="lia").config(0)
    assert served.mptcp.deny_join_initial
    assert served.tcp.congestion == "lia"
    assert served.paths.endpoints is None
    with pytest.raises(UserError, match=r"10\.0\.2\.300"):
        ServerArguments(endpoints=("10.0.2.300 signal",))
