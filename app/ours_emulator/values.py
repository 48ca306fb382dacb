"""Values: objects that are made once and never changed."""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """Make *cls* a dataclass with slots whose instances are never changed.

    Only the type checkers enforce that: a dataclass frozen at run time takes three times as long to make, and an event
    takes some seventy fields. So this is for what is made for each event; what is made once, or read back from the
    store for the debug API, is an ordinary frozen dataclass, which nobody can change by mistake.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
