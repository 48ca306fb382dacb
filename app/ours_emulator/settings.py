"""The settings: one frozen value. A flag wins over the environment, that over the file, that over the default."""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError

from ours_emulator.clock import LAST_MOMENT, milliseconds
from ours_emulator.errors import NotUtf8Error, file_problem, file_text
from ours_emulator.errors import SettingsError as SettingsError
from ours_emulator.model import DEFAULT_REVISION, TEST_PREFIX, RevisionName
from ours_emulator.wording import did_you_mean, nearest, plain, suggested

ENV_PREFIX = "OURS_EMULATOR_"
_OTHER_VARIABLES = ("CONFIG", "URL", "COMMAND", "CLIENT_URL", "TOKEN", "PUBLIC_KEY")
"""Those that are no settings: --config, what the commands and the pytest plugin read, and what `exec` sets."""
_SERVICE = re.compile(r"SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP)(_\w+)?")
"""Those that Kubernetes sets in every container if a service is called ours-emulator."""
_LABEL = "[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")


def _split(value: object) -> object:
    """Return the parts of a text with commas, the form of a list in an environment variable; others unchanged."""
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not parts:
        raise ValueError("must not be empty; omit it to use the default")
    return parts


def _live(token: str) -> str:
    if token.startswith(TEST_PREFIX):
        raise ValueError("must be the live token; the test_ token that belongs to it is accepted too")
    return token


def _key(key: str) -> str:
    if re.fullmatch(r"[ps]k_\S+", key) is None:
        raise ValueError("a key must begin with pk_ or sk_")
    return key


def _host(name: str) -> str:
    if _HOST.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not a host name; use one such as app.example.com or *.example.com")
    return name.lower()


def _visible(token: str) -> str:
    if re.fullmatch("[!-~]+", token) is None:
        raise ValueError("must be visible ASCII characters, without spaces, as it is sent in a header")
    return token


def _named(path: Path) -> Path:
    if not path.name:
        raise ValueError("must be the path of a file")
    _without_nul(str(path))
    return path


def _without_nul(path: str) -> None:
    if "\0" in path:
        raise ValueError("must not contain a NUL character; remove it from the path")


def _database(url: str) -> str:
    """Return *url*. A path must be that of a file; the store checks which kinds of URL there are."""
    if "://" not in url:
        _named(Path(url))
    _without_nul(url)
    try:
        url.encode()
    except UnicodeEncodeError:
        raise ValueError("must be UTF-8, which SQLite needs; rename the file or a directory above it") from None
    return url


def _unbracketed(host: str) -> str:
    """Return *host*; an IPv6 address may be in brackets, as in a URL."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") and ":" in host else host


def _text(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _moment(value: object) -> object:
    """Return a timestamp in ISO 8601 or milliseconds as milliseconds; TOML has a type of its own for dates."""
    if isinstance(value, date):
        value = value.isoformat()
    return milliseconds(value) if isinstance(value, str) else value


Names = tuple[Annotated[str, Field(min_length=1)], ...]
Token = Annotated[str, Field(min_length=1), AfterValidator(_live)]
Tokens = tuple[Token, ...]
Key = Annotated[str, AfterValidator(_key)]
Keys = tuple[Key, ...]
Hosts = tuple[Annotated[str, AfterValidator(_host)], ...]
File = Annotated[Path, AfterValidator(_named)]
Database = Annotated[str, BeforeValidator(_text), AfterValidator(_database)]


class Settings(BaseModel, frozen=True, extra="forbid"):
    """All settings."""

    host: Annotated[str, AfterValidator(_unbracketed)] = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(4010, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    port_file: File | None = Field(None, description="File to write the port to once the server listens.")
    database: Database | None = Field(
        None,
        repr=False,
        description="SQLite file (path or sqlite:///path) or PostgreSQL database (postgresql://user@host/name) that "
        "keeps everything. Without it, all data is lost when the process ends.",
    )
    seed: File | None = Field(
        None,
        description="JSON Lines of requests, as exported, to begin with: replayed into a new store and after a reset.",
    )
    tokens: Annotated[Tokens, BeforeValidator(_split)] = Field(
        (),
        description="Source tokens to accept, each also with test_ before it. Without any, every token is accepted.",
    )
    public_keys: Annotated[Keys, BeforeValidator(_split)] = Field(
        (),
        description="Keys of the Client API (pk_…, sk_…) to accept. Without any, every such key is accepted.",
    )
    allowed_hosts: Annotated[Hosts, BeforeValidator(_split)] = Field(
        (),
        description="Host names to accept besides the local ones; `*.example.com` accepts every name below it.",
    )
    admin_token: Annotated[str, AfterValidator(_visible)] | None = Field(
        None, description="Bearer token that /debug requires, except for its health."
    )
    allowed_events: Annotated[Names | None, BeforeValidator(_split)] = Field(
        None, description="Event names to keep; other events are dropped. Without it, every event is kept."
    )
    now: Annotated[int | None, BeforeValidator(_moment)] = Field(
        None,
        ge=0,
        le=LAST_MOMENT,
        description="Freeze the clock at this time (ISO 8601 or milliseconds).",
    )
    revision: RevisionName = Field(
        DEFAULT_REVISION,
        description="Revision of the Ingest API, 2026-05 or 2026-10; an account may have another one.",
    )
    experiments: File | None = Field(
        None,
        description="TOML or JSON file with the experiments that revision 2026-10 assigns visitors to.",
    )
    tracking_plan: File | None = Field(
        None,
        description="YAML or JSON file of what events and visitors should have; what differs gets a hint.",
    )
    strict_openapi: bool = Field(
        False,
        description="Refuse other values where the OpenAPI document literally has the type string (rule any-json).",
    )
    require_identifier: bool = Field(
        True, description="Refuse a message without an identifier; otherwise it creates an anonymous visitor."
    )
    max_body_bytes: int = Field(5 * 1024 * 1024, ge=1, description="Largest body in bytes, on the wire and inflated.")
    max_row_bytes: int = Field(1024 * 1024, ge=1, description="Largest row of a batch in bytes.")
    max_visitor_bytes: int = Field(
        16 * 1024 * 1024, ge=1, description="Largest visitor in bytes: all properties, data and devices as JSON."
    )
    keep: int = Field(
        100_000,
        ge=1,
        description="How many requests, and how many events, to keep; above 400, up to 1/400 more are kept.",
    )
    keep_body_bytes: int = Field(
        256 * 1024 * 1024, ge=0, description="How many bytes of the bodies of requests and answers to keep."
    )
    keep_event_bytes: int = Field(
        512 * 1024 * 1024,
        ge=0,
        description="How many bytes of events to keep, with the earlier versions of their visitors.",
    )
    metrics: bool = Field(
        False,
        description="Serve counts for Prometheus at /metrics; needs the extra `metrics`.",
    )
    log_format: Literal["human", "json", "none"] = Field(
        "human", description="Format of the request log, one line per request: human, json or none."
    )


_OF_ONE_PROCESS = {
    "host",
    "port",
    "port_file",
    "database",
    "allowed_hosts",
    "admin_token",
    "metrics",
    "log_format",
}
"""The settings that processes which share a database need not have alike."""


def shared_settings(settings: Settings) -> dict[str, str]:
    """Return digests of the settings that processes which share a database have to have alike, by their names.

    That of a file is of its content. Raises SettingsError if it cannot be read.
    """
    # The order of tokens, keys and names has no effect.
    sets = {
        "tokens": sorted(settings.tokens),
        "public_keys": sorted(settings.public_keys),
        "allowed_events": None if settings.allowed_events is None else sorted(settings.allowed_events),
    }
    values = {**dict(settings), **sets}
    return {name: _digest(value) for name, value in values.items() if name not in _OF_ONE_PROCESS}


def _digest(value: object) -> str:
    if isinstance(value, Path):
        try:
            content = value.read_bytes()
        except OSError as error:
            raise SettingsError(file_problem(value, "read", error)) from None
    else:
        content = repr(value).encode()
    return blake2b(content, digest_size=16).hexdigest()


class Loaded:
    """Settings, and where the value of each one comes from."""

    def __init__(self, settings: Settings, origins: Mapping[str, str]) -> None:
        self.settings = settings
        self.origins = origins


def load(
    flags: Mapping[str, object] | None = None,
    file: Path | None = None,
    *,
    environment: bool = True,
    keywords: bool = False,
) -> Loaded:
    """Return the settings from *flags*, the environment, the TOML *file* and the defaults; the first one wins.

    *environment* is False for an emulator that runs inside a test, which should not depend on the shell. *keywords*:
    the flags were given as arguments of a function, and errors name them so.
    Raises SettingsError with the setting, where its value comes from, and what is wrong with it.
    """
    sources: dict[str, Mapping[str, object]] = {
        "flag": flags or {},
        "environment": _environment() if environment else {},
        "file": _read(file),
    }
    spelled = partial(_spelled, file=file, keywords=keywords)
    values: dict[str, Any] = {}
    origins = dict.fromkeys(Settings.model_fields, "default")
    for origin, source in reversed(sources.items()):
        values.update(source)
        origins.update(dict.fromkeys(source, origin))
    for name in sorted(values.keys() - Settings.model_fields.keys()):
        advice = did_you_mean(name.replace("-", "_"), Settings.model_fields)
        raise SettingsError(f"{spelled(name, origins[name])}: unknown setting{advice}")
    try:
        return Loaded(Settings.model_validate(values), origins)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        raise SettingsError(f"{spelled(name, origins[name])}: {plain(first)}") from None


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence about each variable in *environment* that begins like ours and that nothing of ours reads."""
    known = {name.upper() for name in (*Settings.model_fields, *_OTHER_VARIABLES)}
    ours = (name for name in sorted(environment) if name.upper().startswith(ENV_PREFIX))
    return [
        f"{name} has no effect: unknown variable{_suggestion(name[len(ENV_PREFIX) :], known)}"
        for name in ours
        if name[len(ENV_PREFIX) :].upper() not in known and _SERVICE.fullmatch(name[len(ENV_PREFIX) :]) is None
    ]


def _suggestion(name: str, known: Iterable[str]) -> str:
    near = nearest(name.upper(), known)
    return suggested(near and ENV_PREFIX + near)


def flag(name: str) -> str:
    """Return the flag of the setting *name* on the command line."""
    return "--" + name.replace("_", "-")


def _spelled(name: str, origin: str, file: Path | None, *, keywords: bool) -> str:
    if origin == "environment":
        return ENV_PREFIX + name.upper()
    printed = name if name.isprintable() else repr(name)
    if origin == "file":
        return f"{printed} in {file}"
    return printed if keywords else flag(printed)


def _environment() -> Mapping[str, object]:
    """Return the settings in the environment, whatever the case of their names. An empty variable is none."""
    variables = {name.upper(): value for name, value in os.environ.items() if value}
    spelled = {name: ENV_PREFIX + name.upper() for name in Settings.model_fields}
    values = {name: variables[variable] for name, variable in spelled.items() if variable in variables}
    # Kubernetes sets it so in every container beside a service that is called ours-emulator.
    linked = values.get("port", "").startswith("tcp://")
    return {name: value for name, value in values.items() if name != "port" or not linked}


def _read(file: Path | None) -> Mapping[str, object]:
    if file is None:
        return {}
    try:
        return tomllib.loads(file_text(file))
    except OSError as error:
        raise SettingsError(file_problem(file, "read", error)) from None
    except NotUtf8Error as error:
        raise SettingsError(str(error)) from None
    except (ValueError, RecursionError) as error:
        # Not only TOMLDecodeError: a number of more than 4300 digits is another ValueError.
        raise SettingsError(f"{file} is not valid TOML: {error}") from None
