"""Whatever endpoints, limits and announcements: what is wanted is bounded, unmixed, new, and wanted once."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp.paths import (
    Announce,
    Flag,
    Join,
    Known,
    Limits,
    LocalEndpoint,
    PathsConfig,
    Subflow,
    View,
    wanted,
)

LOCALS = [bytes([10, 0, n, 1]) for n in range(4)] + [bytes([0xFD, *bytes(14), n]) for n in range(2)]
REMOTES = [bytes([10, 1, n, 1]) for n in range(4)] + [bytes([0xFE, *bytes(14), n]) for n in range(2)]
FLAGS = [Flag.NONE, Flag.SUBFLOW, Flag.SIGNAL, Flag.SUBFLOW | Flag.SIGNAL, Flag.SUBFLOW | Flag.FULLMESH]
FLAGS += [Flag.FULLMESH, Flag.SUBFLOW | Flag.PAIR, Flag.SUBFLOW | Flag.BACKUP]

endpoints = st.lists(
    st.builds(LocalEndpoint, st.sampled_from(LOCALS), flags=st.sampled_from(FLAGS)),
    max_size=6,
    unique_by=lambda one: one.address,
).map(tuple)
configs = st.builds(
    PathsConfig, st.none() | endpoints, st.builds(Limits, st.integers(0, 6), st.integers(0, 6))
)
peers = st.lists(
    st.builds(Known, st.integers(0, 9), st.sampled_from(REMOTES), st.sampled_from([0, 80, 81])),
    max_size=6,
    unique_by=lambda one: one.id,
).map(tuple)


@st.composite
def views(draw: st.DrawFn) -> View:
    local, remote = draw(st.sampled_from([(LOCALS[0], REMOTES[0]), (LOCALS[4], REMOTES[4])]))
    role = draw(st.sampled_from(["client", "server"]))
    pairs = st.tuples(st.sampled_from(LOCALS[:4]), st.sampled_from(REMOTES[:4]))
    others = draw(st.lists(pairs, unique=True, max_size=3))
    extra = tuple(Subflow(a, 5, b, 80, 5) for a, b in others if (a, b) != (local, remote))
    tried = draw(st.sets(st.tuples(st.sampled_from(LOCALS[:4]), st.sampled_from(REMOTES), st.just(80))))
    return View(
        role=role,
        local=local,
        local_port=5000,
        remote=remote,
        remote_port=80,
        addresses=tuple(draw(st.lists(st.sampled_from(LOCALS), unique=True))),
        subflows=(Subflow(local, 0, remote, 80, 0), *extra),
        extra=len(extra),
        peer=draw(peers),
        attempted=frozenset(tried),
        deny_join_initial=draw(st.booleans()),
        settled=draw(st.booleans()),
    )


def carried_out(view: View, actions: list[Join | Announce], works: bool) -> View:
    """The view once every action was carried out; joins that fail are attempts and nothing else."""
    for action in actions:
        if isinstance(action, Announce):
            known = Known(action.id, action.address, action.port)
            view = replace(view, announced=(*view.announced, known))
            continue
        view = replace(view, attempted=view.attempted | {(action.local, action.remote, action.port)})
        if works:
            subflow = Subflow(action.local, action.local_id, action.remote, action.port, action.remote_id)
            view = replace(view, subflows=(*view.subflows, subflow), extra=view.extra + 1)
    return view


@given(configs, views())
def test_once_carried_out_nothing_is_wanted(config: PathsConfig, view: View) -> None:
    assert wanted(config, carried_out(view, wanted(config, view), works=True)) == []


@given(configs, views())
def test_joins_that_fail_are_never_tried_again_and_end(config: PathsConfig, view: View) -> None:
    tried = set(view.attempted)
    for _ in range(len(LOCALS) * len(REMOTES) * 2):
        actions = wanted(config, view)
        places = [(one.local, one.remote, one.port) for one in actions if isinstance(one, Join)]
        assert not tried & set(places)
        tried |= set(places)
        view = carried_out(view, actions, works=False)
        if not actions:
            break
    assert wanted(config, view) == []


@given(configs, views())
def test_limits_families_and_the_peer_s_denial_hold(config: PathsConfig, view: View) -> None:
    joins = [one for one in wanted(config, view) if isinstance(one, Join)]
    assert len(joins) <= max(0, config.limits.subflows - view.extra)
    assert all(len(one.local) == len(one.remote) for one in joins)
    places = [(one.local, one.remote, one.port) for one in joins]
    assert len(set(places)) == len(places)
    there = {(one.local, one.remote, one.port) for one in view.subflows} | view.attempted
    assert not there & set(places)
    initial = view.remote, view.remote_port
    if view.deny_join_initial:
        assert all((one.remote, one.port) != initial for one in joins)
    accepted = {one.remote_id for one in joins if (one.remote, one.port) != initial}
    most = config.limits.add_addr_accepted or int(view.deny_join_initial)
    joined = {one[2:4] for one in view.subflows} | {one[1:] for one in view.attempted}
    before = {known.id for known in view.peer if known.id and place(known) in joined - {initial}}
    assert not accepted - before or len(accepted | before) <= most  # the limit may have been lowered


def place(known: Known) -> tuple[bytes, int]:
    return known.address, known.port or 80


@given(configs, views())
def test_the_order_of_announcements_does_not_matter(config: PathsConfig, view: View) -> None:
    assert wanted(config, view) == wanted(config, replace(view, peer=view.peer[::-1]))


@given(configs, views())
def test_ids_are_the_configured_ones_and_0_is_the_initial_address(config: PathsConfig, view: View) -> None:
    for one in wanted(config, view):
        if isinstance(one, Join):
            assert (one.local_id == 0) == (one.local == view.local)
        else:
            assert one.id > 0
