"""The RFC map of testbed/mptcp/README.md is true: what it names exists, and what the code cites is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "testbed" / "mptcp"
README = (CORE / "README.md").read_text(encoding="utf-8")

SOURCE = r"RFC \d+|(?:the )?[Dd]raft(?:-paasch-mptcp-syncookies-02)?(?:'s)?"
SECTION = r"(?:§\d+(?:\.\d+)*(?:-§?\d+(?:\.\d+)*)?|Appendix [A-Z])"
CITATION = re.compile(rf"(?P<source>{SOURCE})\s+(?P<sections>{SECTION}(?:(?:, | and ){SECTION})*)")


def canonical(source: str) -> str:
    return source if source.startswith("RFC") else "draft"


def ends(first: str, last: str) -> list[str]:
    """ "3.10.7.3-4" names 3.10.7.3 and 3.10.7.4; "3.1-3.6" names 3.1 and 3.6."""
    if "." not in last and "." in first:
        last = f"{first.rsplit('.', 1)[0]}.{last}"
    return [first, last]


def citations(text: str) -> set[tuple[str, str]]:
    """Every (source, section): ranges give both of their ends."""
    text = re.sub(r"\n\s*#?\s*", " ", text)
    found: set[tuple[str, str]] = set()
    for match in CITATION.finditer(text):
        source = canonical(match["source"])
        for part in re.split(r", | and ", match["sections"]):
            numbers = [one.strip("§. ") for one in part.split("-")]
            names = ends(numbers[0], numbers[1]) if len(numbers) == 2 else numbers
            found |= {(source, name) for name in names if name}
    return found


def mapped() -> set[tuple[str, str]]:
    rows = re.findall(r"^\| ((?:RFC \d+|draft)[^|]*) \|", README, re.MULTILINE)
    found: set[tuple[str, str]] = set()
    for row in rows:
        found |= citations(row)
    return found


def test_citations_are_read_as_meant() -> None:
    assert citations("RFC 9293 §3.10.7.3-4, RFC 7323 §5, x") == {
        ("RFC 9293", "3.10.7.3"),
        ("RFC 9293", "3.10.7.4"),
        ("RFC 7323", "5"),
    }
    assert citations("RFC 8684 §3.1, §3.3.3, §3.5.") == {("RFC 8684", one) for one in ("3.1", "3.3.3", "3.5")}
    assert citations("(the draft §3.1.1 for it)") == {("draft", "3.1.1")}
    assert citations("draft-paasch-mptcp-syncookies-02 §2-§3.") == {("draft", "2"), ("draft", "3")}
    assert citations("RFC 8684 §3.3.3 and Appendix D (it)") == {
        ("RFC 8684", "3.3.3"),
        ("RFC 8684", "Appendix D"),
    }


@pytest.mark.parametrize("file", sorted(CORE.rglob("*.py")), ids=lambda file: str(file.relative_to(CORE)))
def test_every_section_cited_is_in_the_map(file: Path) -> None:
    assert citations(file.read_text(encoding="utf-8")) - mapped() == set()


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_every_file_named_exists(link: str) -> None:
    assert (CORE / link).is_file(), link


def test_every_file_of_the_core_is_named() -> None:
    names = {str(one.relative_to(CORE)) for one in CORE.rglob("*.py") if one.name != "__init__.py"}
    named = set(re.findall(r"\]\(([^)#]+)\)", README))
    assert names - named - {"wire/malformed.py"} == set()


@pytest.mark.parametrize("line", [one for one in README.splitlines() if re.match(r"\| (RFC|draft)", one)])
def test_every_row_of_the_map_is_whole(line: str) -> None:
    cells = [cell.strip() for cell in line.strip("|").split(" | ")]
    assert all(cells), line
    assert len(cells) in (3, 4), line


def test_departures_in_the_code_are_told() -> None:
    told = README.split("## Departures")[1]
    for file in CORE.rglob("*.py"):
        for source, section in re.findall(r"Departs from (RFC \d+) §([\d.]*\d)", file.read_text("utf-8")):
            assert f"| {source} §{section} |" in told, (file.name, source, section)
