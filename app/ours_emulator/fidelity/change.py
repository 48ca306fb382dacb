"""One difference between two OpenAPI documents."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Action: TypeAlias = Literal["added", "removed", "changed"]
ANY_JSON = "any JSON value"
"""Stands for the type of a value that is not checked (rule any-json)."""


@dataclass(frozen=True, slots=True)
class Change:
    """What of which place was added, removed or changed.

    `where` is the endpoint, with `events[]` for the rows of a batch. `place` is a name in its body, `response 400`, or
    the like; `what` is the keyword that changed, or empty if all of the place was added or removed.
    """

    action: Action
    where: str
    place: str
    what: str
    before: str
    after: str
    rules: tuple[str, ...] = ()
