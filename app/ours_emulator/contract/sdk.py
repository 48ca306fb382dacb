"""What is known of the vendor's Python SDK: which of its versions are made for which revision."""

import re

_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})[0-9A-Za-z.+-]{0,30}")
_FIRST_LATER = (1, 30)
"""Released on 2026-09-23. By the docstrings of this SDK, `oursprivacy-client`, an identifier that matches
nobody leaves the decision to the next one from this version on, as in revision 2026-10."""


def made_for_later(version: str) -> bool:
    """Tell whether *version* of the SDK is made for a revision after 2026-05; of what is no version, never."""
    found = _VERSION.fullmatch(version)
    return found is not None and (int(found[1]), int(found[2])) >= _FIRST_LATER
