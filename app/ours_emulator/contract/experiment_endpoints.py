"""The endpoints below /experiments, which only a revision with experiments has: names, paths and words."""

from ours_emulator.contract.paths import INGEST_BASE

ASSIGNMENTS, PERSONALIZATION = "assignments", "personalization"
EXPERIMENT_ENDPOINTS = (ASSIGNMENTS, PERSONALIZATION)
ASSIGNMENTS_PATH, PERSONALIZATION_PATH = "/experiments/assignments/", "/experiments/personalization"
"""Where they are; the first is followed by the key of an experiment."""
VISITOR_ID = "visitor_id"
"""The identifier in their bodies."""
IMPRESSION_EVENT = "$experiment_impression"


def experiment_endpoint(path: str) -> str | None:
    """Return the endpoint at *path*, within an account, if the revision has experiments (rule experiment-paths)."""
    below = path.removeprefix(INGEST_BASE)
    if below.removesuffix("/") == PERSONALIZATION_PATH:
        return PERSONALIZATION
    has_key = below.startswith(ASSIGNMENTS_PATH) and below != ASSIGNMENTS_PATH
    return ASSIGNMENTS if has_key else None
