"""The endpoints below /experiments, which only a revision with experiments has: names, paths and words."""

ASSIGNMENTS, PERSONALIZATION = "assignments", "personalization"
EXPERIMENT_ENDPOINTS = (ASSIGNMENTS, PERSONALIZATION)
ASSIGNMENTS_PATH, PERSONALIZATION_PATH = "/experiments/assignments/", "/experiments/personalization"
"""Where they are; the first is followed by the key of an experiment."""
VISITOR_ID = "visitor_id"
"""The identifier in their bodies."""
IMPRESSION_EVENT = "$experiment_impression"


def is_experiment_path(path: str) -> bool:
    """Tell whether *path* is that of one of these endpoints."""
    return ASSIGNMENTS_PATH in path or PERSONALIZATION_PATH in path
