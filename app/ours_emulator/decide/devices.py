"""The devices of visitors, known and yet to appear: pure rules on plain values (rules client-devices-*)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ours_emulator.decide.identity import Name
from ours_emulator.model import Properties


@dataclass(frozen=True, slots=True)
class PendingDevice:
    """A device whose visitor has not appeared, and the names they may appear under. *pk* grows with age."""

    pk: int
    names: tuple[Name, ...]
    device: Properties


class PendingDevices:
    """The pending devices of the visitors that a group of messages may be about."""

    def __init__(self, loaded: Iterable[PendingDevice], next_pk: int) -> None:
        """*loaded* comes the oldest first."""
        self._pending = {pending.pk: pending for pending in loaded}
        self._next_pk = next_pk
        self.changed: dict[int, PendingDevice] = {}
        """What is pending now and was not, or not so, before; by pk."""
        self.removed: set[int] = set()
        """What was pending before and no longer is."""

    def add(self, names: tuple[Name, ...], device: Properties) -> None:
        """Keep *device* until a visitor with one of *names* appears. The same one, under the same names, is updated."""
        for pending in self._pending.values():
            if pending.names == names and _same(pending.device, device):
                self._put(PendingDevice(pending.pk, names, pending.device | device))
                return
        self._put(PendingDevice(self._next_pk, names, device))
        self._next_pk += 1

    def __bool__(self) -> bool:
        """Whether any device is pending."""
        return bool(self._pending)

    def take(self, names: Iterable[Name]) -> list[Properties]:
        """Return the devices pending for one of *names*, the oldest first; they are pending no longer."""
        wanted = set(names)
        taken = [pending for pending in self._pending.values() if not wanted.isdisjoint(pending.names)]
        for pending in taken:
            del self._pending[pending.pk]
            self.changed.pop(pending.pk, None)
            self.removed.add(pending.pk)
        return [pending.device for pending in taken]

    def _put(self, pending: PendingDevice) -> None:
        self._pending[pending.pk] = self.changed[pending.pk] = pending


def registered(known: Sequence[Properties], device: Properties) -> tuple[Properties, ...]:
    """Return *known* with *device* among them: the same one is updated key by key, where null is a value too.

    The same is the one with this device_id, else the first one with this token, unless that is null or "".
    """
    by_id = (index for index, other in enumerate(known) if other["device_id"] == device["device_id"])
    by_token = (index for index, other in enumerate(known) if _same(other, device))
    index = next(by_id, next(by_token, None))
    if index is None:
        return (*known, device)
    return (*known[:index], known[index] | device, *known[index + 1 :])


def _same(one: Properties, other: Properties) -> bool:
    token = one.get("token")
    return one["device_id"] == other["device_id"] or (token not in (None, "") and token == other.get("token"))
