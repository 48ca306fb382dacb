"""The output of a real server: whoever reads it, or does not, the server answers and ends; JSON is JSON throughout."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
import pytest

from test_cli import COMMAND, environment
from waiting import PATIENCE, until

LONG = "E" * 900
USER = "U" * 390
MANY = 1000
"""With names as long, more than a pipe and the memory for lines take."""
DROPPED = re.compile(r"WARNING (\d+) lines? of the log dropped")


@contextmanager
def serving(
    tmp_path: Path, *flags: str, stdout: int | IO[bytes], command: Sequence[str] = COMMAND
) -> Generator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """Run `serve` with this standard output; yield its process and a client for it."""
    port_file = tmp_path / "port"
    process = subprocess.Popen(
        [*command, "serve", "--port", "0", "--port-file", str(port_file), *flags],
        stdout=stdout,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=environment(tmp_path),
    )
    try:
        until(lambda: port_file.exists() or process.poll() is not None)
        assert process.poll() is None
        url = f"http://127.0.0.1:{int(port_file.read_text())}"
        with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as http:
            yield process, http
    finally:
        process.kill()
        process.communicate()


def track(http: httpx.Client, event: str) -> int:
    return http.post("/track", json={"token": "t", "event": event, "userId": USER}).status_code


def ended(process: subprocess.Popen[bytes]) -> bool:
    """Stop *process*, and tell whether it ended as a process does that ends because of the signal."""
    process.send_signal(signal.SIGTERM)
    return process.wait(PATIENCE) == -signal.SIGTERM


def test_a_pipe_that_nobody_reads_stops_neither_answers_nor_the_end(tmp_path: Path) -> None:
    with serving(tmp_path, stdout=subprocess.PIPE) as (process, http):
        assert {track(http, LONG) for _ in range(MANY)} == {200}
        assert http.get("/debug/health").status_code == 200
        assert ended(process)


def test_what_a_late_reader_missed_is_counted_and_the_rest_is_in_order(tmp_path: Path) -> None:
    with serving(tmp_path, stdout=subprocess.PIPE) as (process, http):
        assert {track(http, LONG) for _ in range(MANY)} == {200}
        assert process.stdout
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line.decode())
            if DROPPED.match(lines[-1]):
                break
        ids = [int(match[1]) for line in lines if (match := re.match(r"ACCEPTED 200 POST /track #(\d+) ", line))]
        dropped = DROPPED.match(lines[-1])
        assert dropped
        assert ids == list(range(1, MANY - int(dropped[1]) + 1))
        # From here on nothing is dropped any more.
        track(http, "Purchase")
        assert process.stdout.readline() == f"ACCEPTED 200 POST /track #{MANY + 1} Purchase visitor={USER}\n".encode()


def test_an_output_that_takes_nothing_does_not_keep_it_from_starting(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as broken, Path("/dev/full").open("wb", buffering=0) as full:
        closed = ["sh", "-c", 'exec "$0" "$@" >&-', *COMMAND]
        for stdout, command in ((broken, COMMAND), (full, COMMAND), (full, closed)):
            with serving(tmp_path, stdout=stdout, command=command) as (process, http):
                assert track(http, "Purchase") == 200
                assert ended(process)
                assert process.stderr
                assert process.stderr.read() == b""
            (tmp_path / "port").unlink()


def test_without_standard_error_it_serves_too(tmp_path: Path) -> None:
    closed = ["sh", "-c", 'exec "$0" "$@" >&- 2>&-', *COMMAND]
    with serving(tmp_path, stdout=subprocess.DEVNULL, command=closed) as (process, http):
        assert track(http, "Purchase") == 200
        assert ended(process)


def test_lines_written_just_before_the_end_are_there(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out, serving(tmp_path, stdout=out) as (process, http):
        for _ in range(100):
            track(http, "Purchase")
        assert ended(process)
        assert (tmp_path / "out").read_text().count(f"Purchase visitor={USER}\n") == 100


def test_every_line_for_programs_is_json_the_banner_too(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out, serving(tmp_path, "--log-format", "json", stdout=out) as (process, http):
        track(http, "Purchase")
        http.post("/batch", json={"token": "t", "events": [{"event": "A", "userId": "u", "distinctId": "1"}, {}]})
        http.get("/nothing", headers={"host": "example.com"})
        assert ended(process)
    banner, accepted, partly, refused = map(json.loads, (tmp_path / "out").read_text().splitlines())
    for line in (banner, accepted, partly, refused):
        assert {"time", "level", "message"} <= line.keys()
    assert (banner["level"], banner["url"]) == ("info", str(http.base_url))
    assert (accepted["level"], accepted["event_ids"]) == ("info", [1])
    assert accepted["message"] == f"ACCEPTED 200 POST /track #1 Purchase visitor={USER}"
    assert (partly["level"], partly["event_ids"], partly["events"]) == ("warning", [2, 3], 2)
    assert accepted["duration_ms"] > 0
    assert (refused["level"], refused["event_ids"], refused["duration_ms"]) == ("warning", [], None)


SCRIPT = f"""
import http.client, json
from ours_emulator.emulator import run_emulator
with run_emulator(log_format="human") as emulator:
    connection = http.client.HTTPConnection(emulator.url.removeprefix("http://"))
    for _ in range(200):
        body = json.dumps({{"token": "t", "event": "{LONG}", "userId": "u"}})
        connection.request("POST", "/track", body, {{"content-type": "application/json"}})
        assert connection.getresponse().read() == b'{{"success":true}}'
print("done")
"""


def test_the_log_of_a_test_runs_emulator_never_stops_it_either(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(tmp_path)
    )
    try:
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        out, err = process.communicate()
    assert out == b"done\n"
    assert err.startswith(b"ACCEPTED 200 POST /track #1 E")


@pytest.mark.parametrize("content", ["port = [[[[[[" + "[" * 5000, "port = " + "1" * 5000, "port = = 1", "\x00"])
def test_a_broken_file_of_settings_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "bad.toml").write_text(content)
    done = subprocess.run(
        [*COMMAND, "serve", "--config", "bad.toml"], cwd=tmp_path, env=environment(tmp_path), capture_output=True
    )
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.splitlines()
    assert line.startswith(b"ours-emulator: bad.toml is not valid TOML: ")
