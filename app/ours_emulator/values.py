"""Values: what is made once and never changed."""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """Make *cls* a dataclass with slots that nobody may change.

    It is the type checkers that see to it: a dataclass frozen at run time takes three times as long to make, and an
    event takes some seventy fields.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
