"""Slide 7, "Stateless web server": what a SYN flood costs clients and server, and what a fallback costs.

Decides how the campaigns "flood" (connections beside a flood of SYNs) and "flood_goodput" (downloads over two
lossy paths) are shown and counted. Must not know how a flood is made, or a plot.
Read first: RFC 4987 §3; testbed/results/store.py for the columns; served.py and costs.py for the plots.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from testbed.figures.sections import Material, Number, Picture, Section
from testbed.figures.seed.costs import goodput_by_verdict, groups, groups_by_run, lines, networks
from testbed.figures.seed.served import (
    BOTH,
    COOKIES,
    FELL,
    ONE,
    PROFILE,
    fates,
    flood_factor,
    share,
    stacked,
)
from testbed.results import Results, agreement, cluster_mean, exact_interval

WAYS = {"sim": "simulator", "mininet": "lab"}
SERVED = (BOTH, ONE, FELL)
LEAST_P = 0.001  # two samples of one rate agree above it
FEWEST = 10  # fallbacks, for their mean to be held against another


@dataclass(frozen=True, slots=True)
class Flood:
    """One way of running. `settings` of SYN cookies and `profiles` in the experiment's order."""

    way: str
    results: Results
    rate: str
    found: pd.DataFrame

    @property
    def settings(self) -> list[str]:
        return list(dict.fromkeys(self.found_in(COOKIES)))

    @property
    def profiles(self) -> list[str]:
        return list(dict.fromkeys(self.found_in(PROFILE)))

    def found_in(self, column: str) -> list[str]:
        return [str(value) for value in self.results.summary[column]]

    def of(self, setting: str, profile: str) -> pd.DataFrame:
        """Fates at all rates."""
        here: pd.DataFrame = self.found[
            (self.found["cookies"] == setting) & (self.found["profile"] == profile)
        ]
        return here

    def at_most(self, setting: str, profile: str) -> pd.DataFrame:
        """Fates beside the strongest flood."""
        here = self.of(setting, profile)
        strongest: pd.DataFrame = here[here["rate"] == self.found["rate"].max()]
        return strongest


def section(material: Material) -> Section:
    floods = [
        Flood(words, results, flood_factor(results), fates(results))
        for net, words in WAYS.items()
        if (results := material.results.get(f"flood-{net}")) is not None
    ]
    downloads = {
        words: results
        for net, words in WAYS.items()
        if (results := material.results.get(f"flood_goodput-{net}")) is not None
    }
    pictures = [picture for flood in floods for picture in _of_flood(flood)]
    for words, results in downloads.items():
        svg = goodput_by_verdict(results, f"fallback-goodput-{words}")
        title = f"What a fallback costs: goodput of downloads, {words}"
        pictures.append(Picture(title, svg, _alt(results)))
    numbers = [number for flood in floods for number in _numbers(flood)]
    numbers += [number for words, results in downloads.items() for number in _goodputs(words, results)]
    return Section(
        tuple(_said(floods, downloads)), tuple(pictures), tuple(numbers), left_out=material.left_out()
    )


def _of_flood(flood: Flood) -> Iterator[Picture]:
    summary, name = flood.results.summary, f"flood-{flood.way}"
    order = (flood.settings, flood.profiles)
    alt = "; ".join(
        f"cookies {setting}, {profile}: {100 * share(flood.at_most(setting, profile), SERVED):.1f} % served"
        for setting in flood.settings
        for profile in flood.profiles
    )
    title = "What became of connections beside a flood"
    yield Picture(f"{title}, {flood.way}", stacked(flood.found, *order, f"{name}-fates"), alt)
    plots = {
        "setup_ms": ("Mean set-up time of those that were served: a lost SYN costs a second", "mean, ms"),
        "server_half_open_peak": ("What the server held", "half-open connections, most"),
        "server_memory_growth_mb": ("Memory of the server's process", "growth, MB"),
    }
    for column, (words, up) in plots.items():
        if column in summary and summary[column].notna().any():
            svg = lines(summary, flood.rate, column, up, *order, f"{name}-{column}")
            yield Picture(
                f"{words}, {flood.way}", svg, f"{up} against the flood's rate, by profile and cookies"
            )


def _said(floods: list[Flood], downloads: dict[str, Results]) -> Iterator[str]:
    if floods:
        flood = floods[0]
        most = float(flood.found["rate"].max())
        parts = []
        for setting in flood.settings:
            each = [flood.at_most(setting, profile) for profile in flood.profiles]
            parts.append(f"{_percent(share(pd.concat(each), SERVED))} with cookies {setting}")
        yield (
            f"Clients ask a web server for small pages{_lossy(flood.results)} while somebody sends it SYNs "
            f"and never completes a handshake. Connections that were served at {most:,.0f} SYNs per second: "
            f"{', '.join(parts)}. Without cookies the flood holds all places for half-open connections, and "
            "a client's SYN finds none; with them there is nothing to hold."
        )
        fell = [
            f"{_percent(share(here, (FELL,)))} ({profile}, cookies {setting})"
            for setting in flood.settings
            for profile in flood.profiles
            if share(here := flood.at_most(setting, profile), SERVED)
        ]
        yield (
            "Served is not all: only Multipath TCP has a second path, and with a cookie v0 loses it "
            "whenever it loses the third ACK. Connections that fell back beside the strongest flood: "
            f"{', '.join(fell)}. Those that kept Multipath TCP over one path were over before the second "
            "could be joined: a SYN or an ACK of the join was lost."
        )
    costs = []
    for words, results in downloads.items():
        rate = results.settings(0)["workload"]["arrivals"]
        costs += [
            f"{low:.1f} Mbit/s after a fallback, {high:.1f} without "
            f"({_in_words(network, profile, words)}, begun at {rate})"
            for network, profile, enough, low, high in _costs(results)
            if enough
        ]
    if costs:
        yield (
            "A download that fell back has one path for the rest of its life. On average it went at "
            f"{'; at '.join(costs)}. The set-up is included: where v1 falls back at all, it is after several "
            "lost SYNs, and that is what the download waits for."
        )


def _lossy(results: Results) -> str:
    share = results.settings(0)["network"].get("paths.*.loss.up")
    return "" if share is None else f", over links that lose {share:g} % of the packets to it,"


def _in_words(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _costs(results: Results) -> Iterator[tuple[str, str, bool, float, float]]:
    """Network, profile, whether there were fallbacks enough, and mean goodput after one and with Multipath
    TCP, of profiles that had both."""
    for network, rows in networks(results).items():
        found = groups(rows)
        for (profile, verdict), values in found.items():
            if verdict == "fallback" and (profile, "mptcp") in found:
                fell, kept = (float(found[profile, word].mean()) for word in ("fallback", "mptcp"))
                yield network, profile, len(values) >= FEWEST, fell, kept


def _alt(results: Results) -> str:
    return "; ".join(
        f"{_in_words(network, profile, verdict)}: {values.mean():.2f} Mbit/s on average of {len(values):,}"
        for network, rows in networks(results).items()
        for (profile, verdict), values in groups(rows).items()
    )


def _numbers(flood: Flood) -> Iterator[Number]:
    summary = flood.results.summary
    for setting in flood.settings:
        rows = summary[summary[COOKIES].astype(str) == setting]
        backlog = max(flood.results.settings(int(cell))["server"]["backlog"] for cell in rows["cell"])
        peak = rows["server_half_open_peak"].max()
        if pd.notna(peak):
            most = 0 if setting == "always" else backlog
            yield Number(
                f"cookies {setting}, {flood.way}: half-open connections, most",
                f"{peak:,.0f}",
                f"at most {most:,}",
                peak <= most,
            )
        for profile in flood.profiles:
            strongest = flood.at_most(setting, profile)
            name = f"cookies {setting}, {profile}, {flood.way}, strongest flood"
            told = ", ".join(_percent(share(strongest, kinds)) for kinds in (SERVED, (BOTH, ONE), (BOTH,)))
            yield Number(f"{name}: served, with Multipath TCP, over both paths", told)
        if setting == "always":
            yield from _unchanged(flood, setting)
        yield from _fallbacks(flood, setting, rows)


def _unchanged(flood: Flood, setting: str) -> Iterator[Number]:
    """A server that always answers with cookies treats clients beside a flood as it does without one."""
    for profile in flood.profiles:
        here = flood.of(setting, profile)
        ends = [here[here["rate"] == rate] for rate in (here["rate"].min(), here["rate"].max())]
        counts = [(int(end.loc[end["fate"] == FELL, "count"].sum()), int(end["count"].sum())) for end in ends]
        (calm, of_calm), (flooded, of_flooded) = counts
        likely = agreement(calm, of_calm, flooded, of_flooded)
        yield Number(
            f"cookies {setting}, {profile}, {flood.way}: fell back beside the strongest flood",
            f"{_percent(flooded / of_flooded)} of {of_flooded:,}",
            f"as without: {_percent(calm / of_calm)} of {of_calm:,} (p = {likely:.3g})",
            likely > LEAST_P,
        )


def _fallbacks(flood: Flood, setting: str, rows: pd.DataFrame) -> Iterator[Number]:
    """Beside the closed form, where there is one: a flood must not change it."""
    for profile in flood.profiles:
        here = rows[(rows[PROFILE].astype(str) == profile) & rows["fallback_expected"].notna()]
        if not len(here):
            continue
        inside = []
        for _, cell in here.iterrows():
            low, high = exact_interval(int(cell["fallback"]), int(cell["connections"]))
            inside.append(low <= float(cell["fallback_expected"]) <= high)
        fell, of = int(here["fallback"].sum()), int(here["connections"].sum())
        expected = float(here["fallback_expected"].mean())
        yield Number(
            f"cookies {setting}, {profile}, {flood.way}: fell back, all rates",
            f"{_percent(fell / of)} of {of:,}",
            f"{_percent(expected)}; {sum(inside)} of {len(inside)} inside 99.9 %",
            all(inside),
        )


def _goodputs(words: str, results: Results) -> Iterator[Number]:
    bounds = {}
    for network, rows in networks(results).items():
        for (profile, verdict), runs in groups_by_run(rows).items():
            mean, low, high = bounds[network, profile, verdict] = cluster_mean(runs)
            interval = "" if np.isnan(low) else f" ({low:.2f} to {high:.2f})"
            yield Number(
                f"{_in_words(network, profile, verdict, words)}: mean goodput of a download",
                f"{mean:.2f} Mbit/s{interval}, n = {sum(map(len, runs)):,} in {len(runs)} runs",
            )
    for network, profile, enough, fell, kept in _costs(results):
        (_, low, high), (_, least, most) = (bounds[network, profile, one] for one in ("fallback", "mptcp"))
        # Where intervals overlap nothing is decided; of a handful there is none worth its name.
        told = enough and (high < least or low > most)
        one_run = enough and (np.isnan(high) or np.isnan(least))
        open_why = "one run has no interval: set repeats" if one_run else "too few fallbacks to tell"
        yield Number(
            f"{_in_words(network, profile, words)}: goodput after a fallback, of that without one",
            f"{fell / kept:.2f}",
            "below 1" if told else f"below 1; {open_why}",
            high < least if told else None,
        )
