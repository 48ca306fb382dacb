"""The commands of the vendor's quickstart, verbatim but for the host, with real curl."""

import json
import shutil
import subprocess
from typing import Any

import pytest

from serving import Server, serving

URL = "https://api.oursprivacy.com/api/v1"
TRACK = r"""curl -X POST https://api.oursprivacy.com/api/v1/track \
-H "Content-Type: application/json" \
-d '{
"event": "Purchase",
"userId": "user123",
"token": "YOUR_API_KEY",
"properties": {
"amount": 99.99,
"product": "Premium Plan"
}
}'"""
IDENTIFY = r"""curl -X POST https://api.oursprivacy.com/api/v1/identify \
-H "Content-Type: application/json" \
-d '{
"userId": "user123",
"token": "YOUR_API_KEY",
"userProperties": {
"email": "user@example.com",
"firstName": "John",
"lastName": "Doe",
"plan": "premium"
}
}'"""
BACKFILL = r"""curl -X POST https://api.oursprivacy.com/api/v1/track \
-H "Content-Type: application/json" \
-d '{
"event": "Purchase",
"userId": "user123",
"token": "YOUR_API_KEY",
"time": 1754874909594
}'"""

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")


def run(command: str, server: Server) -> Any:
    command = command.replace(URL, f"{server.url}/api/v1") + ' -s -w "\n%{http_code}"'
    output = subprocess.run(["sh", "-c", command], capture_output=True, check=True, text=True, timeout=30)
    body, status = output.stdout.rsplit("\n", 1)
    return int(status), json.loads(body)


@pytest.mark.rule("unknown-keys", "time-window")
def test_the_three_commands_are_answered_200_and_the_hints_name_what_is_lost() -> None:
    with serving(now="2025-08-11T01:15:10Z") as server:
        for command in (TRACK, IDENTIFY, BACKFILL):
            assert run(command, server) == (200, {"success": True})
        events = server.default.events()
        hints = [hint["path"] for event in reversed(events) for hint in event["hints"]]
        assert hints == [
            "/properties",
            "/userProperties/firstName",
            "/userProperties/lastName",
            "/userProperties/plan",
        ]
        assert [(event["event"], event["time"]) for event in events] == [
            ("$identify", 1754874910000),
            ("Purchase", 1754874910000),
            ("Purchase", 1754874909594),
        ]
        visitor = server.default.visitor()
        assert (visitor["visitor_id"], visitor["properties"]) == ("user123", {"email": "user@example.com"})


@pytest.mark.rule("time-window")
def test_by_todays_clock_the_backfill_is_too_old(server: Server) -> None:
    assert run(BACKFILL, server) == (400, {"success": False})
