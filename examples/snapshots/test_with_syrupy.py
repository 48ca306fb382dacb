from checkout import check_out


def test_an_order_is_sent(ours_emulator, snapshot):
    check_out("ann@example.com")
    assert ours_emulator.wait_for("Order Completed").stable() == snapshot
