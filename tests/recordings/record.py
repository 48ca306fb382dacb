"""Record what the program answers, or show where that differs from what is recorded.

    PYTHONPATH=tests python -m recordings.record                    send the requests of cases.py, show the differences
    PYTHONPATH=tests python -m recordings.record --write            and write all answers
    PYTHONPATH=tests python -m recordings.record --write NAME...    and write only those whose names begin so
    ... --program PATH                                              ask that `ours-emulator` instead of this one

A change that means to change an answer records that answer again, so that the difference of `answers.jsonl` shows which
lines changed and nothing else. With NAMEs it fails if anything else differs. New and removed cases of cases.py, and
changed requests, are always written.
"""

import argparse
import difflib
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from recordings.cases import recordings
from recordings.exchange import ANSWERS, Answer, Exchange, Recording, exchange, read_answers, write_answers

PATIENCE = 30


def main(arguments: Sequence[str] | None = None) -> int:
    """Record; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--program", default="")
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args(arguments)
    command = [asked.program] if asked.program else [sys.executable, "-m", "ours_emulator"]
    before = {it.name: it for it in read_answers()} if ANSWERS.exists() else {}
    result: list[Recording] = []
    unexpected = 0
    for cases in recordings():
        known = {it.name: it for it in before[cases.name].exchanges if not it.setup} if cases.name in before else {}
        recording = record(cases, command)
        for index, now in enumerate(recording.exchanges):
            then = known.pop(now.name, None)
            if then is None or then == now:
                if then is None and not now.setup:
                    print(f"== {cases.name}: {now.name} is new")
                continue
            print("\n".join(difference(f"{cases.name}: {now.name}", then, now)))
            if asked.names and then.request == now.request and not now.name.startswith(tuple(asked.names)):
                # What was not asked for stays as it is recorded, and the test goes on failing.
                recording.exchanges[index] = then
                unexpected += 1
        for name in known:
            print(f"== {cases.name}: {name} is gone")
        result.append(recording)
    if asked.write:
        write_answers(result)
    if unexpected:
        print(f"{unexpected} answers differ that were not named", file=sys.stderr)
    return 1 if unexpected else 0


def record(recording: Recording, command: Sequence[str]) -> Recording:
    """Return *recording* with the answers of a new process of *command*."""
    with running(command, recording.settings) as address:
        return Recording(recording.name, recording.settings, list(replayed(recording.exchanges, address)))


def replayed(exchanges: Sequence[Exchange], address: tuple[str, int]) -> Generator[Exchange]:
    """Send *exchanges* and yield them with the answers that came. Raises ValueError if a setup is refused."""
    for it in exchanges:
        answer = exchange(address, it.request)
        if not it.setup:
            yield Exchange(it.name, it.request, answer)
        elif 200 <= answer.status < 300:
            yield it
        else:
            raise ValueError(f"{it.name} was answered {answer.status} {answer.body.decode()}")


def difference(title: str, then: Exchange, now: Exchange) -> list[str]:
    """Return what changed in an answer, line by line."""
    before = then.answer or Answer(0)
    after = now.answer or Answer(0)
    lines = difflib.unified_diff(before.lines(), after.lines(), "recorded", "now", lineterm="", n=100)
    return [f"== {title}: {now.request}", *(line[:500] for line in lines)]


@contextmanager
def running(command: Sequence[str], settings: Mapping[str, Any]) -> Generator[tuple[str, int]]:
    """Run `serve` with *settings* on a free port until the block ends; yield its address."""
    with tempfile.TemporaryDirectory() as directory:
        port_file = Path(directory, "port")
        flags = ["--port", "0", "--port-file", str(port_file), "--log-format", "none"]
        flags += [flag for name, value in settings.items() for flag in _flags(name, value)]
        process = subprocess.Popen([*command, "serve", *flags], stdout=subprocess.DEVNULL, cwd=directory)
        try:
            deadline = time.monotonic() + PATIENCE
            while not port_file.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command} did not start")
                time.sleep(0.02)
            yield "127.0.0.1", int(port_file.read_text())
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _flags(name: str, value: Any) -> list[str]:
    spelled = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{spelled}" if value else f"--no-{spelled}"]
    return [f"--{spelled}", ",".join(cast(list[str], value)) if isinstance(value, list) else str(value)]


if __name__ == "__main__":
    sys.exit(main())
