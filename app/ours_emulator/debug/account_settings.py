"""What an account accepts, as a call sets it, and as an export carries it to another emulator."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ours_emulator.accounts import Accounts
from ours_emulator.contract.account import AccountConfig
from ours_emulator.contract.experiments import Experiment
from ours_emulator.contract.experiments import Key as ExperimentKey
from ours_emulator.contract.revision import revision
from ours_emulator.contract.tracking_plan import GivenPlan
from ours_emulator.model import DEFAULT_REVISION, RevisionName, allowed
from ours_emulator.settings import Key, Token


class AccountSettings(BaseModel):
    """What an account accepts. The defaults are those of an emulator that was started without settings."""

    is_slow: ClassVar[bool] = True
    """They may have a tracking plan, which is."""
    model_config = ConfigDict(extra="forbid", strict=True)

    tokens: list[Token] = Field(default=[])
    public_keys: list[Key] = Field(default=[])
    allowed_events: list[Annotated[str, Field(min_length=1)]] | None = None
    require_identifier: bool = True
    strict_openapi: bool = False
    revision: RevisionName = DEFAULT_REVISION
    experiments: dict[ExperimentKey, Experiment] = Field(default={})
    tracking_plan: GivenPlan | None = Field(
        default=None, description="What events and visitors should have: an object, or its text in YAML or JSON."
    )

    def config(self, before: AccountConfig) -> AccountConfig:
        """Return the configuration of the account; *before* has what is not given."""
        given = self.model_fields_set
        names = self.allowed_events
        return replace(
            before,
            tokens=frozenset(self.tokens) if "tokens" in given else before.tokens,
            keys=frozenset(self.public_keys) if "public_keys" in given else before.keys,
            allowed_events=(None if names is None else allowed(names))
            if "allowed_events" in given
            else before.allowed_events,
            require_identifier=self.require_identifier if "require_identifier" in given else before.require_identifier,
            strict_openapi=self.strict_openapi if "strict_openapi" in given else before.strict_openapi,
            experiments=self.experiments if "experiments" in given else before.experiments,
            tracking_plan=self.tracking_plan if "tracking_plan" in given else before.tracking_plan,
            revision=revision(self.revision) if "revision" in given else before.revision,
        )

    def hidden(self, hide_token: Callable[[str], str], hide_key: Callable[[str], str]) -> "AccountSettings":
        """Return the same with other tokens and keys."""
        secrets = {"tokens": [*map(hide_token, self.tokens)], "public_keys": [*map(hide_key, self.public_keys)]}
        return self.model_copy(update=secrets)


def settings_of(config: AccountConfig) -> AccountSettings:
    """Return the settings that *config* was made of; event names are as an allow-list compares them."""
    names = config.allowed_events
    # Not validated: accounts that a program configures may have what no setting offers.
    return AccountSettings.model_construct(
        tokens=sorted(config.tokens),
        public_keys=sorted(config.keys),
        # A name of nothing but white space, which no event has, is trimmed to an empty one.
        allowed_events=None if names is None else sorted(filter(None, names)),
        require_identifier=config.require_identifier,
        strict_openapi=config.strict_openapi,
        revision=config.revision.name,
        experiments=dict(config.experiments),
        tracking_plan=config.tracking_plan,
    )


def give_settings(accounts: Accounts, name: str, recorded: AccountSettings) -> bool:
    """Give the account *name* the *recorded* settings if it has none of its own; return whether it keeps others.

    Whoever chose settings, if only the defaults, wants to know what the requests do under these. A closed account keeps
    nothing.
    """
    account = accounts.open(name)
    if account is None:
        return False
    own, wanted = settings_of(account.config), recorded.config(account.config)
    if account.is_configured or own != AccountSettings():
        return own != settings_of(wanted)
    accounts.configure(wanted)
    return False
