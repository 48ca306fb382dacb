"""The settings: one frozen value, made at the edge from flag > environment > file > default."""

import re
import tomllib
from collections.abc import Mapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, create_model
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode

from ours_emulator.clock import LAST_MOMENT, milliseconds

ENV_PREFIX = "OURS_EMULATOR_"
_HOST = r"^(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$"


class SettingsError(Exception):
    """A setting that can't be used; the message is one line for the user."""


def _split(value: object) -> object:
    """Take a list as commas in one text too, as environment variables need. One that names nothing is a mistake."""
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not parts:
        raise ValueError("names nothing; leave it out if that is meant")
    return parts


def _live(token: str) -> str:
    if token.startswith("test_"):
        raise ValueError("say the live token; its test_ twin is accepted by itself")
    return token


def _key(key: str) -> str:
    if re.fullmatch(r"[ps]k_\S+", key) is None:
        raise ValueError("a key begins with pk_ or sk_")
    return key


def _named(path: Path) -> Path:
    if not path.name:
        raise ValueError("must name a file")
    return path


def _database(url: str) -> str:
    """Return *url* if it is a URL, or the path of a file; which databases there are, the store knows."""
    if "://" not in url:
        _named(Path(url))
    return url


def _text(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _moment(value: object) -> object:
    """Take a moment as text in ISO 8601 or in milliseconds; TOML has moments of its own."""
    if isinstance(value, date):
        value = value.isoformat()
    return milliseconds(value) if isinstance(value, str) else value


Names = tuple[Annotated[str, Field(min_length=1)], ...]
Token = Annotated[str, Field(min_length=1), AfterValidator(_live)]
Tokens = tuple[Token, ...]
Key = Annotated[str, AfterValidator(_key)]
Keys = tuple[Key, ...]
Hosts = tuple[Annotated[str, Field(pattern=_HOST), AfterValidator(str.lower)], ...]
File = Annotated[Path, AfterValidator(_named)]
Database = Annotated[str, BeforeValidator(_text), AfterValidator(_database)]


class Settings(BaseModel, frozen=True, extra="forbid"):
    """Everything that can be set."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(4010, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    port_file: File | None = Field(None, description="File to write the port to, once it listens.")
    database: Database | None = Field(
        None,
        description="SQLite file (path or sqlite:///path) to keep everything in. Without it, nothing outlives the "
        "process.",
    )
    seed: File | None = Field(
        None, description="JSON Lines of requests, as exported, that a new store and one that was reset begin with."
    )
    tokens: Annotated[Tokens, NoDecode, BeforeValidator(_split)] = Field(
        (),
        description="Source tokens to accept, each with its test_ twin. Without any, every token is accepted.",
    )
    public_keys: Annotated[Keys, NoDecode, BeforeValidator(_split)] = Field(
        (),
        description="Keys of the Client API (pk_…, sk_…) to accept. Without any, every such key is accepted.",
    )
    allowed_hosts: Annotated[Hosts, NoDecode, BeforeValidator(_split)] = Field(
        (),
        description="Names of this emulator in Host headers beside the local ones; `*.` stands for any beginning.",
    )
    admin_token: str | None = Field(
        None, pattern=r"^[!-~]+$", description="Bearer token that /debug asks for, its health excepted."
    )
    allowed_events: Annotated[Names | None, NoDecode, BeforeValidator(_split)] = Field(
        None, description="Event names on the allow-list. Without it, every event is kept."
    )
    now: Annotated[int | None, BeforeValidator(_moment)] = Field(
        None,
        ge=0,
        le=LAST_MOMENT,
        description="Stop the clock at this moment (ISO 8601 or milliseconds).",
    )
    strict_openapi: bool = Field(
        False,
        description="Refuse values that the OpenAPI document literally types as string (rule any-json).",
    )
    require_identifier: bool = Field(
        True, description="Refuse a message that names nobody; otherwise it makes an anonymous visitor."
    )
    max_body_bytes: int = Field(5 * 1024 * 1024, ge=1, description="Largest body, on the wire and inflated.")
    max_row_bytes: int = Field(1024 * 1024, ge=1, description="Largest row of a batch.")
    keep: int = Field(
        100_000, ge=1, description="How many requests, and how many events, are kept; above 400, up to 1/400 more."
    )
    keep_body_bytes: int = Field(256 * 1024 * 1024, ge=0, description="How many bytes of request bodies are kept.")
    log_format: Literal["human", "json", "none"] = Field(
        "human", description="How a request is logged, one line each: human, json or none."
    )


class Loaded:
    """Settings, and where each one came from."""

    def __init__(self, settings: Settings, origins: Mapping[str, str]) -> None:
        self.settings = settings
        self.origins = origins


def load(flags: Mapping[str, object] | None = None, file: Path | None = None, *, environment: bool = True) -> Loaded:
    """Return the settings from *flags*, the environment, the TOML *file* and the defaults, the first one wins.

    Without *environment*, it has no say: what runs inside a test should not depend on the shell.
    Raises SettingsError naming the setting, where it came from and what is wrong with it.
    """
    sources: dict[str, Mapping[str, object]] = {
        "flag": flags or {},
        "environment": _environment() if environment else {},
        "file": _read(file),
    }
    values: dict[str, Any] = {}
    origins = dict.fromkeys(Settings.model_fields, "default")
    for origin, source in reversed(sources.items()):
        values.update(source)
        origins.update(dict.fromkeys(source, origin))
    for name in sorted(values.keys() - Settings.model_fields.keys()):
        close = get_close_matches(name.replace("-", "_"), Settings.model_fields, n=1)
        advice = f"; did you mean {close[0]}?" if close else ""
        raise SettingsError(f"{_spelled(name, origins[name], file)}: there is no such setting{advice}")
    try:
        return Loaded(Settings.model_validate(values), origins)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        said = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{_spelled(name, origins[name], file)}: {said}") from None


def flag(name: str) -> str:
    """Return how the setting *name* is spelled on the command line."""
    return "--" + name.replace("_", "-")


def _spelled(name: str, origin: str, file: Path | None) -> str:
    if origin == "environment":
        return ENV_PREFIX + name.upper()
    printed = name if name.isprintable() else repr(name)
    return f"{printed} in {file}" if origin == "file" else flag(printed)


def _environment() -> Mapping[str, object]:
    """Return what the environment says of the settings; by themselves they would always listen to it."""
    listening = cast(type[BaseSettings], create_model("Environment", __base__=(Settings, BaseSettings)))
    return EnvSettingsSource(listening, env_prefix=ENV_PREFIX, env_ignore_empty=True)()


def _read(file: Path | None) -> Mapping[str, object]:
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{file} can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not TOML: {error}") from None
