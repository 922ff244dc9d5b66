"""The slides of "Making Multipath TCP robust for stateless webservers", and what each is drawn from.

Decides names, order, titles, campaigns, sizes, measurements and what says a slide in short. Must not know how
a campaign is run or a slide is drawn. The slides: IETF, Multipath TCP working group;
draft-paasch-mptcp-syncookies-02.
"""

from __future__ import annotations

from testbed.reproduce.needs import LADDERS, NETS, Campaign, Measurement, Slide

LAB = ("mininet",)
FEW_LOSSES = ("vary.paths.*.loss.up=[0, 5, 20]",)

COOKIE_LOSS = Campaign("cookie_loss", "seed/cookie_loss.yaml", quick_sets=FEW_LOSSES, samples=40)
FALLBACK = Campaign("fallback", "seed/fallback.yaml", quick_sets=FEW_LOSSES, quick_nets=NETS, samples=40)
LINUX = Campaign("linux", "seed/linux.yaml", LAB, quick_sets=FEW_LOSSES, quick_nets=LAB, linux=True)
ISN_RECOVERY = Campaign("isn_recovery", "seed/isn_recovery.yaml", quick_sets=FEW_LOSSES)
PIGGYBACK = Campaign("piggyback", "seed/piggyback.yaml", quick_sets=FEW_LOSSES)
OVERTAKING = Campaign(
    "overtaking", "seed/overtaking.yaml", quick_sets=("vary.paths.*.reorder.up=[0, 5, 20]",)
)
FEATURES = Campaign("features", "seed/features.yaml", nets=("sim",), connections={}, quick={})
FEATURES_LINUX = Campaign(
    "features_linux", "seed/features_linux.yaml", LAB, {}, {}, quick_nets=LAB, linux=True
)
FLOOD = Campaign(
    "flood",
    "flood.yaml",
    connections={"sim": 250, "mininet": 250},  # of each of two clients
    quick={"sim": 60},
    # A flooded server keeps a core busy.
    lab_sets=("vary.traffic.attacker.syn_flood=[0, 1000]", "vary.client.profile=[v0, v1]", "jobs=2"),
    quick_sets=(
        "vary.traffic.attacker.syn_flood=[0, 1000]",
        "vary.server.syn_cookies=[off, always]",
        "vary.client.profile=[v0, v1]",
    ),
)
FLOOD_GOODPUT = Campaign(
    "flood_goodput",
    "flood_goodput.yaml",
    connections={"sim": 50, "mininet": 30},  # of each of four runs: bounds of a goodput are over runs
    quick={"sim": 15},
    sets=("repeats=4",),
    lab_sets=("workload.arrivals=2/s", "blocks=1"),
    quick_sets=("vary.paths.*.loss.up=[20]",),
)
HALF_OPEN = Measurement(
    "half_open",
    "memory of half-open connections",
    "testbed.bench.half_open:up_to",
    sizes=(100_000,),
    quick_sizes=(10_000,),
)
OPTIONS = Campaign("options", "seed/options.yaml", nets=("sim",), connections={}, quick={})
FAST_OPEN = Campaign("fast_open", "seed/fast_open.yaml", quick_sets=FEW_LOSSES, samples=40)
FAST_OPEN_TIME = Campaign("fast_open_time", "seed/fast_open_time.yaml")
FAST_OPEN_LINUX = Campaign("fast_open_linux", "seed/fast_open_linux.yaml", LAB, quick_nets=LAB, linux=True)
FAST_OPEN_LINUX_LOSS = Campaign(
    "fast_open_linux_loss", "seed/fast_open_linux_loss.yaml", LAB, quick_nets=(), linux=True
)

SLIDES = (
    Slide(
        "syn_cookies",
        "TCP SYN cookies",
        "What does a server keep of a SYN that nobody completes, with SYN cookies and without?",
        "testbed.figures.seed.syn_cookies:section",
        (LADDERS,),
        (HALF_OPEN,),
        main=("v1, cookies off: bytes per half-open*", "v1, cookies always: bytes allocated*"),
    ),
    Slide(
        "third_ack_loss",
        "Loss of the third ACK",
        "What does a lost third ACK cost plain TCP when the server keeps no state?",
        "testbed.figures.seed.third_ack_loss:section",
        (LADDERS, COOKIE_LOSS),
        main=("hang, server first, *", "hang, client first, 1 segment, *"),
    ),
    Slide(
        "v0_fallback",
        "MPTCP with SYN cookies",
        "What becomes of Multipath TCP as in RFC 6824 when a stateless server loses the third ACK?",
        "testbed.figures.seed.v0_fallback:section",
        (LADDERS, FALLBACK),
        main=("fallback, 1 segment, *", "reset, 10 segments, *"),
    ),
    Slide(
        "reliable_capable",
        "Reliable MP_CAPABLE",
        "Does Multipath TCP outlive the loss of the third ACK when MP_CAPABLE comes with the first data?",
        "testbed.figures.seed.reliable_capable:section",
        (LADDERS, FALLBACK, LINUX, ISN_RECOVERY, PIGGYBACK, OVERTAKING),
        main=("fallback, 1 segment, v0, *", "fallback, 1 segment, draft, *"),
    ),
    Slide(
        "capable_with_dss",
        "Combining MP_CAPABLE with DSS",
        "Why is the first data's option a longer MP_CAPABLE, and not MP_CAPABLE beside a DSS?",
        "testbed.figures.seed.capable_with_dss:section",
        (OPTIONS,),
        main=("timestamps, both keys and the smallest mapping*", "timestamps and the combined option*"),
    ),
    Slide(
        "option_space",
        "Gaining option space in the SYN",
        "What is won when the key no longer travels in the SYN?",
        "testbed.figures.seed.option_space:section",
        (OPTIONS,),
        main=("SYN, v0: *", "SYN, draft: *"),
    ),
    Slide(
        "stateless_server",
        "Stateless web server",
        "What do clients keep of a web server, and of Multipath TCP, while somebody floods it with SYNs?",
        "testbed.figures.seed.stateless_server:section",
        (FLOOD, FLOOD_GOODPUT),
        main=("cookies always, v0, *: fell back, all rates", "cookies always, v1, *: fell back, all rates"),
    ),
    Slide(
        "features",
        "Inclusion into RFC 6824bis",
        "What of the draft is in RFC 8684, and does Linux do it?",
        "testbed.figures.seed.features:section",
        (FEATURES, FEATURES_LINUX),
        main=("draft: features*", "v1: features*"),
    ),
    Slide(
        "fast_open",
        "Multipath TCP and TCP Fast Open",
        "Who may speak when, and what becomes of the key, when the request travels in the SYN?",
        "testbed.figures.seed.fast_open:section",
        (LADDERS, FAST_OPEN, FAST_OPEN_TIME, FAST_OPEN_LINUX, FAST_OPEN_LINUX_LOSS),
        main=("fallback, keys said once, draft, *", "fallback, keys repeated, draft, *"),
    ),
)
