"""An app that sends what happens in its shop."""

from uuid import uuid4

from ours_privacy import OursPrivacy


def check_out(email: str) -> None:
    """Pay a cart of its own."""
    with OursPrivacy() as client:
        client.track.event(
            token="my-token",
            event="Order Completed",
            email=email,
            event_properties={"cart": str(uuid4()), "currency": "EUR"},
        )
