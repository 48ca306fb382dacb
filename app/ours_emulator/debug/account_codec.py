"""Accounts as text, as which processes share them that use one database."""

import json
from dataclasses import asdict, replace
from typing import Any

from ours_emulator.accounts import Account, ClosedAccount, OpenAccount
from ours_emulator.clock import Clock
from ours_emulator.contract.account import AccountConfig
from ours_emulator.debug.account_settings import AccountSettings, settings_of
from ours_emulator.debug.faults import FaultBody
from ours_emulator.decide.faults import ActiveFault, Bucket, Faults
from ours_emulator.jsontext import json_text
from ours_emulator.store import StoreError


class JsonAccounts:
    """Accounts as JSON. Settings that nobody chose are not in it: each process has those that it was started with.

    What was chosen last is remembered for each account: a tracking plan takes a while to read, and each request that a
    fault matches changes its account.
    """

    def __init__(self) -> None:
        self._chosen: dict[str, tuple[AccountConfig, str]] = {}

    def encode(self, account: Account) -> str:
        """Return *account* as text."""
        if isinstance(account, ClosedAccount):
            return json_text({"late_requests": account.late_requests})
        settings = self._settings_text(account.config) if account.is_configured else None
        faults = [_encoded(active) for active in account.faults.active]
        clock = asdict(account.clock)
        return json_text({"settings": settings, "clock": clock, "faults": faults, "newer_sdk": account.newer_sdk})

    def decode(self, text: str, template: AccountConfig) -> Account:
        """Return the account in *text*; *template* has what nobody chose. Raises StoreError for what it cannot read."""
        try:
            return self._decoded(json.loads(text), template)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"account {template.name} was stored by another version of ours-emulator; use the same everywhere"
            ) from error

    def _decoded(self, stored: dict[str, Any], template: AccountConfig) -> Account:
        if "late_requests" in stored:
            return ClosedAccount(stored["late_requests"])
        settings = stored["settings"]
        config = template if settings is None else self._config(settings, template)
        faults = Faults(tuple(map(_fault_in, stored["faults"])))
        return OpenAccount(config, Clock(**stored["clock"]), faults, settings is not None, stored["newer_sdk"])

    def _settings_text(self, config: AccountConfig) -> str:
        known, text = self._chosen.get(config.name, (None, ""))
        if known is not config:
            text = json_text(settings_of(config).model_dump(mode="json", warnings=False))
            self._chosen[config.name] = config, text
        return text

    def _config(self, text: str, template: AccountConfig) -> AccountConfig:
        config, known = self._chosen.get(template.name, (template, ""))
        if known != text:
            config = AccountSettings.model_validate(json.loads(text)).config(template)
            self._chosen[template.name] = config, text
        return config


def _encoded(active: ActiveFault) -> dict[str, Any]:
    fault = {"name": active.fault.name, "definition": active.fault.definition}
    return {**fault, "matched": active.matched, "hits": active.hits, "bucket": asdict(active.bucket)}


def _fault_in(stored: dict[str, Any]) -> ActiveFault:
    fault = FaultBody.model_validate(stored["definition"]).fault(stored["name"])
    return replace(
        ActiveFault(fault), matched=stored["matched"], hits=stored["hits"], bucket=Bucket(**stored["bucket"])
    )
