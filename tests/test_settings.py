"""Settings: which source wins, what each kind of value may look like, and what is said of a bad one."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from ours_emulator.settings import ENV_PREFIX, Settings, SettingsError, flag, load

NOON = 1777636800000


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(ENV_PREFIX + name.upper(), raising=False)


def toml(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "settings.toml"
    file.write_text(text, "utf-8")
    return file


def refused(flags: Mapping[str, object] | None = None, file: Path | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load(flags, file)
    said = str(caught.value)
    assert said
    assert "\n" not in said
    return said


# name, then as a flag, in the environment, in the file: each as it is written, and the value it means
KINDS = [
    ("host", "flag.test", "flag.test", "env.test", "env.test", '"file.test"', "file.test"),
    ("port", "1", 1, "2", 2, "3", 3),
    ("keep", "10", 10, "20", 20, "30", 30),
    ("strict_openapi", True, True, "true", True, "true", True),
    ("require_identifier", False, False, "false", False, "false", False),
    ("revision", "2026-10", "2026-10", "2026-10", "2026-10", '"2026-05"', "2026-05"),
    ("log_format", "json", "json", "none", "none", '"json"', "json"),
    ("port_file", "/tmp/flag", Path("/tmp/flag"), "/tmp/env", Path("/tmp/env"), '"/tmp/file"', Path("/tmp/file")),
    ("database", "flag.db", "flag.db", "env.db", "env.db", '"file.db"', "file.db"),
    ("tokens", "a,b", ("a", "b"), " c , d ", ("c", "d"), '["e", "f,g"]', ("e", "f,g")),
    ("allowed_events", "A, B b", ("A", "B b"), "C,D", ("C", "D"), '["E"]', ("E",)),
    ("now", str(NOON), NOON, "2026-05-01T12:00:00.001Z", NOON + 1, "2026-05-01T14:00:00.002+02:00", NOON + 2),
]
NAMES = [kind[0] for kind in KINDS]


def value(name: str, flags: Mapping[str, object] | None = None, file: Path | None = None) -> tuple[object, str]:
    loaded = load(flags, file)
    found: object = getattr(loaded.settings, name)
    return found, loaded.origins[name]


@pytest.mark.parametrize(
    ("name", "flagged", "by_flag", "variable", "by_environment", "line", "by_file"), KINDS, ids=NAMES
)
def test_a_flag_wins_over_the_environment_and_that_over_the_file_and_that_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    flagged: object,
    by_flag: object,
    variable: str,
    by_environment: object,
    line: str,
    by_file: object,
) -> None:
    default: object = Settings.model_fields[name].default
    file = toml(tmp_path, f"{name} = {line}\n")
    assert value(name) == (default, "default")
    assert value(name, file=file) == (by_file, "file")
    monkeypatch.setenv(ENV_PREFIX + name.upper(), variable)
    assert value(name) == (by_environment, "environment")
    assert value(name, file=file) == (by_environment, "environment")
    assert value(name, {name: flagged}, file) == (by_flag, "flag")
    monkeypatch.delenv(ENV_PREFIX + name.upper())
    assert value(name, {name: flagged}, file) == (by_flag, "flag")


def test_the_sources_are_mixed_setting_by_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OURS_EMULATOR_KEEP", "5")
    loaded = load({"port": "1"}, toml(tmp_path, 'host = "h"\nport = 2\nkeep = 3\n'))
    assert (loaded.settings.port, loaded.settings.keep, loaded.settings.host) == (1, 5, "h")
    assert loaded.origins == {
        **dict.fromkeys(Settings.model_fields, "default"),
        "port": "flag",
        "keep": "environment",
        "host": "file",
    }


def test_the_port_is_not_that_of_a_kubernetes_service_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS_EMULATOR_PORT", "tcp://10.0.0.7:4010")
    assert load().settings.port == load(environment=False).settings.port


def test_the_name_of_a_variable_may_be_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ours_emulator_Keep", "5")
    assert value("keep") == (5, "environment")


def test_a_false_flag_wins_over_a_true_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS_EMULATOR_STRICT_OPENAPI", "true")
    assert value("strict_openapi", {"strict_openapi": False}) == (False, "flag")


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_variable_is_ignored(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(ENV_PREFIX + name.upper(), "")
    assert value(name) == (Settings.model_fields[name].default, "default")


@pytest.mark.parametrize(("text", "meant"), [("true", True), ("1", True), ("yes", True), ("0", False), ("off", False)])
def test_a_variable_says_yes_and_no_in_the_usual_ways(monkeypatch: pytest.MonkeyPatch, text: str, meant: bool) -> None:
    monkeypatch.setenv("OURS_EMULATOR_STRICT_OPENAPI", text)
    assert value("strict_openapi") == (meant, "environment")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a", ("a",)),
        ("a,b", ("a", "b")),
        (" a , ,b,", ("a", "b")),
        ("with space,ü", ("with space", "ü")),
        ('["a"]', ('["a"]',)),
        ("1,2", ("1", "2")),
        ("5", ("5",)),
        ("null", ("null",)),
        ("true", ("true",)),
        ("{a}", ("{a}",)),
    ],
)
@pytest.mark.parametrize("name", ["tokens", "allowed_events"])
def test_a_list_is_separated_by_commas(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, names: tuple[str, ...]
) -> None:
    assert value(name, {name: text}) == (names, "flag")
    monkeypatch.setenv(ENV_PREFIX + name.upper(), text)
    assert value(name) == (names, "environment")


@pytest.mark.parametrize("name", ["tokens", "public_keys", "allowed_events", "allowed_hosts"])
@pytest.mark.parametrize("text", [",", "", " , "])
def test_a_list_that_names_nothing_is_a_mistake(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match="must not be empty; omit it to use the default"):
        load({name: text})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("port", "x", "must be an integer"),
        ("port", "4010.5", "must be an integer"),
        ("port", 70_000, "must be at most 65535"),
        ("keep", 0, "must be at least 1"),
        ("strict_openapi", "maybe", "must be true or false"),
        ("revision", "2026-09", "must be '2026-05' or '2026-10'"),
        ("tokens", None, "must be a list"),
        ("tokens", [1], "must be a string"),
        ("tokens", [""], "must not be empty"),
        ("seed", 5, "must be a path"),
        ("log_format", "xml", "must be 'human', 'json' or 'none'"),
        ("allowed_hosts", "a/b", "'a/b' is not a host name; use one such as app.example.com or *.example.com"),
        ("admin_token", "a b", "must be visible ASCII characters, without spaces, as it is sent in a header"),
    ],
)
def test_a_value_that_is_not_valid_is_told_in_plain_words(name: str, value: object, said: str) -> None:
    assert refused({name: value}) == f"{flag(name)}: {said}"
    with pytest.raises(SettingsError, match=f"^{name}: "):
        load({name: value}, keywords=True)


def test_the_test_mode_twin_of_a_token_is_no_token_to_configure() -> None:
    with pytest.raises(SettingsError, match="must be the live token"):
        load({"tokens": "test_a"})


@pytest.mark.parametrize("text", ["1754874910", "2020", "yesterday"])
def test_a_moment_that_is_none_says_what_one_is(text: str) -> None:
    with pytest.raises(SettingsError, match="ISO 8601, for example 2026-01-31T12:00:00Z"):
        load({"now": text})


def test_a_list_in_the_file_is_a_list_of_toml_or_commas(tmp_path: Path) -> None:
    assert value("tokens", file=toml(tmp_path, 'tokens = ["a,b", "c"]')) == (("a,b", "c"), "file")
    assert value("tokens", file=toml(tmp_path, 'tokens = "a,b"')) == (("a", "b"), "file")
    assert value("tokens", file=toml(tmp_path, "tokens = []")) == ((), "file")


@pytest.mark.parametrize(
    "text",
    [
        str(NOON),
        f" {NOON} ",
        "2026-05-01T12:00:00Z",
        "2026-05-01T12:00:00.000+00:00",
        "2026-05-01T14:00:00+02:00",
        "2026-05-01T12:00:00",
        "2026-05-01 12:00",
        "20260501T120000Z",
    ],
)
def test_a_moment_is_milliseconds_or_iso_8601_in_utc_unless_it_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    assert value("now", {"now": text}) == (NOON, "flag")
    monkeypatch.setenv("OURS_EMULATOR_NOW", text)
    assert value("now") == (NOON, "environment")


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        (str(NOON), NOON),
        (f'"{NOON}"', NOON),
        ('"2026-05-01T12:00:00Z"', NOON),
        ("2026-05-01T12:00:00Z", NOON),
        ("2026-05-01T14:00:00+02:00", NOON),
        ("2026-05-01T12:00:00", NOON),
        ("2026-05-01 12:00:00.5", NOON + 500),
        ("2026-05-01", NOON - 12 * 3_600_000),
        ('"2026-05-01"', NOON - 12 * 3_600_000),
        ("0", 0),
    ],
)
def test_a_moment_in_the_file_may_be_one_of_toml(tmp_path: Path, line: str, meant: int) -> None:
    assert value("now", file=toml(tmp_path, f"now = {line}")) == (meant, "file")


BAD = [
    ("port", "many"),
    ("port", "65536"),
    ("port", "-1"),
    ("port", "1.5"),
    ("keep", "0"),
    ("max_body_bytes", "0"),
    ("keep_body_bytes", "-1"),
    ("strict_openapi", "perhaps"),
    ("log_format", "xml"),
    ("now", "yesterday"),
    ("now", "-5"),
    ("now", "9" * 20),
    ("now", "2026-02-30"),
]


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_bad_value_is_told_with_its_flag(name: str, text: str) -> None:
    said = refused({name: text})
    assert said.startswith(f"{flag(name)}: ")
    assert len(said) > len(flag(name)) + 5


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_bad_value_is_told_with_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(ENV_PREFIX + name.upper(), text)
    assert refused().startswith(f"OURS_EMULATOR_{name.upper()}: ")


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_bad_value_is_told_with_its_file(tmp_path: Path, name: str, text: str) -> None:
    file = toml(tmp_path, f'{name} = "{text}"')
    assert refused(file=file).startswith(f"{name} in {file}: ")


@pytest.mark.parametrize(
    "line",
    ["host = 5", "tokens = 5", 'tokens = [""]', "tokens = [5]", "database = 5", "log_format = true", "port = []"],
)
def test_a_value_of_another_type_in_the_file_is_told(tmp_path: Path, line: str) -> None:
    file = toml(tmp_path, line)
    assert refused(file=file).startswith(f"{line.partition(' ')[0]} in {file}: ")


def test_a_bad_value_that_a_better_source_overrules_does_no_harm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OURS_EMULATOR_PORT", "many")
    assert value("port", {"port": "1"}, toml(tmp_path, 'port = "none"')) == (1, "flag")


@pytest.mark.parametrize("line", ["prot = 4010", "[server]\nport = 1", "Port = 1", '"" = 1', '"a\\nb" = 1'])
def test_an_unknown_name_in_the_file_is_told(tmp_path: Path, line: str) -> None:
    file = toml(tmp_path, line)
    said = refused(file=file)
    assert "unknown setting" in said
    assert str(file) in said


def test_a_name_in_other_letters_in_the_file_does_not_win_over_a_flag(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"PORT in .*: unknown setting"):
        load({"port": "3"}, toml(tmp_path, "PORT = 1\nport = 2"))


def test_a_file_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    file = tmp_path / "missing.toml"
    assert refused(file=file) == f"{file} cannot be read: No such file or directory; check the path"


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    assert str(tmp_path) in refused(file=tmp_path)


@pytest.mark.parametrize("content", [b"port", b"port = 1\nport = 2\n", b'{"port": 1}', b"port = 2026-13-01"])
def test_a_file_that_is_not_toml_is_told_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    assert refused(file=file).startswith(f"{file} is not valid TOML: ")


def test_a_file_that_is_not_utf_8_is_told_by_name(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(b"\xff\xfe")
    assert refused(file=file) == f"{file} is not UTF-8; save it in that encoding"


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    loaded = load(file=toml(tmp_path, ""))
    assert set(loaded.origins.values()) == {"default"}


@pytest.mark.parametrize("name", NAMES)
def test_settings_do_not_change(name: str) -> None:
    settings = load().settings
    with pytest.raises(ValueError, match="frozen"):
        setattr(settings, name, 1)


def test_every_setting_says_what_it_is() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert re.fullmatch(r"[A-Z].*\.", field.description), name


def test_a_flag_is_spelled_with_dashes() -> None:
    assert flag("keep_body_bytes") == "--keep-body-bytes"


def test_what_runs_inside_a_test_does_not_depend_on_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS_EMULATOR_TOKENS", "live_1")
    monkeypatch.setenv("OURS_EMULATOR_DATABASE", "x.db")
    loaded = load({"keep": 7}, environment=False)
    assert (loaded.settings.tokens, loaded.settings.database, loaded.settings.keep) == ((), None, 7)
    assert set(loaded.origins.values()) == {"default", "flag"}


@pytest.mark.parametrize("name", ["database", "seed", "port_file", "experiments", "tracking_plan"])
def test_a_path_with_a_nul_character_is_refused(name: str, tmp_path: Path) -> None:
    file = toml(tmp_path, f'{name} = "/tmp/a\\u0000b"')
    assert refused(file=file) == f"{name} in {file}: must not contain a NUL character; remove it from the path"


@pytest.mark.parametrize("database", ["/tmp/\udcff.db", "sqlite:////tmp/\udcff.db", "sqlite:////tmp/a\0b"])
def test_a_database_that_sqlite_cannot_name_is_refused(database: str) -> None:
    assert refused({"database": database}).startswith("--database: must ")
