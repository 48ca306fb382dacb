r"""Regular expressions: what Python reads is what RE2 does, and nothing that they ask for is costly."""

import random
import re
import subprocess
import sys
import time
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ours_emulator.pattern_syntax import PatternError
from ours_emulator.patterns import Budget, Pattern

CHARACTERS = [chr(code) for code in range(0x370)] + list("日本語ñé\u3000\u2028٣½②Ⅳ‿ー٪😀")
REFUSED = {
    "(?=a)b": "look-ahead (?= at position 0 is not supported",
    "a(?!b)": "look-ahead (?! at position 1 is not supported",
    "(?<!a)b": "look-behind (?<! at position 0 is not supported",
    r"(a)\1": r"back-reference \1 at position 3 is not supported",
    "(?P<n>a)(?P=n)": "back-reference (?P= at position 8 is not supported",
    "(?>a)b": "atomic group (?> at position 0 is not supported",
    "(a)?(?(1)b|c)": "conditional group (?( at position 4 is not supported",
    "a++": "possessive ++ at position 1 is not supported",
    "a{2,3}+": "possessive {2,3}+ at position 1 is not supported",
    "(?x) a": "(?x) at position 0 sets the flag x, which is not supported; use only i, m and s",
    "(?i-as:a)": "(?i-as: at position 0 sets the flag a, which is not supported; use only i, m and s",
    "a(?i)b": "(?i) at position 1 must be at the beginning; use (?i:…) for a part",
    "(?:(?i)a)": "(?i) at position 3 must be at the beginning; use (?i:…) for a part",
    "a|(?im)b": "(?im) at position 2 must be at the beginning; use (?im:…) for a part",
    "(?-i)a": "(?-i) at position 0 must be at the beginning; use (?-i:…) for a part",
    "(?P<n>a)|(?P<n>b)": "(?P<n> at position 9 gives a name that another group has",
    "(?P<1>a)": "group (? at position 0 is not supported",
    "a$b": r"$ at position 1 must end the expression or an alternative; write \$ for the character",
    "(a$|b)c": r"$ at position 2 must end the expression or an alternative; write \$ for the character",
    r"a$\Z": r"$ at position 1 must end the expression or an alternative; write \$ for the character",
    r"(?:\n|a$){2}": "{2} at position 9 repeats a group that ends with $, which is not supported",
    r"\X": r"\X at position 0 is not a known escape; write \\ for the backslash",
    r"[\X]": r"\X at position 1 is not a known escape; write \\ for the backslash",
    "a\\": r"\ at position 1 is not a known escape; write \\ for the backslash",
    r"\400": r"\400 at position 0 is not the number of a character",
    r"\U00110000": r"\U00110000 at position 0 is not the number of a character",
    r"\N{no such name}": r"\N{no such name} at position 0 names no character",
    r"\p{Foo}": r"\p{Foo} at position 0 is not a known class of characters",
    "[[:foo:]]": "[:foo:] at position 1 is not a known class of characters",
    "(?:a$){2}": "{2} at position 6 repeats a group that ends with $, which is not supported",
    "(?:a$){11}": "{11} at position 6 repeats a group that ends with $, which is not supported",
    "(?:a$){1,}": "{1,} at position 6 repeats a group that ends with $, which is not supported",
    r"\w{400}": "the regular expression is too large; use smaller counts, or fewer of them",
    "a{1001}": "{1001} at position 1 is a count over 1000, which is not supported",
    "a{4000000000}": "{4000000000} at position 1 is a count over 1000, which is not supported",
    "a{3,2}": "{3,2} at position 1 is a count whose end is below its start",
    "(?:(?:a{1000}){1000}){1000}": "counts inside counts multiply to more than 1000, which is not supported",
    r"(?:\w{100}){10}": "the regular expression is too large; use smaller counts, or fewer of them",
    "a(": r"( at position 1 is never closed; write \( for the character",
    "a)": r") at position 1 closes no group; write \) for the character",
    "a[b": r"[ at position 1 is never closed; write \[ for the character",
    "[]": r"[ at position 0 is never closed; write \[ for the character",
    "a|*": r"* at position 2 has nothing to repeat; write \* for the character",
    "^+": r"+ at position 1 has nothing to repeat; write \+ for the character",
    "a+*": "* at position 2 repeats a repetition; put the first one into (?:…)",
    "[b-a]": "b-a at position 1 is a range whose end comes before its start",
    r"[a-\w]": r"a-\w at position 1 is not a range of characters; write \- for the character",
    "a\ud800": r"\ud800 at position 1 is a lone surrogate, which is not supported",
    r"[\ud800-\udfff]": r"\ud800 at position 1 is a lone surrogate, which is not supported",
}


@pytest.mark.parametrize(
    "source",
    [r"\w", r"\W", r"\d", r"\D", r"\s", r"\S", r"[\w-]", r"[^\w.]", r"[\W_]", r"[^\W_]", r"[^\s]", r"[\s\S]", r"[\S]"],
)
def test_a_class_means_what_python_means(source: str) -> None:
    pattern, python = Pattern(rf"\A{source}\Z"), re.compile(rf"\A{source}\Z")
    for character in CHARACTERS:
        assert pattern.matches(character) is bool(python.match(character)), ascii(character)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (r"^\w{8}-\w{4}-\w{4}-\w{4}-\w{12}$", "0191e6c2-9f0e-7c3a-8d1b-3f5a7e9b1c2d"),
        (r"^Zo\w$", "Zoë"),
        ("a{,3}b", "aab"),
        ("^a{2,}$", "aaa"),
        ("^xa{,}$", "xaaa"),
        ('{"a": 1}', '{"a": 1}'),
        (r'^{"a": \d+}$', '{"a": ٣}'),
        ("^x{y}$", "x{y}"),
        ("^/users/{id}$", "/users/{id}"),
        ("{e}", "{e}"),
        ("(?:abc){e<=1}", "abc{e<=1}"),
        ("^a{٣}$", "a{٣}"),
        (r"\u00e9\Z", "café"),
        (r"^\U0001F600\N{GRINNING FACE}$", "😀😀"),
        (r"^[\U0001F600-\U0001F64F]$", "😀"),
        (r"^\101\0[\1\b]$", "A\0\x01"),
        (r"\é", "é"),
        ("^Paid$", "Paid\n"),
        ("^(?:Paid$|Free)", "Paid\n"),
        ("(?ms)^Paid$.^Free$", "Paid\nFree"),
        ("a(?# of the alphabet)+b", "aab"),
        ("^[]a{3}]+$", "]a{3"),
        ("^[a[]+$", "a["),
        ("(?i)^PURCHASE$", "Purchase"),
        ("(?i)^STRASSE É$", "ſtrasse é"),
        ("(?P<n>a)b", "ab"),
        ("(?P<né>a)b", "ab"),
        ("(?i)(?#comment)(?s)A.b", "a\nb"),
        ("^b(?:a$){0,1}", "ba\n"),
        ("^b(?:a$){,1}", "ba\n"),
        ("^(?:a$){1}", "a\n"),
        (r"a\x00b", "a\x00b"),
        ("a.b", "a\ud800b"),
    ],
)
def test_a_pattern_that_python_reads_is_read_alike(source: str, text: str) -> None:
    assert re.search(source, text)
    assert Pattern(source).matches(text)
    assert not Pattern(source).matches("something else, ß")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("^[[:digit:]]+$", "12"),
        (r"^[[:upper:]\d]+$", "A1٣"),
        (r"^\p{Greek}\pL[\p{L}]$", "αβγ"),
        (r"^\x{1F600}\z", "😀"),
    ],
)
def test_classes_of_re2_are_known_too(source: str, text: str) -> None:
    assert Pattern(source).matches(text)
    assert not Pattern(source).matches("something else, ß")


@pytest.mark.parametrize("source", REFUSED)
def test_what_is_refused_is_named_with_its_place(source: str) -> None:
    with pytest.raises(PatternError, match=f"^{re.escape(REFUSED[source])}$"):
        Pattern(source)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (r"\bété\b", "un été"),
        (r"\Bété", "un aété"),
        (r"\B", ""),
        ("(?i)^istanbul$", "İstanbul"),
        ("(?i)^ı$", "İ"),
        ("^[[:alpha:]]+$", ":]]"),
    ],
)
def test_what_differs_from_python_is_only_what_the_documentation_says(source: str, text: str) -> None:
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        python = re.search(source, text) is not None
    assert Pattern(source).matches(text) is not python


# Patterns and texts from few characters, so that they often match: letters that differ in case only or are equal to
# others when case is ignored, numbers, spaces of Python only, a combining mark, and what the syntax uses.
TEXTS = st.text("aAsſé½²٣_-\n \x1c日.{}[]$^1\u0301\uefff", max_size=6)
ESCAPES = [r"\n", r"\.", r"\$", r"\\", r"\-", r"\0", r"\141", r"\x61", r"\u00e9", r"\U000065e5", r"\N{DIGIT ONE}"]
LITERALS = st.sampled_from([*"aAsſé½²٣_-{},1:日 \n", "{id}", "{e}", "{a,b}", "{,x}", *ESCAPES])
CLASSES = st.sampled_from([r"\w", r"\W", r"\d", r"\D", r"\s", r"\S"])
ITEMS = LITERALS.filter(lambda item: item != "-") | CLASSES | st.sampled_from(["a-s", "À-ÿ", r"\b", r"\1", "&&", "{"])
SETS = st.builds("[{}{}]".format, st.sampled_from(["", "^"]), st.lists(ITEMS, min_size=1, max_size=3).map("".join))
ATOMS = LITERALS | CLASSES | SETS | st.sampled_from([".", "^", "$", r"\A", r"\Z"])
COUNTS = st.sampled_from(
    ["", "", "", "*", "+", "?", "*?", "{2}", "{1,2}", "{,2}", "{2,}", "{,}", "{1,2}?", "{0,1}", "{1}"]
)
OPENINGS = st.sampled_from(["(", "(?:", "(?i:", "(?m:", "(?s:", "(?-i:", "(?P<n>", "(?P<m>"])


def extended(sources: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{}{}".format, sources, sources),
        st.builds("{}|{}".format, sources, sources),
        st.builds("{}{}){}".format, OPENINGS, sources, COUNTS),
        st.builds("{}{}".format, ATOMS, COUNTS),
        st.builds("{}(?#comment)".format, sources),
        st.builds("{}{}".format, st.sampled_from(["(?i)", "(?s)"]), sources),
    )


SOURCES = st.builds(
    "{}{}".format, st.sampled_from(["", "", "(?i)", "(?m)", "(?s)", "(?im)"]), st.recursive(ATOMS, extended)
)


def compiled(source: str) -> Pattern | str:
    """Return the compiled pattern, or why it is refused."""
    try:
        return Pattern(source)
    except PatternError as error:
        return str(error)


@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")
@settings(max_examples=1500, deadline=None)
@given(SOURCES, TEXTS)
def test_every_pattern_is_refused_or_answers_as_in_python(source: str, text: str) -> None:
    try:
        python = re.compile(source)
    except re.error:
        assert isinstance(compiled(source), str), source
        return
    pattern = compiled(source)
    if isinstance(pattern, str):
        assert re.search(r"^\$ at position|a group that ends with \$", pattern), source
    else:
        assert pattern.matches(text) is (python.search(text) is not None)


@settings(max_examples=500, deadline=None)
@given(st.text(r"ab01\(?:<P=!#|)[]^$*+?{},-.xuUNwWdDi", max_size=20))
def test_every_text_is_a_pattern_or_refused_with_a_place(source: str) -> None:
    pattern = compiled(source)
    places = ".+ at position [0-9]+ .+|counts inside counts .+"
    assert isinstance(pattern, Pattern) or re.fullmatch(places, pattern), source


@pytest.mark.parametrize(("character", "most"), [("a", 1000), ("é", 500), ("日", 333)])
def test_a_pattern_has_at_most_a_thousand_bytes(character: str, most: int) -> None:
    assert Pattern(character * most).matches(character * most)
    with pytest.raises(PatternError, match=r"has 100\d bytes in UTF-8; use at most 1000"):
        Pattern(character * (most + 1))


@pytest.mark.parametrize("source", ["^(a|aa)+$", "(a+)+$", "(a*)*b", "(.*)(.*)(.*)(.*)(.*)x"])
def test_a_pattern_that_backtracks_for_ever_elsewhere_is_matched(source: str) -> None:
    assert not Pattern(source).matches("a" * 100_000 + "!")


def test_a_pattern_that_would_take_seconds_for_one_text_is_refused_before_it_starts() -> None:
    started = time.thread_time()
    with pytest.raises(PatternError, match=r"takes too long on a text of 1100000 bytes"):
        Pattern("[a-q][^u-z]{500}x").matches("abcdefghijk" * 100_000)
    assert time.thread_time() - started < 1


MEMORY = """
import random, resource
from ours_emulator.patterns import Pattern

text = "".join(random.Random(1).choices("ab", k=20_000))
for count in range(300, 400):
    assert not Pattern(f"a[ab]{{{count}}}c").matches(text)
    if count == 340:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell")
def test_patterns_of_earlier_calls_do_not_add_up_in_memory() -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY], stdout=subprocess.PIPE, check=True, text=True, timeout=50)
    assert float(done.stdout) < 1.2


def test_the_length_of_a_text_is_that_of_its_bytes() -> None:
    pattern = Pattern("[a-q][^u-z]{500}x")
    characters = 200_000_000 // pattern.size
    with pytest.raises(PatternError, match=f"takes too long on a text of {3 * characters} bytes"):
        pattern.matches("日" * characters)


def test_a_pattern_that_takes_seconds_for_many_texts_is_ended() -> None:
    pattern, text = Pattern("a[ab]{500}c"), "".join(random.Random(1).choices("ab", k=50_000))
    with pytest.raises(PatternError, match="takes too long on all events together"):
        any(pattern.matches(text) for _ in range(10_000))


@pytest.mark.parametrize("length", [0, 1, 100])
def test_what_a_search_costs_is_counted_whether_or_not_it_is_worth_a_look_at_the_clock(length: int) -> None:
    budget = Budget()
    pattern, text = Pattern("a$", budget), "b" * length
    before = time.thread_time()
    for _ in range(10_000):
        pattern.matches(text)
    took = time.thread_time() - before
    # About as long as the search alone, which is less than all of it took.
    assert took / 50 < budget.seconds < took * 5
