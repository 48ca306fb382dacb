"""The app under test: a signup service that tells Ours Privacy about its users, through the vendor's SDK."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException
from ours_privacy import APIStatusError, OursPrivacy
from pydantic import BaseModel


class Signup(BaseModel):
    """The form of the sign-up page. `gclid` is the id of the ad's click that led there."""

    email: str
    plan: str = "free"
    gclid: str | None = None


class Profile(BaseModel):
    """The form of the profile page, every field optional."""

    first_name: str | None = None
    city: str | None = None
    gclid: str | None = None


def create_app(token: str, *, send_nulls: bool = False) -> FastAPI:
    """Return the service, with the *token* of its Ours Privacy source.

    With *send_nulls* it has a bug that is easily made: it sends what nobody filled in.
    """
    # Nothing here knows of the emulator: the SDK reads OURS_PRIVACY_BASE_URL.
    ours = OursPrivacy()

    @asynccontextmanager
    async def closing(_: FastAPI) -> AsyncGenerator[None]:
        with ours:
            yield

    app = FastAPI(lifespan=closing)

    @app.post("/signup", status_code=201)
    def sign_up(form: Signup) -> dict[str, bool]:
        properties: Any = {"gclid": form.gclid} if form.gclid else {}
        try:
            answer = ours.track.event(
                token=token,
                event="Signed Up",
                email=form.email,
                event_properties={"plan": form.plan},
                user_properties=properties,
            )
        except APIStatusError as error:
            raise HTTPException(502, "the event was refused") from error
        return {"tracked": answer.success}

    @app.post("/profile/{email}")
    def change_profile(email: str, form: Profile) -> dict[str, bool]:
        properties: Any = form.model_dump(exclude_none=not send_nulls)
        return {"saved": ours.visitor.upsert(token=token, email=email, user_properties=properties).success}

    return app
