from syrupy.assertion import SnapshotAssertion

from checkout import check_out
from ours_emulator.emulator import Emulator


def test_an_order_is_sent(ours_emulator: Emulator, snapshot: SnapshotAssertion) -> None:
    check_out("ann@example.com")
    assert ours_emulator.wait_for("Order Completed").stable() == snapshot
