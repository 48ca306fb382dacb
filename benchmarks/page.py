"""How quick the page is in Chromium: until its first rows, and while events arrive. Prints a table for the docs."""

import argparse
import http.client
import json
import shutil
import signal
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from filling import event, fill
from report import emulator_version, load_average, machine, say, table, verdict
from servers import EMULATOR, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_LOADS = 5
_PER_SECOND = 200
_FIRST_ROWS_MS = 300
_FRAME_MS = 100
_MOST_ROWS = 500
_PATIENCE_MS = 30_000
_WATCH = """
  new MutationObserver((_, observer) => {
    if (!document.querySelector(".rows li")) return;
    observer.disconnect();
    requestAnimationFrame(() => { window.firstRows = performance.now(); });
  }).observe(document, { childList: true, subtree: true });
"""
_COUNT = """
  window.frames_ms = []; window.redraws = []; window.mostRows = 0;
  let last = performance.now(), changes = 0;
  new MutationObserver(() => { changes += 1; }).observe(document.querySelector(".rows"), { childList: true });
  const frame = (now) => {
    window.frames_ms.push(now - last);
    window.redraws.push(changes);
    window.mostRows = Math.max(window.mostRows, document.querySelectorAll(".rows li").length);
    last = now; changes = 0;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
"""


@dataclass(frozen=True, slots=True)
class Frames:
    """What was seen while events arrived: how long frames took, how often the list changed in one, and its rows."""

    milliseconds: list[float]
    most_redraws: int
    most_rows: int
    sent: int


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000, help="events to store [default: 10,000]")
    parser.add_argument("--seconds", type=int, default=10, help="how long events arrive [default: 10]")
    options = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("page: chromium not found; install it")
    # As Ctrl-C does it: every block is left, so every process is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    before = load_average()
    try:
        text = _measured(chromium, options.events, options.seconds)
    except KeyboardInterrupt:
        sys.exit(130)
    print(f"{emulator_version()}; {machine()}; {before} before the run.\n\n{text}")


def _measured(chromium: str, events: int, seconds: int) -> str:
    """Return the table."""
    from playwright.sync_api import sync_playwright

    with running((*EMULATOR, "--log-format", "none")) as server:
        say(f"storing {events:,} events")
        # Before Playwright starts, which runs an event loop in this thread.
        fill(server.port, events, rows=1000)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            url = f"http://127.0.0.1:{server.port}/"
            say(f"loading the page {_LOADS} times")
            loads = [_first_rows(browser, url) for _ in range(_LOADS)]
            say(f"watching it for {seconds} s")
            frames = _frames(browser, url, server.port, events, seconds)
            version = browser.version
            browser.close()
    return f"Chromium {version}\n\n{_table(events, loads, frames)}"


def _table(events: int, loads: list[float], frames: Frames) -> str:
    ordered = sorted(frames.milliseconds)
    shown = f"while {_PER_SECOND} events a second arrive"
    first, longest = median(loads), ordered[-1]
    rows = [
        ["first rows, median", f"{first:,.0f} ms", verdict(first, _FIRST_ROWS_MS, at_most=True)],
        [f"longest frame {shown}", f"{longest:,.0f} ms", verdict(longest, _FRAME_MS, at_most=True)],
        ["99 of 100 frames", f"{ordered[len(ordered) * 99 // 100]:,.0f} ms", ""],
        [
            "most redraws of the list in a frame",
            str(frames.most_redraws),
            verdict(frames.most_redraws, 1, at_most=True),
        ],
        ["most rows in the document", str(frames.most_rows), verdict(frames.most_rows, _MOST_ROWS, at_most=True)],
        ["events sent meanwhile", f"{frames.sent:,}", ""],
    ]
    return table(["", f"{events:,} events stored", "target"], rows, [False, True, False])


def _first_rows(browser: "Browser", url: str) -> float:
    """Return after how many milliseconds the first rows are drawn, with nothing in the cache."""
    with _opened(browser, url) as page:
        return float(page.evaluate("window.firstRows"))


def _frames(browser: "Browser", url: str, port: int, events: int, seconds: int) -> Frames:
    """Watch the page while events arrive."""
    ended = threading.Event()
    sent: list[int] = []
    sender = threading.Thread(target=_send, args=(port, events, ended, sent))
    with _opened(browser, url) as page:
        page.get_by_role("button", name="Live").wait_for()
        page.evaluate(_COUNT)
        sender.start()
        page.wait_for_timeout(seconds * 1000)
        ended.set()
        sender.join()
        milliseconds, redraws, rows = page.evaluate("[window.frames_ms, window.redraws, window.mostRows]")
    return Frames(milliseconds, max(redraws), rows, len(sent))


@contextmanager
def _opened(browser: "Browser", url: str) -> "Generator[Page]":
    """Give the page in a browser session of its own, once its first rows are drawn."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    page = context.new_page()
    page.add_init_script(_WATCH)
    page.goto(url)
    page.wait_for_selector(".rows li", timeout=_PATIENCE_MS)
    while page.evaluate("window.firstRows") is None:
        page.wait_for_timeout(10)
    yield page
    context.close()


def _send(port: int, first: int, ended: threading.Event, sent: list[int]) -> None:
    """Send events at an even pace until *ended*, and note each in *sent*."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    began = time.perf_counter()
    while not ended.wait(max(0, began + len(sent) / _PER_SECOND - time.perf_counter())):
        body = json.dumps({"token": "t", **event(first + len(sent))})
        connection.request("POST", "/track", body, {"content-type": "application/json"})
        connection.getresponse().read()
        sent.append(first)
    connection.close()


if __name__ == "__main__":
    main()
