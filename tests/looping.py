"""Cases in a loop instead of thousands of generated tests: which of them failed is said in the failure."""

from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def case(*what: object) -> Generator[None]:
    """Add *what* this case is to the failure of anything inside."""
    try:
        yield
    except Exception as error:
        error.add_note("case: " + ", ".join(map(repr, what))[:500])
        raise
