from inline_snapshot import snapshot

from checkout import check_out
from ours_emulator.emulator import Emulator


def test_an_order_is_sent(ours_emulator: Emulator) -> None:
    check_out("ann@example.com")
    event = ours_emulator.wait_for("Order Completed").stable()
    assert event["event_properties"] == snapshot({"cart": "<uuid 3>", "currency": "EUR"})
    assert event["identity"] == snapshot({"email": "ann@example.com"})
