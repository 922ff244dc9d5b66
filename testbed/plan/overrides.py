"""An experiment's words about paths and links, applied to a plan.

Decides where a path's parameter acts. `paths.NAME|*.KEY.up` acts once per path: at its first link in the
direction of travel that does anything to packets. A path whose links are all plain has it at the client's
link, both directions: so one place holds both. `links.A-B.KEY.up` acts at that link. Up is client to
server, as the paths cross the link; a link that no path crosses counts from A to B. Without `.up` or
`.down` both are meant. KEY and its units: shaping.py. Knows nothing of experiments: keys and values come as
a mapping.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from testbed.errors import UserError
from testbed.link import LinkParams
from testbed.plan.shaping import WORDS, is_shaped, parse_word
from testbed.plan.values import Direction, Hop, NetPlan, PathPlan

_WAYS = ("up", "down")
_FORM = "paths.NAME.KEY.up, paths.*.KEY.down or links.A-B.KEY, where KEY is one of " + ", ".join(WORDS)


def with_overrides(plan: NetPlan, overrides: Mapping[str, object]) -> NetPlan:
    """Later keys win over earlier ones at the same place. UserError names the key."""
    places: dict[Hop, dict[str, tuple[str, object]]] = {}  # where -> field -> (key, value)
    for key, value in overrides.items():
        kind, _, rest = key.partition(".")
        ways: Iterable[str] = _WAYS
        if rest.rpartition(".")[2] in _WAYS:
            rest, _, way = rest.rpartition(".")
            ways = (way,)
        target, _, word = rest.rpartition(".")
        if kind not in ("paths", "links") or not target:
            raise UserError(f"{key}: not understood; expected {_FORM}")
        try:
            fields = parse_word(word, value)
        except UserError as error:
            raise UserError(f"{key}: {error}") from None
        for way in ways:
            try:
                places_found = _paths(plan, target, way) if kind == "paths" else [_link(plan, target, way)]
            except UserError as error:
                raise UserError(f"{key}: {error}") from None
            for place in places_found:
                places.setdefault(place, {}).update({name: (key, found) for name, found in fields.items()})
    links = []
    for link in plan.links:
        forward, backward = (
            _changed(link.params(way), places.get((link.name, way), {})) for way in _directions()
        )
        shaped = is_shaped(forward) or is_shaped(backward)
        links.append(replace(link, forward=forward, backward=backward, shaped=shaped))
    return replace(plan, links=tuple(links))


def place_of(plan: NetPlan, path: PathPlan, way: str) -> Hop:
    """The link and direction at which this path's own parameters act."""
    for name, direction in path.up if way == "up" else path.down:
        if plan.link(name).shaped:
            return name, direction
    name, direction = path.up[0]
    return (name, direction) if way == "up" else (name, _reverse(direction))


def _changed(params: LinkParams, values: Mapping[str, tuple[str, object]]) -> LinkParams:
    """All values of one place at once: a jitter may stand before the delay that makes room for it."""
    if not values:
        return params
    try:
        return replace(params, **{name: value for name, (_, value) in values.items()})  # type: ignore[arg-type]
    except UserError as error:
        keys = dict.fromkeys(key for key, _ in values.values())
        raise UserError(f"{', '.join(keys)}: {error}") from None


def _paths(plan: NetPlan, target: str, way: str) -> list[Hop]:
    paths = plan.paths if target == "*" else (plan.path(target),)
    return [place_of(plan, path, way) for path in paths]


def _link(plan: NetPlan, target: str, way: str) -> Hop:
    near, _, far = target.partition("-")
    names = {link.name for link in plan.links}
    turned = False
    if target not in names and f"{far}-{near}" in names:
        target, turned = f"{far}-{near}", True
    link = plan.link(target)
    for path in plan.paths:
        for name, direction in path.up:
            if name == link.name:
                return name, direction if way == "up" else _reverse(direction)
    forward = (way == "up") != turned
    return link.name, "forward" if forward else "backward"


def _reverse(direction: Direction) -> Direction:
    return "backward" if direction == "forward" else "forward"


def _directions() -> tuple[Direction, Direction]:
    return "forward", "backward"
