"""What schemathesis is told before each call, in the process of its own that test_schemathesis runs it in."""

from typing import Any, cast

import schemathesis
from pydantic import JsonValue
from schemathesis import GenerationMode

from ours_emulator.javascript import WHITE_SPACE

TOKEN = "pinned"
TRIMMED = ("event", "externalId", "email", "distinctId")


def before_call(_context: Any, case: Any, _arguments: Any) -> None:
    """Pin the token, unless it is what is wrong, and say what the document asks for only in words."""
    body: JsonValue = case.body
    if not isinstance(body, dict):
        return
    token = body.get("token")
    if isinstance(token, str) and 1 <= len(token) <= 250:
        body["token"] = TOKEN
    if case.meta.generation.mode is GenerationMode.POSITIVE:
        for message in cast(list[dict[str, Any]], body.get("events", [body])):
            # Rule identifier: one of the three is needed. Rule time-window: the last seven days.
            message["userId"] = message.get("userId") or "user"
            message["time"] = None
            for name in TRIMMED:
                # Rule trimming: what is blank counts as empty, from revision 2026-10 on.
                if isinstance(message.get(name), str) and not message[name].strip(WHITE_SPACE):
                    message[name] = "x"
            # Rule batch-token: a row may carry no other token than its batch.
            if message is not body:
                message.pop("token", None)


cast(Any, schemathesis).hook(before_call)
