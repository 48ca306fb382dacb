"""A document from a URL."""

import asyncio

import httpx

from ours_emulator.errors import why
from ours_emulator.fidelity.documents import MAX_BYTES, DocumentError
from ours_emulator.fidelity.server import AddressError, client_for, parts_of

_MAX_REDIRECTS = 5


def downloaded(url: str, seconds: float) -> bytes:
    """Return what is at *url*, within *seconds*. Raises DocumentError or AddressError."""
    parts_of(url)
    try:
        return asyncio.run(_within(url, seconds))
    except TimeoutError:
        raise DocumentError(f"not complete within {seconds:g} s") from None
    except AddressError:
        raise
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise DocumentError(why(error)) from None


async def _within(url: str, seconds: float) -> bytes:
    async with (
        asyncio.timeout(seconds),
        client_for(url, _MAX_REDIRECTS) as client,
        client.stream("GET", url) as answer,
    ):
        if not answer.is_success:
            raise DocumentError(f"answered with status {answer.status_code}")
        # Of a few kilobytes a gigabyte could become.
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise DocumentError("answered with a compressed document, though none was asked for")
        return await _read(answer)


async def _read(answer: httpx.Response) -> bytes:
    content = bytearray()
    async for part in answer.aiter_raw():
        content += part
        if len(content) > MAX_BYTES:
            break
    return bytes(content)
