"""The endpoints below /experiments: from a checked body to an impression, or to a question about a visitor."""

from ours_emulator.contract.account import AccountConfig
from ours_emulator.contract.compile import Valid
from ours_emulator.contract.experiment_endpoints import ASSIGNMENTS_PATH, IMPRESSION_EVENT, PERSONALIZATION, VISITOR_ID
from ours_emulator.model import Claim, Identity, Message, Properties, Question, Request, Traits
from ours_emulator.records import Hint
from ours_emulator.wording import cut, did_you_mean

_NOT_IN: Properties = {"in_experiment": False}


def experiment_message(
    request: Request, account: AccountConfig, valid: Valid, hints: tuple[Hint, ...], *, test: bool
) -> Message | Question:
    """Return what *request*, with the body *valid* and these *hints*, is: nothing is refused any more."""
    identity: Identity = (Claim("user_id", valid[VISITOR_ID], VISITOR_ID),)
    if request.endpoint == PERSONALIZATION:
        return Question(request.endpoint, identity, hints, {}, _traits(account))
    key = key_in(request.path)
    variant_fields = _assignment(account, key, valid)
    if variant_fields is None:
        return Question(request.endpoint, identity, (*hints, *_unknown(account, key)), _NOT_IN)
    if valid.get("track_impression") is False:
        return Question(request.endpoint, identity, hints, {"in_experiment": True, **variant_fields})
    return _impression(request, account, identity, key, variant_fields, hints, test=test)


def key_in(path: str) -> str:
    """Return the key of the experiment that *path*, decoded and with its account, names."""
    return path.partition(ASSIGNMENTS_PATH)[2].removesuffix("/")


def _assignment(account: AccountConfig, key: str, valid: Valid) -> Properties | None:
    """Return what the answer says of the visitor's variant; None if they are not in the experiment."""
    experiment = account.experiments.get(key)
    if experiment is None:
        return None
    context: Valid = valid.get("context") or {}
    variant = experiment.variant_of(key, valid[VISITOR_ID], context.get("url"), context.get("search"))
    return None if variant is None else experiment.answer(key, variant)


def _impression(
    request: Request,
    account: AccountConfig,
    identity: Identity,
    key: str,
    variant_fields: Properties,
    hints: tuple[Hint, ...],
    *,
    test: bool,
) -> Message:
    """Return the event that says which variant the visitor saw (rule experiment-impression)."""
    seen = {"experiment_id": variant_fields["experiment_id"], "variant_id": variant_fields["variant_id"]}
    return Message(
        endpoint=request.endpoint,
        batch_index=None,
        event=IMPRESSION_EVENT,
        identity=identity,
        distinct_id=None,
        time=None,
        test=test,
        event_properties={name: value for name, value in variant_fields.items() if name != "redirect"},
        default_properties={},
        identity_context=None,
        user_properties={},
        hints=hints,
        semantics=account.revision.without_allow_list,
        assigned={key: {**seen, "assigned_at": request.received_at}},
        answer_fields={"in_experiment": True, **variant_fields},
    )


def _traits(account: AccountConfig) -> Traits:
    return {
        key: {variant.id: variant.properties for variant in experiment.variants}
        for key, experiment in account.experiments.items()
    }


def _unknown(account: AccountConfig, key: str) -> list[Hint]:
    """Return a hint if other experiments are configured: then *key* is a typo (rule experiment-unknown)."""
    if key in account.experiments or not account.experiments:
        return []
    advice = did_you_mean(key, account.experiments) or "; GET /debug/experiments lists them"
    return [Hint("experiment-unknown", "", f"no experiment has the key {cut(key)!r}{advice}")]
