"""What a tracking plan costs: batches of 1,000 rows that fit it beside the same without a plan, in turns.

Prints a table for docs/performance.md.
"""

import argparse
import http.client
import json
from contextlib import closing
from statistics import median

from load import CLIENT, Load, requests_per_second
from report import each_ratio, emulator_version, load_average, machine, ratio, say, spread, table, verdict
from servers import EMULATOR, running

_ROWS = 1000
_MOST = 1.5
_TEXT = {"type": "string", "minLength": 1}
_PLAN = {
    "events": {
        "Order Completed": {
            "properties": {
                "order": {"type": "string", "pattern": "^A-[0-9]+$"},
                "product": _TEXT,
                "currency": {"enum": ["EUR", "USD"]},
                "amount": _TEXT,
            },
            "required": ["order", "amount"],
            "additionalProperties": False,
        }
    },
    "visitor": {"properties": {"first_name": _TEXT, "city": _TEXT}},
}


def _configure(port: int, account: str, settings: dict[str, object]) -> None:
    """Open *account* with *settings*. Raises RuntimeError if the emulator refuses them."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        headers = {"content-type": "application/json"}
        connection.request("PUT", f"/debug/accounts/{account}", json.dumps(settings), headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(answer.read().decode())


def _rates(rounds: int, seconds: int) -> tuple[list[float], list[float]]:
    """Return the rows per second of each round, without a plan and with one."""
    without, planned = list[float](), list[float]()
    with running(EMULATOR) as server:
        _configure(server.port, "plain", {})
        _configure(server.port, "planned", {"tracking_plan": _PLAN})
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for account, rates in (("plain", without), ("planned", planned)):
                load = Load(f"/accounts/{account}/batch", 1, _ROWS)
                rates.append(requests_per_second(server.port, load, seconds) * _ROWS)
    return without, planned


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="[default: 5]")
    parser.add_argument("--seconds", type=int, default=3, help="length of one run [default: 3]")
    options = parser.parse_args()
    before = load_average()
    without, planned = _rates(options.rounds, options.seconds)
    cost = ratio(without, planned)
    head = ("", "without a plan", "with one", "time, with / without", "target", "in each round")
    row = (
        f"`/batch` of {_ROWS:,} rows that fit the plan",
        f"{median(without):,.0f} rows/s",
        f"{median(planned):,.0f} rows/s",
        f"{cost:.2f}",
        verdict(cost, _MOST, at_most=True),
        spread(each_ratio(without, planned)),
    )
    print(f"{emulator_version()}; {machine(CLIENT)}; {before} before the run.\n")
    print(table(head, [row], (False, True, True, True, False, True)))


if __name__ == "__main__":
    main()
