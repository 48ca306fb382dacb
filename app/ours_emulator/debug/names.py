"""The type of the names that callers give: of accounts and of faults."""

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, WithJsonSchema

from ours_emulator.model import ACCOUNT_NAME, ACCOUNT_NAME_FORM
from ours_emulator.wording import cut


def _valid_name(name: str) -> str:
    if ACCOUNT_NAME.fullmatch(name) is None:
        raise ValueError(f"{cut(name)!r} is not a valid name; use {ACCOUNT_NAME_FORM}")
    return name


ValidName: TypeAlias = Annotated[
    str, AfterValidator(_valid_name), WithJsonSchema({"type": "string", "pattern": f"^{ACCOUNT_NAME.pattern}$"})
]
"""The name of an account, or of a fault."""
