"""A connection as a packet ladder in SVG: a picture for a page, a paper or a browser.

Decides colours, dashes and the markup; the words are those of rungs.py, the places those of ladder_layout.py.
Several ladders may stand in one HTML page: names of classes begin with `ldr-`, rules hold below a class that
is made of the picture's own bytes, and so are ids. Colours are custom properties; `--ink` and `--muted` of
the page are taken over, and `prefers-color-scheme` chooses between light and dark. There is no background.
The same capture gives the same bytes.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape as escape_markup

from testbed.errors import UserError
from testbed.mptcp.reasons import Verdict
from testbed.terminal import plain_word
from testbed.trace.connections import DRAFT_VERSION
from testbed.trace.ladder_layout import lay_out
from testbed.trace.lettering import FACES, Label
from testbed.trace.picture import Arrow, Picture, Point
from testbed.trace.rungs import Ladder, Source, ladders


def escape(text: str) -> str:
    """Text of a capture as XML. Control characters are not allowed there, not even as references."""
    return escape_markup(plain_word(text))


WIDTH = 860  # px
NARROWEST = 320  # px
_GAP = 36  # px between two connections
_DASHES = ("", "11 4", "9 3 2 3", "5 3", "16 3 2 3 2 3")  # of subflow 1, 2, ...; dropped packets have dots

# Light, dark; each has a contrast of 4.5 to 1 or more against white or near-black.
_COLOURS = {
    "ink": ("var(--ink,#1a1a1a)", "var(--ink,#ececec)"),
    "faint": ("var(--muted,#626a73)", "var(--muted,#9aa4ae)"),
    "1": ("#0b5ea8", "#79b8ff"),
    "2": ("#8a4b00", "#ffb454"),
    "3": ("#7b2d8e", "#dca0ee"),
    "4": ("#00735c", "#56d3b1"),
    "5": ("#5b5b12", "#d6d06a"),
    "6": ("#a0305f", "#ff9cc2"),
    "drop": ("#c1121f", "#ff7b72"),
    "mptcp": ("#00735c", "#56d3b1"),
    "fallback": ("#9a5b00", "#f0b429"),
    "reset": ("#c1121f", "#ff7b72"),
    "hang": ("#7b2d8e", "#dca0ee"),
    "unfinished": ("#626a73", "#9aa4ae"),
    "tcp": ("#626a73", "#9aa4ae"),
    "unknown": ("#626a73", "#9aa4ae"),
}
SUBFLOW_COLOURS = 6
_MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"
_BOLD = {"title", "host", "head", "cause", "turn", "verdict"}
_FAINT = {"time", "tcp", "gap", "note"}


def ladder_svg(
    source: Source,
    *,
    width: int = WIDTH,
    draft_version: int = DRAFT_VERSION,
    most: int | None = None,
    connection: int | None = None,
) -> str:
    """One SVG document with a ladder per connection, one below the other; empty when there is none.

    `source`, `most`, `connection` as for `ladder`. `width` in px: words are set for it, and the picture
    scales with the room that it gets. UserError when it is under 320, or when there is no such connection.
    """
    if width < NARROWEST:
        raise UserError(f"width {width}: a picture needs {NARROWEST} px or more")
    drawn = ladders(source, draft_version, most, connection)
    if not drawn:
        return ""
    parts: list[str] = []
    height = 0
    for each in drawn:
        picture = lay_out(each, width)
        parts += [f'<g transform="translate(0 {height})">', *_picture(picture), "</g>"]
        height += round(picture.height) + _GAP
    body = "\n".join(parts)
    name = "ldr-" + hashlib.sha256(body.encode()).hexdigest()[:10]
    height -= _GAP
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="ldr {name}" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" aria-labelledby="{name}-t {name}-d" '
            'fill="#1a1a1a">',
            f'<title id="{name}-t">{escape("; ".join(each.title for each in drawn))}</title>',
            f'<desc id="{name}-d">{escape(" ".join(_told(each) for each in drawn))}</desc>',
            f"<style>{_style('.' + name)}</style>",
            body,
            "</svg>\n",
        ]
    )


def _told(ladder: Ladder) -> str:
    client, server = ladder.hosts
    lost = sum(getattr(step, "dropped", None) is not None for step in ladder.steps)
    return (
        f"Packet ladder of {ladder.title}, between {client.name} {client.address} and {server.name} "
        f"{server.address}; dropped packets shown: {lost}; verdict {ladder.verdict.value}, reason "
        f"{ladder.reason_words}."
    )


def _picture(picture: Picture) -> Iterator[str]:
    for x in picture.rails:
        yield _path(_upright(x, picture), "ldr-rail")
    ticks = "".join(f"M{_n(picture.axis - 4)} {_n(arrow.start[1])}h4" for arrow in picture.arrows)
    yield _path(_upright(picture.axis, picture) + ticks, "ldr-axis")
    for number, start, end in picture.keys:
        yield f'<g class="ldr-s{_colour(number)}">{_line([(start, end)], number)}{_tip(start, end)}</g>'
    for arrow in picture.arrows:
        yield from _arrow(arrow)
    for diamond in picture.diamonds:
        yield _path(f"M{_n(diamond.x)} {_n(diamond.y - 6)}l6 6l-6 6l-6 -6z", f"ldr-v-{diamond.verdict.value}")
    left, top, right, bottom = picture.verdict_bar
    bar = f"M{_n(left)} {_n(top)}H{_n(right)}V{_n(bottom)}H{_n(left)}z"
    yield _path(bar, f"ldr-v-{picture.verdict.value}")
    for label in picture.labels:
        yield _label(label)


def _arrow(arrow: Arrow) -> Iterator[str]:
    rung = arrow.rung
    dropped = rung.dropped is not None
    yield f'<g class="ldr-rung ldr-s{_colour(rung.subflow)}{" ldr-dropped" if dropped else ""}">'
    if rung.arrived is not None:
        yield f"<title>arrived at {rung.arrived / 1_000_000:.3f} ms</title>"
    number = 0 if dropped else rung.subflow
    x, y = arrow.tip
    end = f"M{_n(x - 6)} {_n(y - 6)}l12 12m0 -12l-12 12" if dropped else ""
    yield _line(arrow.pieces, number)
    yield _path(end, "ldr-cross") if dropped else _tip(arrow.start, arrow.tip)
    for label in arrow.labels:
        yield _label(label)
    yield "</g>"


def _line(pieces: Iterable[tuple[Point, Point]], number: int) -> str:
    """`number`: the subflow's; 0 has dots."""
    dash = _DASHES[(number - 1) % len(_DASHES)] if number else "2 4"
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    shape = "".join(f"M{_n(x0)} {_n(y0)}L{_n(x1)} {_n(y1)}" for (x0, y0), (x1, y1) in pieces)
    return f'<path class="ldr-line" d="{shape}"{dashed}/>'


def _tip(start: Point, end: Point) -> str:
    """A head of 11 by 8 px, in the direction of its arrow."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy)
    ux, uy = dx / length, dy / length
    x, y = end[0] - 11 * ux, end[1] - 11 * uy
    corners = [end, (x - 4 * uy, y + 4 * ux), (x + 4 * uy, y - 4 * ux)]
    return _path("M" + "L".join(f"{_n(px)} {_n(py)}" for px, py in corners) + "z", "ldr-tip")


def _upright(x: float, picture: Picture) -> str:
    """A line from top to bottom, with a zigzag where the axis is cut."""
    shape = f"M{_n(x)} {_n(picture.top)}"
    for y in picture.breaks:
        shape += f"V{_n(y - 6)}l4 3l-8 6l4 3"
    return shape + f"V{_n(picture.bottom)}"


def _label(label: Label) -> str:
    """The first word of an option is its name, and stands out."""
    face = FACES[label.face]
    classes = f"ldr-{label.face}" + (f" ldr-s{_colour(label.subflow)}" if label.subflow else "")
    length = f' textLength="{_n(face.width(label.text))}"' if face.mono and len(label.text) > 1 else ""
    words = escape(label.text)
    if label.face == "option":
        name, blank, rest = label.text.partition(" ")
        words = f"<tspan>{escape(name)}</tspan>{escape(blank + rest)}"
    return f'<text class="{classes}" x="{_n(label.x)}" y="{_n(label.y)}"{length}>{words}</text>'


def _path(shape: str, name: str) -> str:
    return f'<path class="{name}" d="{shape}"/>'


def _colour(number: int) -> int:
    return (number - 1) % SUBFLOW_COLOURS + 1


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _style(root: str) -> str:
    """The picture's own properties, then rules that hold below `root` alone."""
    light, dark = (
        ";".join(f"--ldr-{name}:{pair[index]}" for name, pair in _COLOURS.items()) for index in (0, 1)
    )
    rules = [
        f"{root}{{{light};color-scheme:light dark;max-width:100%;height:auto}}",
        f"@media(prefers-color-scheme:dark){{{root}{{{dark}}}}}",
        f"{root} text{{{_paint('fill', 'ink')};white-space:pre}}",
        f"{root} path{{fill:none;stroke-width:1.4}}",
        f"{root} .ldr-rail{{{_paint('stroke', 'ink')};stroke-width:1.8}}",
        f"{root} .ldr-axis{{{_paint('stroke', 'faint')};stroke-width:1}}",
        f"{root} .ldr-option tspan{{font-weight:600}}",
    ]
    for number in range(1, SUBFLOW_COLOURS + 1):
        own = f"{root} .ldr-s{number}"
        rules.append(f"{own} .ldr-line{{{_paint('stroke', str(number))}}}")
        rules.append(f"{own} .ldr-tip,{own} .ldr-head.ldr-s{number}{{{_paint('fill', str(number))}}}")
    lost = f"{root} .ldr-dropped"
    rules.append(f"{lost} .ldr-line,{lost} .ldr-cross{{{_paint('stroke', 'drop')}}}")
    rules.append(f"{root} .ldr-cross{{stroke-width:2.4}}")
    rules.append(f"{root} .ldr-cause{{{_paint('fill', 'drop')}}}")
    rules += [f"{root} .ldr-v-{verdict.value}{{{_paint('fill', verdict.value)}}}" for verdict in Verdict]
    for name, face in FACES.items():
        family = _MONO if face.mono else "system-ui,sans-serif"
        weight = ";font-weight:600" if name in _BOLD else ""
        rules.append(f"{root} .ldr-{name}{{font-family:{family};font-size:{face.size:g}px{weight}}}")
        if name in _FAINT:
            rules.append(f"{root} text.ldr-{name}{{{_paint('fill', 'faint')}}}")
    return "".join(rules)


def _paint(what: str, name: str) -> str:
    """The colour itself comes first, for programs that know no custom properties."""
    plain = re.sub(r"var\(.*,(.*)\)", r"\1", _COLOURS[name][0])
    return f"{what}:{plain};{what}:var(--ldr-{name})"
