"""Every command: what it prints, and how it ends for bad input."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.errors import MachineError
from tests.cli.conftest import Done

Testbed = Callable[..., Done]
ROOT = Path(__file__).parents[2]
EXPERIMENT = ROOT / "experiments" / "fallback.yaml"
SMALL = [
    "--set",
    "connections=20",
    "--set",
    "vary.paths.*.loss.up=[0, 20]",
    "--set",
    "vary.client.profile=[v0, v1]",
]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small experiment that has been run in the simulator."""
    out = tmp_path_factory.mktemp("cli") / "out"
    command = [
        sys.executable,
        "-P",
        "-m",
        "testbed.cli",
        "run",
        str(EXPERIMENT),
        "--net",
        "sim",
        "--out",
        str(out),
        *SMALL,
    ]
    subprocess.run(command, check=True, capture_output=True)
    return out


def test_run_writes_the_files_of_the_contract(output: Path) -> None:
    for name in ("experiment.yaml", "environment.json", "connections.parquet", "summary.csv", "report.html"):
        assert (output / name).stat().st_size > 0, name
    assert sorted(path.name for path in (output / "runs").iterdir()) == [
        "000-v0-0",
        "001-v0-20",
        "002-v1-0",
        "003-v1-20",
    ]
    for directory in (output / "runs").iterdir():
        assert (directory / "record.json").exists()
    head = (output / "summary.csv").read_text().splitlines()[0].split(",")
    for column in ("client.profile", "paths.*.loss.up", "connections"):
        assert column in head
    for column in ("fallback", "fallback_rate", "fallback_low", "fallback_high"):
        assert column in head


def test_run_again_prints_the_same_and_runs_nothing(testbed: Testbed, output: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in output.rglob("record.json")}
    done = testbed("run", EXPERIMENT, "--net", "sim", "--out", output, *SMALL)
    assert done.status == 0
    assert f"figure   {output / 'fallback_by_loss.png'}" in done.out
    assert f"report   {output / 'report.html'}" in done.out
    assert done.out.startswith("client.profile")
    assert {path: path.stat().st_mtime_ns for path in output.rglob("record.json")} == before


def test_the_resolved_experiment_runs_again_byte_for_byte(
    testbed: Testbed, output: Path, tmp_path: Path
) -> None:
    done = testbed("run", output / "experiment.yaml", "--out", tmp_path / "again")
    assert done.status == 0, done.err
    for name in ("record.json", "rows.json"):
        for file in output.rglob(name):
            assert (tmp_path / "again" / file.relative_to(output)).read_bytes() == file.read_bytes()


def test_another_experiment_in_the_same_directory(testbed: Testbed, output: Path) -> None:
    done = testbed("run", EXPERIMENT, "--net", "sim", "--out", output, *SMALL, "--set", "seed=2")
    assert done.status == 2
    assert "seed: 1 there, 2 now" in done.err


def test_results_and_report(testbed: Testbed, output: Path) -> None:
    assert testbed("results", output).out.count("\n") == 6
    assert testbed("results", output, "--csv").out.count("\n") == 81
    assert testbed("results", output, "--parquet").out.strip() == str(output / "connections.parquet")
    assert testbed("results", output, "--parquet", "--paths").out.strip() == str(output / "paths.parquet")
    rows = testbed("results", output, "--paths").out.splitlines()
    assert len(rows) == 81
    assert rows[0].startswith("cell,run,client.profile,paths.*.loss.up,connection,subflow,path,")
    assert testbed("report", output).out.strip() == str(output / "report.html")


def test_trace_and_ladder_of_a_lost_third_ack(testbed: Testbed, tmp_path: Path) -> None:
    """A capture of the simulator, from the experiment file to the reason on the ladder."""
    sets = ["vary={}", "client.profile=v0", "connections=1", "paths.*.drop.up=third_ack", "capture=true"]
    flags = [word for text in [*sets, "figures=[]"] for word in ("--set", text)]
    done = testbed("run", EXPERIMENT, "--net", "sim", "--out", tmp_path / "out", *flags)
    assert done.status == 0, done.err
    (capture,) = (tmp_path / "out" / "runs").glob("*/client-r1.pcapng")
    ladder = testbed("ladder", capture)
    assert "MP_CAPABLE" in ladder.out
    assert "dropped: exact: third_ack" in ladder.out
    assert "cookie_without_key" in ladder.out
    assert "closed by fin" in ladder.out
    picture = tmp_path / "ladder.svg"
    assert testbed("ladder", capture, "--svg", picture, "--connection", 1).out == f"{picture}\n"
    assert ">dropped: exact: third_ack</text>" in picture.read_text(encoding="utf-8")
    (line,) = testbed("trace", capture, "--json").out.splitlines()
    traced = json.loads(line)
    assert (traced["profile"], traced["verdict"], traced["reason"]) == (
        "v0",
        "fallback",
        "cookie_without_key",
    )
    assert "1 connection: 1 fallback" in testbed("trace", capture).out
    idle = capture.with_name("client-r2.pcapng")
    for command in ("trace", "ladder"):
        assert testbed(command, idle).out == "no TCP connection in this capture\n"
    assert testbed("trace", idle, "--json").out == ""
    for arguments, message in (
        ((idle, "--svg", picture), f"{idle}: no TCP connection in this capture"),
        ((idle, "--connection", 1), f"{idle}: connection 1: there is none"),
        ((capture, "--connection", 2), f"{capture}: connection 2: expected 1 to 1"),
        ((capture, "--svg", picture, "--width", 100), "width 100: a picture needs 320 px"),
        (
            (capture, "--svg", tmp_path / "no" / "x.svg"),
            f"--svg {tmp_path / 'no' / 'x.svg'}: cannot be written",
        ),
        ((capture, "--svg", tmp_path), f"--svg {tmp_path}: cannot be written: Is a directory"),
    ):
        done = testbed("ladder", *arguments)
        assert (done.status, done.out, done.err.count("\n")) == (2, "", 1), done
        assert message in done.err


def test_trace_json_is_a_line_for_every_connection(testbed: Testbed, tmp_path: Path) -> None:
    sets = ["vary={}", "client.profile=v1", "connections=3", "capture=true", "figures=[]"]
    flags = [word for text in sets for word in ("--set", text)]
    assert testbed("run", EXPERIMENT, "--net", "sim", "--out", tmp_path / "out", *flags).status == 0
    lines = testbed(
        "trace", tmp_path / "out" / "runs" / "000" / "client-r1.pcapng", "--json"
    ).out.splitlines()
    assert [json.loads(line)["profile"] for line in lines] == ["v1"] * 3


def test_model(testbed: Testbed) -> None:
    said = testbed(
        "model", "fallback", "--profile", "v0", "--loss", 5, "--segments", 1, "--syn-retries", 2, "--json"
    )
    assert json.loads(said.out)["fallback"] == pytest.approx(0.05 + 0.95 * 0.05**3)
    assert "fallback  0.050119" in testbed("model", "fallback", "--profile", "v0", "--loss", 5).out
    first = ("model", "fallback", "--profile", "tcp", "--loss", 5, "--segments", 0, "--syns", 6)
    assert "hang      0.050000" in testbed(*first).out
    held = testbed("model", "fallback", "--profile", "v0", "--loss", 0, "--held", 40)
    assert "fallback  0.240000" in held.out
    once = testbed("model", "fallback", "--profile", "v1", "--loss", 20, "--fast-open", "--key-once")
    assert "key lost 0.158976" in once.out
    linux = ("model", "fallback", "--profile", "v1", "--loss", 20, "--linux", "--syns", 3)
    assert (
        "fallback  0.190771  (plain SYN 0.000000, no mapping 0.190771)" in testbed(*linux, "--fast-open").out
    )
    refused = testbed(*linux)
    assert (refused.status, refused.out) == (2, "")
    assert "--linux: goes with --fast-open" in refused.err


def test_explain(testbed: Testbed) -> None:
    done = testbed("explain", "COOKIE_WITHOUT_KEY")
    assert "draft-paasch-mptcp-syncookies-02 §2" in done.out
    assert "testbed/mptcp/fallback.py:" in done.out
    assert "tests/" in done.out
    assert "RFC 8684 §3.3" in testbed("explain", "dss").out
    assert "counter" in testbed("explain", "SyncookiesSent").out
    assert "TCP state" in testbed("explain", "time-wait").out
    for word in ("verdict", "closed_by", "data_fin", "fastclose", "rst", "open", "intact", "pair"):
        assert testbed("explain", word).status == 0, word
    for word in ("fullmesh", "EchoAddTx", "MPJoinSynTx", "AddAddr", "fault", "cut_off", "fast_open"):
        assert "testbed/" in testbed("explain", word).out, word
    assert "data_fin  (closed_by)" in testbed("explain", "closed_by").out
    assert "(counter)" in testbed("explain", "AddAddr").out
    cubic = testbed("explain", "cubic").out
    assert "RFC 9438 §4" in cubic
    assert "testbed/mptcp/cc/cubic.py:" in cubic
    assert "testbed/mptcp/sched/round_robin.py:" in testbed("explain", "round_robin").out
    assert testbed("explain", "schedulers").out.count("(scheduler)") == 3
    near = testbed("explain", "cookie_without")
    assert near.status == 2
    assert "cookie_without_key" in near.err


def test_topo(testbed: Testbed) -> None:
    assert "two_path" in testbed("topo", "list").out
    shown = testbed("topo", "show", "two_path", "--set", "delay=20ms")
    assert "20 ms" in shown.out


def test_doctor(testbed: Testbed) -> None:
    done = testbed("doctor")
    assert done.status in (0, 3)
    assert "namespaces" in done.out
    assert testbed("doctor", "--way").out.strip() in ("root", "user", "sim")


def test_doctor_names_what_is_missing_and_the_remedy(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testbed.doctor.SEARCH", "/nowhere")
    done = testbed("doctor")
    assert done.status == 3
    assert "MISSING  ifconfig" in done.out
    assert "mend: sudo apt-get install net-tools" in done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nothing.yaml"], ["nothing.yaml: no such file"]),
        (
            ["run", EXPERIMENT, "--set", "conections=1"],
            ["conections: unknown key", "did you mean connections?"],
        ),
        (["run", EXPERIMENT, "--set", "paths.*.loss.up=120%"], ["--set paths.*.loss.up=120%", "0 to 100"]),
        (["run", EXPERIMENT, "--set", "topology.name=x"], ["unknown topology 'x'", "two_path"]),
        (["run", EXPERIMENT, "--set", "client.profile=v2"], ["client.profile", "v0, draft, v1 or kernel"]),
        (["run", EXPERIMENT, "--net", "cloud"], ["cloud"]),
        (["run", EXPERIMENT, "--jobs", "0"], ["--jobs"]),
        (["results", "nowhere"], ["nowhere: no finished runs here"]),
        (["report", "nowhere"], ["nowhere: no finished runs here"]),
        (["model", "fallback", "--profile", "v9", "--loss", "1"], ["v0, draft, v1"]),
        (["model", "fallback", "--profile", "v0", "--loss", "120"], ["120 percent"]),
        (["topo", "show", "nowhere"], ["unknown topology 'nowhere'"]),
        (["topo", "show", "two_path", "--set", "speed=1"], ["unknown parameter 'speed'"]),
        (["trace", EXPERIMENT], ["pcap"]),
        (["ladder", "nothing.pcap"], ["nothing.pcap"]),
        (["client", "10.0.0.1"], ["expected ADDR:PORT"]),
        (["client", "10.0.0.1:99999"], ["65535"]),
        (["client", ":80"], ["expected ADDR:PORT"]),
        (["client", "no.such.name.invalid:80"], ["no.such.name.invalid: no address for this name"]),
        (["client", "10.1:80"], ["'10.1'", "IPv4 or IPv6"]),
        (["server", "--timeout", "0"], ["--timeout 0", "seconds above 0"]),
        (["server", "--timeout", "nan"], ["--timeout nan", "seconds above 0"]),
        (["server", "--timeout", "1e400"], ["--timeout inf", "seconds above 0"]),
        (["client", "10.0.0.1:80", "--timeout", "1e300"], ["--timeout 1e+300", "at most"]),
        (["client", "10.0.0.1:80", "--send", "lots"], ["--send lots", "300B"]),
        (["client", "10.0.0.1:80", "--profile", "v9"], ["v9"]),
        (["server", "--profile", "v9"], ["v9", "draft"]),
        (["server", "--serve", "cake"], ["cake"]),
        (["server", "--scheduler", "dice"], ["--scheduler dice", "lowest_rtt"]),
        (["server", "--endpoint", "10.0.2.1 signl"], ["signl", "signal"]),
        (["client", "10.0.0.1:80", "--congestion", "dice"], ["--congestion dice", "cubic"]),
        (["client", "10.0.0.1:80", "--limits", "subflows"], ["subflows", "a number"]),
        (["client", "10.0.0.1:80", "--endpoint", "10.0.2 subflow"], ["10.0.2: expected an IPv4 or IPv6"]),
        (["client", "10.0.0.1:80", "--endpoint", "10.0.2.1 id 900"], ["id 900", "1 to 255"]),
        (["client", "10.0.0.1:80", "--time", "0"], ["--time 0", "seconds above 0"]),
        (["client", "10.0.0.1:80", "--time", "soon"], ["--time", "valid number"]),
        (["client", "10.0.0.1:80", "--time", "5", "--send", "1MB"], ["--time", "leave out --send"]),
        (["client", "10.0.0.1:80", "--time", "5", "--receive", "1MB"], ["--time", "--receive"]),
        (["client", "10.0.0.1:80", "--interval", "-1"], ["--interval -1", "seconds"]),
        (["client", "10.0.0.1:80", "--interval", "nan"], ["--interval nan", "seconds"]),
        (["server", "--receive-buffer", "0"], ["--receive-buffer 0", "256KB"]),
        (["server", "--send-buffer", "much"], ["--send-buffer much", "10KB"]),
        (["server", "--port", "0"], ["port 0", "65535"]),
        (["interop", "5-paths"], ["'5-paths' is no word of a cell", "4-paths"]),
        (["nonsense"], ["nonsense"]),
    ],
)
def test_bad_input_is_status_2_and_one_clear_message(
    testbed: Testbed, arguments: list[object], words: list[str]
) -> None:
    done = testbed(*arguments)
    assert done.status == 2, done
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err, done.err


def test_no_lab_to_be_had_is_status_3_with_advice(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> str:
        raise MachineError("user namespaces are closed here: sudo sysctl kernel.unprivileged_userns_clone=1")

    monkeypatch.setattr("testbed.net.check", refuse)
    done = testbed("run", EXPERIMENT, "--set", "connections=1")
    assert done.status == 3
    assert "--net sim" in done.err
    assert "unprivileged_userns_clone" in done.err


def test_a_kernel_without_mptcp_is_status_3(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")

    monkeypatch.setattr("testbed.linux.node.socket.socket", refuse)
    done = testbed("interop", "--quick")
    assert done.status == 3
    assert "CONFIG_MPTCP" in done.err


@pytest.mark.parametrize(
    ("netem", "status", "words"),
    [(False, 3, "this kernel has no netem.*modprobe sch_netem"), (True, 2, "has netem, but.*not built yet")],
)
def test_kernel_links_are_refused_before_anything_starts(
    testbed: Testbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, netem: bool, status: int, words: str
) -> None:
    monkeypatch.setattr("testbed.net.check", lambda: "root")
    monkeypatch.setattr("testbed.net.has_netem", lambda: netem)
    done = testbed("run", EXPERIMENT, "--links", "kernel", "--out", tmp_path / "out")
    assert done.status == status
    assert re.search(words, done.err)
    assert not (tmp_path / "out").exists()


def test_ctrl_c_is_130_and_the_next_call_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    sets = ["--set", "connections=20000", "--set", "workload.arrivals=400/s"]
    command = [
        sys.executable,
        "-P",
        "-m",
        "testbed.cli",
        "run",
        str(EXPERIMENT),
        "--net",
        "sim",
        "--out",
        str(out),
        *sets,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    log = out / "runs" / "000-v0-0" / "run.log"
    while not log.exists():
        assert process.poll() is None
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "the same command goes on" in err
    assert "Traceback" not in err
    assert not list(out.rglob("*.partial"))
    assert not list(out.rglob("record.json"))


def test_a_reader_that_leaves_early_is_no_error(output: Path) -> None:
    command = f"{sys.executable} -P -m testbed.cli results {output} --csv | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.stdout.startswith("cell,run,client.profile")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bench", "paths", "--size", "foo"], "--size foo: expected a size such as 300B"),
        (["bench", "paths", "--size", "0"], "--size 0: 64KiB or more"),
        (["bench", "datapath", "--size", "foo"], "--size foo: expected a size"),
        (["bench", "datapath", "--linux-size", "1KB"], "--linux-size 1000: 64KiB or more"),
        (["interop", "--out", "/nonexistent/x.md"], "--out /nonexistent/x.md: there is no directory"),
        (["interop", "--out", "/"], "--out /: a directory"),
    ],
)
def test_a_wrong_flag_is_named_at_once(testbed: Testbed, words: list[str], said: str) -> None:
    done = testbed(*words)
    assert done.status == 2
    assert said in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("words", [["explain", "v0"], ["topo", "show", "two_path"]])
def test_a_full_device_is_said(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "testbed.cli", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (1, "testbed: No space left on device\n")


def test_ctrl_c_is_said(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("testbed.bench.paths.measure", interrupted)
    done = testbed("bench", "paths")
    assert (done.status, done.err) == (130, "testbed: interrupted\n")
