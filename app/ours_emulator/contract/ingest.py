"""The Ingest API: /track, /identify and /batch from a request to arrivals, and from receipts to the answer.

A 413 of /batch comes from here: for the body by `_BATCH`, for rows by `_reason_for_413`. Of /debug: in http/front.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import JsonValue
from pydantic_core import PydanticSerializationError, to_json

from ours_emulator.contract import body, hints
from ours_emulator.contract.account import AccountConfig
from ours_emulator.contract.compile import Body, Problem, RequestBodies, Valid, pointer
from ours_emulator.contract.experiment_endpoints import EXPERIMENT_ENDPOINTS, experiment_endpoint
from ours_emulator.contract.experiment_messages import experiment_message
from ours_emulator.contract.normalise import as_text
from ours_emulator.contract.paths import unknown_path, within_account
from ours_emulator.contract.revision import DAY_MS, IdentityOrder, Revision
from ours_emulator.jsontext import json_text
from ours_emulator.model import (
    TEST_PREFIX,
    Answer,
    Arrival,
    Contents,
    Identity,
    Message,
    Properties,
    Question,
    Receipt,
    Rejection,
    Request,
    Source,
)
from ours_emulator.records import Hint, Reason, dotted
from ours_emulator.values import value

if TYPE_CHECKING:
    from ours_emulator.contract.plan_checks import RequestChecks

ENDPOINTS = ("track", "identify", "batch")
_ALLOWED = dict.fromkeys(ENDPOINTS, "POST, OPTIONS") | {"openapi": "GET, HEAD, OPTIONS"}
_ALLOWED_WITH_EXPERIMENTS = _ALLOWED | dict.fromkeys(EXPERIMENT_ENDPOINTS, "POST, OPTIONS")
IDENTIFY_EVENT = "$identify"

_MAX_IDENTIFIER = 2000
"""No identifier that is accepted has more characters."""
_SINGLE = body.Statuses(media_type=400, coding=400, size=400)
_BATCH = body.Statuses(media_type=415, coding=415, size=413)


@value
class Limits:
    """The largest body and the largest batch row, in bytes: settings of the emulator, the same for all revisions."""

    body: int = 5 * 1024 * 1024
    row: int = 1024 * 1024


@value
class _Context:
    """What all rows of one request share."""

    request: Request
    account: AccountConfig
    bodies: RequestBodies
    checks: RequestChecks | None
    """What compares the messages with the tracking plan, if the account has one."""


class IngestContract:
    """The rules of /track, /identify and /batch. The revision is the one of the account that a request is for."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def read(self, request: Request, account: AccountConfig) -> Contents:
        """Return what is in *request*: an arrival for each row, or one rejection if the request is refused."""
        # Read even if the path, the method or the media type is wrong: a fault may match by the token in it.
        statuses = _BATCH if request.endpoint == "batch" else _SINGLE
        revision = account.revision
        sent = body.read(request, statuses, self._limits.body, keeps_digits=bool(revision.normalisations))
        if isinstance(sent, dict) and request.endpoint in ENDPOINTS:
            sent = revision.normalised(request.endpoint, sent)
        token = sent.get("token") if isinstance(sent, dict) else None
        arrivals = self._arrivals(request, account, sent, statuses)
        return Contents(arrivals, token if isinstance(token, str) else None)

    def answer(self, receipts: Sequence[Receipt]) -> Answer:
        """Return the HTTP answer when the arrivals of a request became *receipts* (rules bodies, batch-*)."""
        first = receipts[0].arrival
        if first.batch_index is not None:
            return _batch_answer(receipts)
        if isinstance(first, Message) and first.answer_fields is None:
            return _SUCCESS
        if not isinstance(first, Rejection):
            fields = first.answer_fields if isinstance(first, Message | Question) else None
            return _json(200, {"success": True, **(fields or {})})
        error: Properties = {"error": first.reason.sentence} if first.endpoint == "batch" else {}
        if first.endpoint == "batch" and first.reason.limit is not None:
            error["limit"] = first.reason.limit
        return _json(first.status, {"success": False, **error}, _allow(first.endpoint, first.status))

    def failure(self, request: Request, status: int | None, reason: str, error: str | None = None) -> Answer:
        """Return the HTTP answer when *request* got no further, and the *reason*; without *status*, of a failed store.

        *error* is the text to answer instead of the reason. An outage of /batch says that it is worth a retry (rule
        429-500), and a 413 has the limit of the body (rule size).
        """
        status = status or 500
        details: Properties = {}
        if request.endpoint == "batch":
            retryable: Properties = {"retryable": True} if status >= 500 else {}
            limit: Properties = {"limit": self._limits.body} if status == 413 else {}
            details = {"error": error or reason, **retryable, **limit}
        return _json(status, {"success": False, **details}, _allow(request.endpoint, status))

    def _arrivals(
        self, request: Request, account: AccountConfig, sent: JsonValue | Reason, statuses: body.Statuses
    ) -> list[Arrival]:
        reason = _misdirected(request, account.revision) or body.media_type_problem(request, statuses)
        if reason is None and isinstance(sent, dict):
            revision, plan = account.revision, account.tracking_plan
            bodies = revision.strict_bodies if account.strict_openapi else revision.bodies
            context = _Context(
                request, account, bodies, None if plan is None else plan.checks(request, self._limits.body)
            )
            return self._batch(context, sent) if request.endpoint == "batch" else [_single(context, sent)]
        if reason is None:
            reason = sent if isinstance(sent, Reason) else Reason("malformed", "", "the body is not an object", 400)
        return [Rejection(request.endpoint, None, reason)]

    def _batch(self, context: _Context, sent: Properties) -> list[Arrival]:
        ignored = tuple(hints.unknown_keys(context.bodies.envelope.shape, sent, context.account.revision))
        checked = self._checked_batch(context, sent)
        if isinstance(checked, Reason):
            return [Rejection("batch", None, checked, hints=ignored)]
        sender, rows = checked
        first, *rest = (_batch_row(context, index, row, sender) for index, row in enumerate(rows))
        beside = (Hint(hint.rule, "", f"beside `events`, {dotted(hint.path)}: {hint.message}") for hint in ignored)
        return [replace(first, hints=(*beside, *first.hints)), *rest]

    def _checked_batch(self, context: _Context, sent: Properties) -> tuple[Source, Sequence[JsonValue]] | Reason:
        """Return the source and the rows of a batch, or why it is refused as a whole."""
        envelope = _envelope(context, sent)
        if isinstance(envelope, Reason):
            return envelope
        token, rows = envelope
        too_large = self._reason_for_413(context.bodies.max_rows, rows)
        if too_large is not None:
            return too_large
        sender = source(context.account, token)
        if sender is None:
            return _unknown_token(token, context.account)
        revision = context.account.revision
        if revision.normalisations:
            rows = [revision.normalised("row", row) if isinstance(row, dict) else row for row in rows]
        return _row_token_problem(token, rows) or (sender, rows)

    def _reason_for_413(self, max_rows: int, rows: Sequence[JsonValue]) -> Reason | None:
        """Return what makes the batch too large (rules batch-limit, batch-row-size)."""
        if len(rows) > max_rows:
            message = f"the batch has more than {max_rows} events"
            return Reason("batch-limit", "/events", message, 413, max_rows)
        limit = self._limits.row
        if _json_bytes(rows) > limit:
            for index, row in enumerate(rows):
                if _json_bytes(row) > limit:
                    message = f"the event is larger than {limit} bytes"
                    return Reason("batch-row-size", pointer("events", index), message, 413, limit)
        return None


def _misdirected(request: Request, revision: Revision) -> Reason | None:
    """Return why *request* does not go to an endpoint of *revision* (rule methods)."""
    known = _ALLOWED_WITH_EXPERIMENTS if revision.experiments else _ALLOWED
    allowed = known.get(request.endpoint)
    if allowed is None:
        is_newer = revision.newer and experiment_endpoint(within_account(request.path)[1])
        newer = f"; revision {revision.newer} has it" if is_newer else ""
        return Reason("methods", "", unknown_path(request.path, known) + newer, 404)
    if request.endpoint == "openapi" or request.method != "POST":
        return Reason("methods", "", f"this path takes {allowed}, not {request.method}", 405)
    return None


def _single(context: _Context, sent: Properties) -> Arrival:
    """Check a body that is one message in the order of rule check-order."""
    compiled = context.bodies.single[context.request.endpoint]
    if sent.get("token") in (None, ""):
        return _refuse(context, None, sent, _missing_token(context.request, "required", 401), compiled)
    valid = compiled.check(sent)
    if isinstance(valid, Problem):
        return _refuse(context, None, sent, _reason(valid), compiled)
    sender = source(context.account, valid["token"])
    if sender is None:
        return _refuse(context, None, sent, _unknown_token(valid["token"], context.account), compiled)
    if context.request.endpoint in EXPERIMENT_ENDPOINTS:
        dropped = tuple(hints.unknown_keys(compiled.shape, sent, context.account.revision))
        return experiment_message(context.request, context.account, valid, dropped, test=sender.test)
    return _message(context, compiled, sent, valid, sender, None)


def _allow(endpoint: str, status: int | None) -> dict[str, str]:
    """Return the header that a 405 of *endpoint* has (rule methods)."""
    allowed = _ALLOWED_WITH_EXPERIMENTS.get(endpoint)
    return {"allow": allowed} if status == 405 and allowed is not None else {}


def _missing_token(request: Request, message: str, status: int) -> Reason:
    """Return why *request* names no source; many put the token where other APIs have it (rule body-token)."""
    elsewhere = "; the Authorization header is ignored" if request.authorization else ""
    return Reason("missing-token", "/token", message + elsewhere, status)


def _envelope(context: _Context, sent: Properties) -> tuple[str, list[JsonValue]] | Reason:
    """Return the token and the rows of a batch, or what is wrong with them (rules missing-token, schema, batch-events).

    The rows themselves are not checked.
    """
    if sent.get("token") in (None, ""):
        return _missing_token(context.request, "missing `token`", 400)
    valid = context.bodies.envelope.check(sent)
    if isinstance(valid, Problem):
        return _reason(valid)
    rows = sent.get("events")
    if not isinstance(rows, list) or not rows:
        return Reason("batch-events", "/events", "missing or empty `events`", 400)
    return valid["token"], rows


def _batch_row(context: _Context, index: int, row: JsonValue, sender: Source) -> Arrival:
    compiled = context.bodies.row
    valid = compiled.check(row)
    if isinstance(valid, Problem):
        return _refuse(context, index, row, _reason(valid), compiled)
    return _message(context, compiled, row, valid, sender, index)


def source(account: AccountConfig, token: str) -> Source | None:
    """Return the source that *token* names in *account*; None if it is refused (rules open-tokens, 401, test-mode)."""
    live = token.removeprefix(TEST_PREFIX)
    if not account.tokens:
        return None if token in account.keys else Source(token, test=live not in ("", token))
    if token in account.tokens:
        return Source(token, test=False)
    return Source(token, test=True) if live != token and live in account.tokens else None


def _batch_answer(receipts: Sequence[Receipt]) -> Answer:
    refused = [receipt.arrival for receipt in receipts if isinstance(receipt.arrival, Rejection)]
    if len(refused) == len(receipts) and any(map(_not_queued, refused)):
        results: list[JsonValue] = [_result(rejection) for rejection in refused]
        return _json(500, {"success": False, "error": "no event was queued", "retryable": True, "results": results})
    if len(refused) == len(receipts):
        return _json(400, {"success": False, "error": "; ".join(rejection.sentence for rejection in refused)})
    counts: Properties = {"accepted": len(receipts) - len(refused), "failed": len(refused)}
    every: list[JsonValue] = [_result(receipt.arrival) for receipt in receipts]
    return _json(207 if refused else 200, {"success": not refused, **counts, "results": every})


def _not_queued(rejection: Rejection) -> bool:
    return rejection.status == 500


def _result(arrival: Arrival) -> Properties:
    if not isinstance(arrival, Rejection):
        return {"index": arrival.batch_index, "success": True}
    code = "queue_failed" if _not_queued(arrival) else "invalid_event"
    return {"index": arrival.batch_index, "success": False, "code": code, "message": arrival.reason.sentence}


def _message(
    context: _Context, compiled: Body, sent: JsonValue, valid: Valid, sender: Source, index: int | None
) -> Arrival:
    request, revision = context.request, context.account.revision
    identity = revision.identity.claims(valid)
    if not identity and context.account.require_identifier:
        return _refuse(context, index, sent, _no_identifier(revision.identity), compiled)
    time = valid.get("time")
    if time is not None and not request.received_at - revision.window_ms <= time <= request.received_at:
        return _refuse(context, index, sent, _out_of_window(time, request.received_at, revision.window_ms), compiled)
    event = valid.get("event", IDENTIFY_EVENT)
    message = Message(
        endpoint=request.endpoint,
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
        hints=tuple(_hints(revision, compiled, sent, identity)),
        semantics=revision.without_allow_list if event == IDENTIFY_EVENT else revision.semantics,
    )
    return message if context.checks is None else context.checks.with_hints(message)


def _hints(revision: Revision, compiled: Body, sent: JsonValue, identity: Identity) -> list[Hint]:
    found = hints.unknown_keys(compiled.shape, sent, revision)
    return found if revision.newer is None else found + hints.surrounded(identity, revision.newer)


def _no_identifier(order: IdentityOrder) -> Reason:
    *others, last = order.sufficient
    return Reason("identifier", "", f"needs one of {', '.join(others)} and {last}", 400)


def _out_of_window(time: float, now: int, window_ms: int) -> Reason:
    if time > now:
        message = f"in the future: {time - now:.0f} ms ahead of the emulator's clock"
    else:
        message = f"more than {window_ms // DAY_MS} days before the emulator's clock"
    if now - window_ms <= time * 1000 <= now:
        message += "; looks like seconds; use milliseconds"
    return Reason("time-window", "/time", message, 400)


def _unknown_token(token: str, account: AccountConfig) -> Reason:
    if token.startswith(("pk_", "sk_")):
        message = "is a key of the Client API; the Ingest API takes the token of a source"
    else:
        count = len(account.tokens)
        message = f"is not one of the {count} configured tokens" if count > 1 else "is not the configured token"
    return Reason("401", "/token", message, 401)


def _row_token_problem(token: str, rows: Sequence[JsonValue]) -> Reason | None:
    for index, row in enumerate(rows):
        if isinstance(row, dict) and row.get("token") not in (None, token):
            return Reason("batch-token", pointer("events", index, "token"), "token mismatch", 400)
    return None


def _refuse(
    context: _Context, index: int | None, sent: JsonValue, reason: Reason, compiled: Body | None = None
) -> Rejection:
    """Return the rejection of *sent*, with its event name, ids and dropped names as far as they are there."""
    fields = sent if isinstance(sent, dict) else {}
    event, distinct_id = fields.get("event"), fields.get("distinctId")
    named: Properties = {**_texts(fields), "userProperties": _texts(fields.get("userProperties"))}
    return Rejection(
        endpoint=context.request.endpoint,
        batch_index=index,
        reason=reason,
        event=event if isinstance(event, str) else None,
        distinct_id=distinct_id if isinstance(distinct_id, str) else None,
        hints=tuple(hints.unknown_keys(compiled.shape, sent, context.account.revision)) if compiled else (),
        identity=context.account.revision.identity.claims(named),
    )


def _texts(fields: JsonValue) -> Properties:
    """Return those of *fields* that an identifier can be, numbers as text."""
    members = fields.items() if isinstance(fields, dict) else ()
    texts = ((name, as_text(value)) for name, value in members)
    return {name: text for name, text in texts if isinstance(text, str) and 0 < len(text) <= _MAX_IDENTIFIER}


def _reason(problem: Problem) -> Reason:
    return Reason(problem.rule, problem.path, problem.message, 400)


def _json_bytes(value: JsonValue | Sequence[JsonValue]) -> int:
    """Return the size of *value* in bytes, as compact JSON in UTF-8."""
    try:
        return len(to_json(value))
    except PydanticSerializationError:
        # It has a lone surrogate.
        return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


def _json(status: int | None, value: Properties, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, json_text(value).encode("ascii"), headers or {})


_SUCCESS = _json(200, {"success": True})
