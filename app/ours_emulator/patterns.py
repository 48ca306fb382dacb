r"""Regular expressions of a match: those of RE2, so that none of them can stop or fill the emulator. Pure rules.

RE2 takes time in proportion to the length of a text, whatever the pattern, within a bounded memory, and it lets go of
the interpreter's lock while it searches. The syntax is that of Python's `re`; see `pattern_syntax`.
"""

import re
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import re2

from ours_emulator.pattern_syntax import ASCII, MAX_COUNT, UNICODE, Classes, PatternError, problem, translated

_MAX_PATTERN = 1000
"""Bytes of a pattern in UTF-8."""
_MAX_BYTES = 4 << 20
"""Memory of one compiled pattern, in bytes: enough for a hundred `\\w` outside ASCII."""
_KEPT = 32
"""How many compiled patterns are kept for the next call: what they learned while searching is up to 1.5 MB each."""
_MAX_STEPS = 200_000_000
"""Instructions of a pattern times bytes of a text. RE2 takes 4 ns for a step when it has more states than it can keep,
so at most a second for that, during which no other costly search has its turn."""
_TINY_STEPS = 250
_TINY_SECONDS = 2e-6
"""What a search of so many steps takes, about: a microsecond for these, and one for the call."""
_MAX_SECONDS = 2.0
"""CPU time for all searches of one call."""
_MAX_SECONDS_PER_EVENT = 5e-6
"""CPU time that is added for each event that the call looks at: some searches in a short text, so that a simple pattern
is not refused only because many events are stored."""
_SHOWN = 100
_STAND_IN = "\uefff"
"""What stands for a lone surrogate, which UTF-8 has not: a private character, no more a letter or space than that."""
_SURROGATES = re.compile("[\ud800-\udfff]")


class _Program(Protocol):
    @property
    def programsize(self) -> int:
        """The number of its instructions."""
        ...

    def search(self, text: bytes) -> object | None: ...


@dataclass(slots=True)
class Budget:
    """What the searches of one call have cost so far, and may cost."""

    steps: int = 0
    """At most so many, as far as can be told before the search."""
    seconds: float = 0.0
    """CPU time."""
    max_seconds: float = _MAX_SECONDS
    """CPU time that they may take."""

    def add_events(self, count: int) -> None:
        """Allow for *count* more events that are looked at."""
        self.max_seconds += _MAX_SECONDS_PER_EVENT * count


class Pattern:
    """A compiled regular expression. Raises PatternError if *source* is not valid or too large."""

    def __init__(self, source: str, budget: Budget | None = None) -> None:
        size = len(source.encode(errors="surrogatepass"))
        if size > _MAX_PATTERN:
            raise PatternError(f"the regular expression has {size} bytes in UTF-8; use at most {_MAX_PATTERN}")
        self._source = source
        self._ascii = _program(source, ASCII)
        self._unicode = _program(source, UNICODE)
        self._budget = budget or Budget()
        self.size = self._unicode.programsize
        """The number of instructions that the pattern is compiled to."""
        self.ascii_size = self._ascii.programsize
        """The number of instructions if its classes, such as `\\w`, had only the characters of ASCII."""

    def steps(self, text: str) -> int:
        """Return how many steps a search in *text* may take, about."""
        return self.size * len(text) * (1 if text.isascii() else 4)

    def matches(self, text: str) -> bool:
        """Whether *text* contains a match. Raises PatternError if that takes, or all searches took, too long."""
        if text.isascii():
            program, size, encoded = self._ascii, self.ascii_size, text.encode()
        else:
            program, size, encoded = self._unicode, self.size, _SURROGATES.sub(_STAND_IN, text).encode()
        steps = size * len(encoded)
        if steps > _MAX_STEPS:
            raise self._too_long(f"on a text of {len(encoded)} bytes; use smaller counts")
        if steps <= _TINY_STEPS:
            # To read the clock twice would take longer than the search.
            matches = program.search(encoded) is not None
            self._budget.seconds += _TINY_SECONDS
        else:
            started = time.thread_time()
            matches = program.search(encoded) is not None
            self._budget.seconds += time.thread_time() - started
        if self._budget.seconds > self._budget.max_seconds:
            most = f"more than {_MAX_SECONDS:g} s of CPU time plus {_MAX_SECONDS_PER_EVENT * 1e6:g} µs per event"
            raise self._too_long(f"on all events together ({most}); simplify it, or name an event or a visitor, too")
        return matches

    def _too_long(self, where: str) -> PatternError:
        return PatternError(f"the regular expression {self._source[:_SHOWN]} takes too long {where}")


@lru_cache(_KEPT)
def _compiled(translation: str) -> _Program:
    options = re2.Options()
    options.log_errors, options.never_capture, options.max_mem = False, True, _MAX_BYTES
    program = re2.compile(translation, options)
    # Its own cache would keep 128 more.
    re2.purge()
    return program


def _program(source: str, classes: Classes) -> _Program:
    try:
        return _compiled(translated(source, classes))
    except re2.error as error:
        raise _refusal(source, error) from None


def _refusal(source: str, error: re2.error) -> PatternError:
    """Return RE2's *error* in our words: what only RE2 knows about *source*."""
    [message] = error.args
    kind, _, construct = (message.decode(errors="replace") if isinstance(message, bytes) else str(message)).partition(
        ": "
    )
    if kind == "invalid repetition size":
        return PatternError(f"counts inside counts multiply to more than {MAX_COUNT}, which is not supported")
    if kind.startswith("invalid character class") and construct in source:
        return problem(construct, source.index(construct), "is not a known class of characters")
    return PatternError("the regular expression is too large; use smaller counts, or fewer of them")
