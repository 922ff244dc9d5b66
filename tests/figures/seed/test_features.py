"""Slide 8: each row as the draft and RFC 8684 say, and what it says of another stack than ours."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from testbed.figures.sections import Material, Section
from testbed.figures.seed import features
from testbed.figures.seed.features import FEATURES, LINUX, NO_SUCH, NOT_TRIED, OURS, Feature
from testbed.results import Results
from tests.figures.seed.simulated import EXPERIMENTS, simulated


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return simulated(tmp_path_factory.mktemp("features"), "features.yaml")


@pytest.fixture(scope="module")
def alone(results: Results) -> Section:
    return features.section(Material({OURS: results}, {LINUX: "this kernel has no Multipath TCP"}))


def cells(section: Section) -> dict[str, tuple[str, ...]]:
    return {row[0]: row[1:4] for table in section.tables for row in table.rows}


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.what)
def test_draft_and_v1_do_what_the_documents_say(feature: Feature, alone: Section) -> None:
    draft, v1, linux = cells(alone)[feature.what]
    assert (draft, v1) == (feature.draft, feature.v1)
    assert linux == (NO_SUCH if feature.linux is None else NOT_TRIED)


def test_what_was_taken_over_stands_apart(alone: Section) -> None:
    same, other = alone.tables
    assert all(row[1] == row[2] for row in same.rows)
    assert all(row[1] != row[2] for row in other.rows)
    assert len(same.rows) + len(other.rows) == len(FEATURES)
    assert [one.agrees for one in alone.numbers] == [True, True]
    assert alone.left_out == (f"{LINUX}: this kernel has no Multipath TCP",)


def beside(results: Results, profile: str, monkeypatch: pytest.MonkeyPatch) -> Section:
    """The slide with connections of ours of this profile in the place of Linux's, one for each row."""
    rows = tuple(
        dataclasses.replace(feature, linux=feature.what) if feature.linux else feature for feature in FEATURES
    )
    monkeypatch.setattr(features, "FEATURES", rows)
    records, tables = [], []
    table = results.connections
    for feature in rows:
        here = {"case": feature.cases[1], "client.profile": profile}
        found = next(record for record in results.records if record["factors"] == here)
        if feature.linux is not None:
            records.append({**found, "factors": {"case": feature.linux}})
            these = table[(table["case"] == here["case"]) & (table["client.profile"] == profile)]
            tables.append(these.assign(case=feature.linux))
    linux = dataclasses.replace(results, records=records, connections=pd.concat(tables))
    return features.section(Material({OURS: results, LINUX: linux}))


def test_a_stack_that_does_all_alike(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    section = beside(results, "v1", monkeypatch)
    compared = [feature for feature in FEATURES if feature.linux is not None]
    assert section.numbers[-1].measured == f"{len(compared)} of {len(compared)}"
    assert not any("≠" in row[2] for row in cells(section).values())


def test_a_stack_that_differs_is_marked_where_it_does(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = beside(results, "draft", monkeypatch)
    for feature in FEATURES:
        if feature.linux is not None:
            linux = cells(section)[feature.what][2]
            assert linux == (feature.draft if feature.draft == feature.v1 else f"≠ {feature.draft}")


def test_a_run_of_linux_that_does_not_count_leaves_its_rows_open(results: Results) -> None:
    broken = [{**record, "invalid": "too late"} for record in results.records]
    linux = dataclasses.replace(results, records=broken)
    section = features.section(Material({OURS: results, LINUX: linux}))
    assert {row[2] for row in cells(section).values()} == {NOT_TRIED, NO_SUCH}


def test_every_row_that_is_looked_at_is_run() -> None:
    for file, names in (
        ("features.yaml", {case for feature in FEATURES for case in feature.cases}),
        ("features_linux.yaml", {feature.linux for feature in FEATURES if feature.linux}),
    ):
        text = (EXPERIMENTS / file).read_text(encoding="utf-8")
        assert [name for name in names if f"  {name}: " not in text] == [], file
