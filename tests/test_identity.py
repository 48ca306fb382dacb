"""The identity table, rule by rule, on plain values."""

from uuid import UUID, uuid4

import pytest

from ours_emulator.decide.identity import KnownVisitor, KnownVisitors
from ours_emulator.model import Change, Claim, Identifier, Identity, VisitorState
from ours_emulator.records import Resolution

ACCOUNT = 1
NAMES: dict[Identifier, str] = {"user_id": "userId", "external_id": "externalId", "email": "email"}


def known(pk: int, visitor_id: str, account: int = ACCOUNT, **properties: str) -> KnownVisitor:
    visitor = KnownVisitor(pk, account, visitor_id, VisitorState(dict(properties)))
    visitor.stored_names = tuple(visitor.names())
    return visitor


def claims(**given: str) -> Identity:
    return tuple(Claim(kind, given[kind], name) for kind, name in NAMES.items() if kind in given)


def resolve(identity: Identity, *visitors: KnownVisitor) -> tuple[KnownVisitor, Resolution, list[str]]:
    everybody = KnownVisitors(visitors, next_pk=100)
    visitor, resolution, hints = everybody.resolve(ACCOUNT, identity, lambda: str(uuid4()))
    return visitor, resolution, [hint.rule for hint in hints]


A = known(1, "A", external_id="XA", email="a@x.co")
B = known(2, "B", external_id="XB", email="b@x.co")

TABLE = [
    # identity, who is found (None: somebody new), who decided
    (claims(user_id="A"), "A", "userId"),
    (claims(user_id="A", external_id="XA", email="a@x.co"), "A", "userId"),
    (claims(user_id="A", external_id="XB", email="b@x.co"), "A", "userId"),
    (claims(user_id="A", email="b@x.co"), "A", "userId"),
    (claims(user_id="new"), None, "userId"),
    (claims(user_id="new", external_id="XB", email="a@x.co"), None, "userId"),
    (claims(external_id="XA"), "A", "externalId"),
    (claims(external_id="XB", email="a@x.co"), "B", "externalId"),
    (claims(external_id="new", email="a@x.co"), None, "externalId"),
    (claims(external_id="new"), None, "externalId"),
    (claims(email="b@x.co"), "B", "email"),
    (claims(email="new@x.co"), None, "email"),
    (claims(email="A@X.CO"), None, "email"),
    (claims(email=" a@x.co"), None, "email"),
    (claims(external_id="xa"), None, "externalId"),
    (claims(user_id="a"), None, "userId"),
]


@pytest.mark.rule("identity-order", "exact-match", "user-id")
@pytest.mark.parametrize(("identity", "found", "decided_by"), TABLE)
def test_the_strongest_identifier_given_decides_alone(identity: Identity, found: str | None, decided_by: str) -> None:
    visitor, resolution, _ = resolve(identity, A, B)
    assert resolution.decided_by == decided_by
    assert resolution.created == (found is None)
    if found is not None:
        assert visitor.visitor_id == found
    assert [step.result for step in resolution.steps] == [
        "not_found" if found is None else "matched",
        *["skipped"] * (len(identity) - 1),
    ]


@pytest.mark.rule("user-id")
def test_an_unknown_user_id_becomes_the_id_of_the_new_visitor() -> None:
    visitor, _, _ = resolve(claims(user_id="any text, even ✓", email="a@x.co"), A)
    assert visitor.visitor_id == "any text, even ✓"


@pytest.mark.rule("visitor-ids")
@pytest.mark.parametrize("identity", [claims(email="new@x.co"), claims(external_id="new"), ()])
def test_a_generated_visitor_id_is_a_uuid_of_version_4(identity: Identity) -> None:
    visitor, _, _ = resolve(identity, A, B)
    assert UUID(visitor.visitor_id).version == 4


def test_without_any_identifier_somebody_new_is_made() -> None:
    visitor, resolution, hints = resolve((), A)
    assert visitor.visitor_id not in ("A", "B")
    assert resolution == Resolution(None, True, ())
    assert hints == []


@pytest.mark.rule("oldest-wins")
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_of_several_visitors_with_the_same_identifier_the_oldest_is_meant(order: tuple[int, ...]) -> None:
    same = [known(pk, f"V{pk}", email="same@x.co") for pk in (3, 4, 5)]
    visitor, _, hints = resolve(claims(email="same@x.co"), *[same[index] for index in order])
    assert visitor.visitor_id == "V3"
    assert hints == ["oldest-wins"]


@pytest.mark.rule("never-merged")
def test_a_user_id_with_somebody_elses_external_id_is_hinted_at_and_merges_nobody() -> None:
    visitor, _, hints = resolve(claims(user_id="A", external_id="XB"), A, B)
    assert visitor is A
    assert B.properties == {"external_id": "XB", "email": "b@x.co"}
    assert hints == ["never-merged"]


def test_a_user_id_with_ones_own_external_id_gives_no_hint() -> None:
    assert resolve(claims(user_id="A", external_id="XA"), A, B)[2] == []


@pytest.mark.rule("shared-visitors", "accounts")
def test_visitors_of_another_account_are_nobody() -> None:
    _, resolution, _ = resolve(claims(user_id="C"), known(3, "C", account=2))
    assert resolution.created


def test_a_visitor_is_found_by_a_new_name_and_no_longer_by_the_old_one() -> None:
    visitor = known(1, "V", email="old@x.co")
    everybody = KnownVisitors([visitor], next_pk=2)
    everybody.change(visitor, Change({"email": "new@x.co"}))
    assert everybody.resolve(ACCOUNT, claims(email="new@x.co"), lambda: "n")[0] is visitor
    assert everybody.resolve(ACCOUNT, claims(email="old@x.co"), lambda: "n")[0] is not visitor


@pytest.mark.rule("batch-order")
def test_a_later_message_finds_the_visitor_an_earlier_one_made() -> None:
    everybody = KnownVisitors([], next_pk=1)
    first, _, _ = everybody.resolve(ACCOUNT, claims(external_id="X"), lambda: "n1")
    everybody.change(first, Change({"external_id": "X"}))
    second, resolution, _ = everybody.resolve(ACCOUNT, claims(external_id="X"), lambda: "n2")
    assert second is first
    assert not resolution.created


EITHER = (Claim("external_id", "XA", "external_id"), Claim("anonymous_id", "anon", "anonymous_id"))


def anonymous(pk: int, visitor_id: str, anonymous_id: str) -> KnownVisitor:
    visitor = KnownVisitor(pk, ACCOUNT, visitor_id, VisitorState(anonymous_id=anonymous_id))
    visitor.stored_names = tuple(visitor.names())
    return visitor


@pytest.mark.rule("client-look-up")
@pytest.mark.parametrize(
    ("there", "found", "results"),
    [
        ([A, anonymous(3, "C", "anon")], "A", ["matched", "skipped"]),
        ([anonymous(3, "C", "anon"), B], "C", ["not_found", "matched"]),
        ([B], None, ["not_found", "not_found"]),
    ],
)
def test_an_identifier_that_finds_nobody_leaves_it_to_the_next_one_if_it_may(
    there: list[KnownVisitor], found: str | None, results: list[str]
) -> None:
    visitor, resolution, _ = KnownVisitors(there, 100).find(ACCOUNT, EITHER, falls_through=True)
    assert (visitor.visitor_id if visitor else None) == found
    assert [step.result for step in resolution.steps] == results


@pytest.mark.rule("client-identify")
def test_an_anonymous_id_is_given_only_if_nobody_has_it() -> None:
    ann, other = known(1, "A", external_id="XA"), anonymous(3, "C", "taken")
    everybody = KnownVisitors([ann, other], 100)
    assert not everybody.adopt(ann, Claim("anonymous_id", "taken", "anonymous_id"))
    assert everybody.adopt(ann, EITHER[1])
    assert everybody.adopt(ann, EITHER[1])
    assert everybody.adopt(ann, Claim("anonymous_id", "next", "anonymous_id"))
    assert everybody.find(ACCOUNT, EITHER[1:], falls_through=True)[0] is None
