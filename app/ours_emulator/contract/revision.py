"""The revisions of the contract, as values. No other module reads the documents that the package contains."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.resources import files

from ours_emulator.contract.compile import RequestBodies, Valid, body_shapes, request_bodies
from ours_emulator.contract.experiment_endpoints import VISITOR_ID
from ours_emulator.contract.normalise import by_keywords
from ours_emulator.contract.rules import rules_of
from ours_emulator.decide.phone import PHONE, phone_name
from ours_emulator.model import DEFAULT_REVISION, ApiSemantics, Claim, Identifier, Identity, Properties
from ours_emulator.records import Rule

DAY_MS = 24 * 60 * 60 * 1000
_IN_PROPERTIES = "userProperties."


@dataclass(frozen=True)
class IdentityOrder:
    """The identifiers that a body may give, strongest first, each with its name in the body and its kind."""

    top_level: tuple[tuple[str, Identifier], ...]
    user_properties: tuple[tuple[str, Identifier], ...]
    """Names in `userProperties`, which count only if no identifier is given at the top level."""
    phone: str | None = None
    """The name in `userProperties` of a phone number that counts after all others; None if none counts."""
    falls_through: bool = False
    """An identifier that matches no visitor leaves the decision to the next one; otherwise the first decides alone."""

    @property
    def kinds(self) -> dict[str, Identifier]:
        """The kind of each identifier, by the name that a claim is given as."""
        inside: dict[str, Identifier] = {_IN_PROPERTIES + name: kind for name, kind in self.user_properties}
        phone: dict[str, Identifier] = {} if self.phone is None else {_IN_PROPERTIES + self.phone: PHONE}
        return {**dict(self.top_level), **inside, **phone}

    @property
    def sufficient(self) -> list[str]:
        """The identifiers of which a message is asked to have one."""
        return [name for name, _ in self.top_level] + ([_IN_PROPERTIES + self.phone] if self.phone else [])

    def claims(self, body: Valid) -> Identity:
        """Return the identifiers in *body* that count (rule identifier)."""
        claims = [Claim(kind, body[name], name) for name, kind in self.top_level if body.get(name) is not None]
        properties: Valid = body.get("userProperties") or {}
        if not claims:
            claims = [
                Claim(kind, properties[name], _IN_PROPERTIES + name)
                for name, kind in self.user_properties
                if properties.get(name)
            ]
        if self.phone is not None:
            digits = phone_name(properties.get(self.phone))
            claims += [] if digits is None else [Claim(PHONE, digits, _IN_PROPERTIES + self.phone)]
        return tuple(claims)


@dataclass(frozen=True)
class Normalisation:
    """A change to a body, or to a row of a batch, before anything in it is checked."""

    name: str
    apply: Callable[[str, Properties], Properties]
    """A pure function: the endpoint (`row` for a row of a batch) and the body to the normalised body."""


@dataclass(frozen=True)
class Revision:
    """A dated contract of the Ingest API, with all that may differ between two of them.

    Its limits are `window_ms` and those of the document: the lengths of strings and the number of rows in a batch. How
    large a body or a row may be are settings (`contract.ingest.Limits`); the Client API has its own limit.
    """

    name: str
    document: bytes
    """The OpenAPI document, as GET /openapi answers it (rule openapi)."""
    identity: IdentityOrder
    load_rules: Callable[[], tuple[Rule, ...]]
    """Returns `rules`, which are read when they are first asked for."""
    normalisations: tuple[Normalisation, ...] = ()
    """Applied in this order."""
    window_ms: int = 7 * DAY_MS
    """How old the `time` of an event may be (rule time-window)."""
    experiments: bool = False
    """It has the endpoints below /experiments."""
    newer: str | None = None
    """The name of the next revision, for hints about what it decides otherwise (rule revision)."""

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule that holds, those of the Client API and of the emulator included."""
        return self.load_rules()

    @cached_property
    def bodies(self) -> RequestBodies:
        """The request bodies, which accept any JSON value where rule any-json says so."""
        return request_bodies(self.document, strict_openapi=False)

    @cached_property
    def strict_bodies(self) -> RequestBodies:
        """The request bodies exactly as the document has them."""
        return request_bodies(self.document, strict_openapi=True)

    @cached_property
    def semantics(self) -> ApiSemantics:
        """What a message means for its visitor."""
        return ApiSemantics(falls_through=self.identity.falls_through, newer=self.newer)

    @cached_property
    def without_allow_list(self) -> ApiSemantics:
        """The same for events that need not be on an allow-list: $identify and impressions (rule allow-list)."""
        return replace(self.semantics, allow_list=False)

    @cached_property
    def newer_names(self) -> frozenset[str]:
        """The names in bodies that only the next revision has, as JSON pointers."""
        if self.newer is None:
            return frozenset()
        here, newer = body_shapes(self.document), body_shapes(revision(self.newer).document)
        return frozenset[str]().union(*(newer[name].pointers - shape.pointers for name, shape in here.items()))

    def normalised(self, endpoint: str, body: Properties) -> Properties:
        """Return *body* after all normalisations; *endpoint* is `row` for a row of a batch."""
        for normalisation in self.normalisations:
            body = normalisation.apply(endpoint, body)
        return body


@cache
def revisions() -> Mapping[str, Revision]:
    """Return every revision by its name, the oldest first."""
    strongest_decides = IdentityOrder(
        top_level=(("userId", "user_id"), ("externalId", "external_id"), ("email", "email")),
        user_properties=(("external_id", "external_id"), ("email", "email")),
    )
    return {
        "2026-05": Revision(
            name="2026-05",
            document=_document("2026-05"),
            identity=strongest_decides,
            load_rules=lambda: rules_of("2026-05"),
            newer="2026-10",
        ),
        "2026-10": Revision(
            name="2026-10",
            document=_document("2026-10"),
            identity=replace(strongest_decides, phone="phone_number", falls_through=True),
            load_rules=lambda: rules_of("2026-10"),
            experiments=True,
            normalisations=(Normalisation("keywords", by_keywords(_document("2026-10"))),),
        ),
    }


def revision(name: str = DEFAULT_REVISION) -> Revision:
    """Return the revision *name*. Raises KeyError if there is none."""
    return revisions()[name]


@cache
def identifier_kinds() -> Mapping[str, Identifier]:
    """Return the kind of each identifier by the name that any revision, or the Client API, gives it in a body."""
    kinds: dict[str, Identifier] = {"external_id": "external_id", "anonymous_id": "anonymous_id"}
    for each in revisions().values():
        kinds |= each.identity.kinds
    return {**kinds, VISITOR_ID: "user_id"}


def _document(name: str) -> bytes:
    return (files("ours_emulator.contract") / "documents" / f"{name}.json").read_bytes()
