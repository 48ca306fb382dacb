"""What is known of the vendor's Python SDK: which of its versions are made for which revision."""

import re

from ours_emulator.contract.revision import Revision

_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})[0-9A-Za-z.+-]{0,30}")
_FIRST_NEWER = (1, 30)
"""Released on 2026-09-23. By the docstrings of this SDK, `oursprivacy-client`, an identifier that matches
nobody leaves the decision to the next one from this version on, as in revision 2026-10."""


def newer_note(version: str, revision: Revision) -> str:
    """Return a note that *version* of the SDK is made for a newer revision than *revision*; "" if it is not."""
    found = _VERSION.fullmatch(version)
    if revision.newer is None or found is None or (int(found[1]), int(found[2])) < _FIRST_NEWER:
        return ""
    return (
        f"the vendor's Python SDK {version} is made for revision {revision.newer}; "
        f"this account has {revision.name} (--revision {revision.newer} changes that)"
    )
