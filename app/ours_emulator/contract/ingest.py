"""The Ingest API: /track, /identify and /batch from a request to arrivals, and from receipts to the answer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property
from typing import cast

from pydantic import JsonValue

from ours_emulator.contract import body, hints
from ours_emulator.contract.compile import Body, Problem, Schema, Valid, compile_body, pointer, request_schemas
from ours_emulator.jsontext import json_text
from ours_emulator.model import (
    Account,
    Answer,
    ApiSemantics,
    Arrival,
    Claim,
    Identifier,
    Identity,
    Message,
    Properties,
    Receipt,
    Rejection,
    Request,
    Source,
)
from ours_emulator.records import Hint, Reason, dotted
from ours_emulator.values import value

ENDPOINTS = ("track", "identify", "batch")
_ALLOWED = dict.fromkeys(ENDPOINTS, "POST, OPTIONS") | {"openapi": "GET, HEAD, OPTIONS"}
IDENTIFY_EVENT = "$identify"
TEST_PREFIX = "test_"
WINDOW_MS = 7 * 24 * 60 * 60 * 1000

_SEMANTICS = ApiSemantics()
_ALWAYS_LISTED = ApiSemantics(allow_list=False)
_SINGLE = body.Statuses(media_type=400, coding=400, size=400)
_BATCH = body.Statuses(media_type=415, coding=415, size=413)
_CLAIMS: tuple[tuple[str, Identifier], ...] = (
    ("userId", "user_id"),
    ("externalId", "external_id"),
    ("email", "email"),
)
_PROPERTY_CLAIMS: tuple[Identifier, ...] = ("external_id", "email")


@value
class Limits:
    """The largest body and the largest batch row, in bytes."""

    body: int = 5 * 1024 * 1024
    row: int = 1024 * 1024


class _Bodies:
    """The bodies of the three endpoints, compiled from the vendor's document."""

    def __init__(self, *, strict_openapi: bool) -> None:
        schemas = request_schemas()
        batch = schemas["batch"].properties
        self.max_rows = cast(int, batch["events"].max_items)
        self.single = {
            endpoint: compile_body(schemas[endpoint], strict_openapi=strict_openapi)
            for endpoint in ("track", "identify")
        }
        row = compile_body(cast(Schema, batch["events"].items), strict_openapi=strict_openapi)
        # A row may repeat the token of its batch; that is no unknown key.
        self.row = replace(row, shape=replace(row.shape, known=row.shape.known | {"token"}))
        envelope = replace(schemas["batch"], properties={"token": batch["token"]})
        compiled = compile_body(envelope, strict_openapi=strict_openapi)
        self.envelope = replace(compiled, shape=replace(compiled.shape, known=frozenset(batch)))


@value
class _Context:
    """What every row of one request shares."""

    endpoint: str
    account: Account
    received_at: int
    bodies: _Bodies


class IngestContract:
    """The rules of /track, /identify and /batch, compiled once from the vendor's document."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lenient = _Bodies(strict_openapi=False)

    @cached_property
    def _strict(self) -> _Bodies:
        return _Bodies(strict_openapi=True)

    def arrivals(self, request: Request, account: Account) -> list[Arrival]:
        """Return what *request* says, row by row; a refused request is one rejection."""
        allowed = _ALLOWED.get(request.endpoint)
        if allowed is None:
            return [Rejection(request.endpoint, None, Reason("methods", "", _no_such(request.path), 404))]
        if request.endpoint == "openapi" or request.method != "POST":
            message = f"this path takes {allowed}, not {request.method}"
            return [Rejection(request.endpoint, None, Reason("methods", "", message, 405))]
        if request.endpoint == "batch":
            return self._batch(request, account)
        return [self._single(request, account)]

    def answer(self, receipts: Sequence[Receipt]) -> Answer:
        """Return the HTTP answer when the arrivals of a request became *receipts* (rules bodies, batch-*)."""
        first = receipts[0].arrival
        if first.batch_index is not None:
            return _batch_answer(receipts)
        if not isinstance(first, Rejection):
            return _SUCCESS
        headers = {"allow": _ALLOWED[first.endpoint]} if first.status == 405 else {}
        error: Properties = {"error": first.reason.sentence} if first.endpoint == "batch" else {}
        if first.endpoint == "batch" and first.reason.limit is not None:
            error["limit"] = first.reason.limit
        return _json(first.status, {"success": False, **error}, headers)

    def failure(self, request: Request, status: int | None, error: str) -> Answer:
        """Return the HTTP answer when *request* got no further, and why; without *status*, that of a failed store.

        An outage of /batch says that it is worth a retry (rule 429-500).
        """
        status = status or 500
        retryable: Properties = {"retryable": True} if status >= 500 else {}
        details: Properties = {"error": error, **retryable} if request.endpoint == "batch" else {}
        return _json(status, {"success": False, **details})

    def token(self, request: Request) -> str | None:
        """Return the token in the body of *request*, if there is one."""
        value = body.unpacked(request, _SINGLE, self._limits.body)
        token = value.get("token") if isinstance(value, dict) else None
        return token if isinstance(token, str) else None

    def _single(self, request: Request, account: Account) -> Arrival:
        """Check in the contract's order: parse, token missing, schema, token known, identifier, time."""
        context = self._context(request, account)
        value = body.read(request, _SINGLE, self._limits.body)
        if isinstance(value, Reason):
            return Rejection(request.endpoint, None, value)
        if not isinstance(value, dict):
            return Rejection(request.endpoint, None, Reason("malformed", "", "the body is not an object", 400))
        compiled = context.bodies.single[request.endpoint]
        if value.get("token") in (None, ""):
            return _refuse(context, None, value, _missing_token(request, "required", 401), compiled)
        valid = compiled.check(value)
        if isinstance(valid, Problem):
            return _refuse(context, None, value, Reason("schema", valid.path, valid.message, 400), compiled)
        sender = source(account, valid["token"])
        if sender is None:
            return _refuse(context, None, value, _unknown_token(value, account), compiled)
        return _message(context, compiled, value, valid, sender, None)

    def _batch(self, request: Request, account: Account) -> list[Arrival]:
        context = self._context(request, account)
        envelope = context.bodies.envelope
        value = body.read(request, _BATCH, self._limits.body)
        if isinstance(value, Reason):
            return [Rejection("batch", None, value)]
        if not isinstance(value, dict):
            return [Rejection("batch", None, Reason("malformed", "", "the body is not an object", 400))]
        ignored = tuple(hints.unknown_keys(envelope.shape, value))
        problem = _envelope_problem(request, envelope, value) or self._size_problem(context.bodies.max_rows, value)
        if problem is not None:
            return [Rejection("batch", None, problem, hints=ignored)]
        sender = source(account, cast(str, value["token"]))
        if sender is None:
            return [Rejection("batch", None, _unknown_token(value, account), hints=ignored)]
        rows = cast(list[JsonValue], value["events"])
        mismatch = _row_token_problem(sender.token, rows)
        if mismatch is not None:
            return [Rejection("batch", None, mismatch, hints=ignored)]
        first, *rest = (_batch_row(context, index, row, sender) for index, row in enumerate(rows))
        beside = (Hint(it.rule, "", f"beside `events`, {dotted(it.path)}: {it.message}") for it in ignored)
        return [replace(first, hints=(*beside, *first.hints)), *rest]

    def _context(self, request: Request, account: Account) -> _Context:
        bodies = self._strict if account.strict_openapi else self._lenient
        return _Context(request.endpoint, account, request.received_at, bodies)

    def _size_problem(self, max_rows: int, value: Properties) -> Reason | None:
        """Return what makes the batch too large (rules batch-limit, batch-row-size)."""
        rows = cast(list[JsonValue], value["events"])
        if len(rows) > max_rows:
            message = f"the batch has more than {max_rows} events"
            return Reason("batch-limit", "/events", message, 413, max_rows)
        most = self._limits.row
        if _weight(rows) > most:
            for index, row in enumerate(rows):
                if _weight(row) > most:
                    message = f"the event is larger than {most} bytes"
                    return Reason("batch-row-size", pointer("events", index), message, 413, most)
        return None


def _no_such(path: str) -> str:
    close = get_close_matches(path.rpartition("/")[2], _ALLOWED, n=1)
    return "there is no such path" + (f"; did you mean {close[0]}?" if close else "")


def _missing_token(request: Request, message: str, status: int) -> Reason:
    """Return why *request* names no source; many put the token where other APIs have it (rule body-token)."""
    elsewhere = "; the Authorization header is not looked at" if request.authorization else ""
    return Reason("missing-token", "/token", message + elsewhere, status)


def _envelope_problem(request: Request, envelope: Body, value: Properties) -> Reason | None:
    """Return why no row of the batch can be looked at (rules missing-token, schema, batch-events)."""
    if value.get("token") in (None, ""):
        return _missing_token(request, "missing `token`", 400)
    checked = envelope.check(value)
    if isinstance(checked, Problem):
        return Reason("schema", checked.path, checked.message, 400)
    rows = value.get("events")
    if not isinstance(rows, list) or not rows:
        return Reason("batch-events", "/events", "missing or empty `events`", 400)
    return None


def _batch_row(context: _Context, index: int, row: JsonValue, sender: Source) -> Arrival:
    compiled = context.bodies.row
    valid = compiled.check(row)
    if isinstance(valid, Problem):
        reason = Reason("schema", valid.path, valid.message, 400)
        return _refuse(context, index, row, reason, compiled)
    return _message(context, compiled, cast(Properties, row), valid, sender, index)


def source(account: Account, token: str) -> Source | None:
    """Return the source that *token* is for *account*; None if it is refused (rules open-tokens, test-mode)."""
    live = token.removeprefix(TEST_PREFIX)
    if not account.tokens:
        return Source(token, test=live not in ("", token))
    if token in account.tokens:
        return Source(token, test=False)
    return Source(token, test=True) if live != token and live in account.tokens else None


def _batch_answer(receipts: Sequence[Receipt]) -> Answer:
    refused = [receipt.arrival for receipt in receipts if isinstance(receipt.arrival, Rejection)]
    if len(refused) == len(receipts) and any(it.status >= 500 for it in refused):
        results: list[JsonValue] = [_result(it) for it in refused]
        return _json(500, {"success": False, "error": "no event was queued", "retryable": True, "results": results})
    if len(refused) == len(receipts):
        return _json(400, {"success": False, "error": "; ".join(it.sentence for it in refused)})
    counts: Properties = {"accepted": len(receipts) - len(refused), "failed": len(refused)}
    every: list[JsonValue] = [_result(receipt.arrival) for receipt in receipts]
    return _json(207 if refused else 200, {"success": not refused, **counts, "results": every})


def _result(arrival: Arrival) -> Properties:
    if not isinstance(arrival, Rejection):
        return {"index": arrival.batch_index, "success": True}
    code = "queue_failed" if arrival.status >= 500 else "invalid_event"
    return {"index": arrival.batch_index, "success": False, "code": code, "message": arrival.reason.sentence}


def _message(
    context: _Context, compiled: Body, sent: Properties, valid: Valid, sender: Source, index: int | None
) -> Arrival:
    identity = _identity(valid)
    if not identity and context.account.require_identifier:
        reason = Reason("identifier", "", "needs one of userId, externalId and email", 400)
        return _refuse(context, index, sent, reason, compiled)
    time = valid.get("time")
    if time is not None and not context.received_at - WINDOW_MS <= time <= context.received_at:
        return _refuse(context, index, sent, _out_of_window(time, context.received_at), compiled)
    event = valid.get("event", IDENTIFY_EVENT)
    return Message(
        endpoint=context.endpoint,
        batch_index=index,
        event=event,
        identity=identity,
        distinct_id=valid.get("distinctId"),
        time=time,
        test=sender.test,
        event_properties=valid.get("eventProperties") or {},
        default_properties=valid.get("defaultProperties") or {},
        identity_context=valid.get("identityContext"),
        user_properties=valid.get("userProperties") or {},
        hints=(*hints.unknown_keys(compiled.shape, sent), *hints.forbidden_types(compiled.shape, valid)),
        semantics=_ALWAYS_LISTED if event == IDENTIFY_EVENT else _SEMANTICS,
    )


def _identity(valid: Valid) -> Identity:
    """Return the claims at the top level, else those among the visitor properties (rule identifier)."""
    top = [Claim(kind, valid[name], name) for name, kind in _CLAIMS if valid.get(name) is not None]
    if top:
        return tuple(top)
    properties: Valid = valid.get("userProperties") or {}
    return tuple(
        Claim(kind, properties[kind], f"userProperties.{kind}") for kind in _PROPERTY_CLAIMS if properties.get(kind)
    )


def _out_of_window(time: float, now: int) -> Reason:
    if time > now:
        message = f"in the future: {time - now:.0f} ms ahead of the emulator's clock"
    else:
        message = "more than 7 days before the emulator's clock"
    if now - WINDOW_MS <= time * 1000 <= now:
        message += "; looks like seconds, and milliseconds are asked for"
    return Reason("time-window", "/time", message, 400)


def _unknown_token(value: Properties, account: Account) -> Reason:
    if cast(str, value["token"]).startswith(("pk_", "sk_")):
        message = "is a key of the Client API; the Ingest API takes the token of a source"
    else:
        count = len(account.tokens)
        message = f"is none of the {count} tokens that are set" if count > 1 else "is not the token that is set"
    return Reason("401", "/token", message, 401)


def _row_token_problem(token: str, rows: list[JsonValue]) -> Reason | None:
    for index, row in enumerate(rows):
        if isinstance(row, dict) and row.get("token") not in (None, token):
            return Reason("batch-token", pointer("events", index, "token"), "token mismatch", 400)
    return None


def _refuse(
    context: _Context, index: int | None, sent: JsonValue, reason: Reason, compiled: Body | None = None
) -> Rejection:
    """Return the rejection of *sent*, with what can still be told of it."""
    said = sent if isinstance(sent, dict) else {}
    event, distinct_id = said.get("event"), said.get("distinctId")
    return Rejection(
        endpoint=context.endpoint,
        batch_index=index,
        reason=reason,
        event=event if isinstance(event, str) else None,
        distinct_id=distinct_id if isinstance(distinct_id, str) else None,
        hints=tuple(hints.unknown_keys(compiled.shape, sent)) if compiled else (),
    )


def _weight(value: JsonValue) -> int:
    """Return the size of *value* in bytes, as compact JSON in UTF-8."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


def _json(status: int, value: Properties, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, json_text(value).encode("ascii"), headers or {})


_SUCCESS = _json(200, {"success": True})
