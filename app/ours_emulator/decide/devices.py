"""The devices of visitors, known and yet to appear: pure rules on plain values (rules client-devices-*)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ours_emulator.decide.identity import Name
from ours_emulator.model import Properties


@dataclass(frozen=True, slots=True)
class Waiting:
    """A device whose visitor has not appeared, and the names they may appear under. *pk* grows with age."""

    pk: int
    names: tuple[Name, ...]
    device: Properties


class PendingDevices:
    """The devices that wait for one of the visitors a group of messages may be about."""

    def __init__(self, loaded: Iterable[Waiting], next_pk: int) -> None:
        """*loaded* comes the oldest first."""
        self._here = {it.pk: it for it in loaded}
        self._next_pk = next_pk
        self.changed: dict[int, Waiting] = {}
        """What waits now and did not, or not so, before; by pk."""
        self.gone: set[int] = set()
        """What waited before and no longer does."""

    def enter(self, names: tuple[Name, ...], device: Properties) -> None:
        """Let *device* wait. The same one, under the same names, is updated instead."""
        for it in self._here.values():
            if it.names == names and _same(it.device, device):
                self._put(Waiting(it.pk, names, it.device | device))
                return
        self._put(Waiting(self._next_pk, names, device))
        self._next_pk += 1

    def leave(self, names: Iterable[Name]) -> list[Properties]:
        """Return the devices that waited for one of *names*, the oldest first; they wait no longer."""
        if not self._here:
            return []
        wanted = set(names)
        leaving = [it for it in self._here.values() if not wanted.isdisjoint(it.names)]
        for it in leaving:
            del self._here[it.pk]
            self.changed.pop(it.pk, None)
            self.gone.add(it.pk)
        return [it.device for it in leaving]

    def _put(self, waiting: Waiting) -> None:
        self._here[waiting.pk] = self.changed[waiting.pk] = waiting


def registered(known: Sequence[Properties], device: Properties) -> list[Properties]:
    """Return *known* with *device* among them: the same one is updated key by key, where null is a value too.

    The same is the one with this device_id, else the first one with this token, unless that is null.
    """
    devices = list(known)
    at = next((at for at, it in enumerate(devices) if it["device_id"] == device["device_id"]), None)
    if at is None:
        at = next((at for at, it in enumerate(devices) if _same(it, device)), None)
    if at is None:
        return [*devices, device]
    devices[at] = devices[at] | device
    return devices


def _same(one: Properties, other: Properties) -> bool:
    token = one.get("token")
    return one["device_id"] == other["device_id"] or (token is not None and token == other.get("token"))
