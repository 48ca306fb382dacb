"""The vendor's document, turned into requests by schemathesis: what fits it is accepted, what breaks it is refused."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from schemathesis_hooks import TOKEN
from serving import serving

HERE = Path(__file__).parent
ROOT = HERE.parent
DERIVED = ROOT / "app" / "ours_emulator" / "contract" / "documents" / "2026-10.json"
CHECKS = {
    "not_a_server_error": "",
    "status_code_conformance": "",
    "content_type_conformance": "",
    "response_headers_conformance": "",
    "response_schema_conformance": "",
    "unsupported_method": "",
    "allow_header_conformance": "",
    "positive_data_acceptance": "",
    # 413 is what the document has for more rows than it allows; 207 is a batch with a good row among bad ones.
    "negative_data_rejection": "expected-statuses = [207, 400, 401, 413, 415]",
}
CONFIG = "".join(f"[checks.{name}]\nenabled = true\n{how}\n" for name, how in CHECKS.items())


@pytest.mark.rule("schema", "any-json")
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_what_fits_the_document_is_accepted_and_what_breaks_it_is_refused(tmp_path: Path, mode: str) -> None:
    options = ("--mode", mode, "--phases", "examples,coverage,fuzzing", "--max-examples", "8")
    outcomes = tried(tmp_path, "2026-05", ROOT / "openapi.json", *options)
    assert outcomes["accepted" if mode == "positive" else "rejected"] > 100


@pytest.mark.rule("schema", "experiment-paths", "experiment-refusals")
@pytest.mark.parametrize(
    "options",
    [
        # What breaks the other schemas may be accepted all the same: a number becomes text (rule to-text).
        ("--mode", "positive", "--phases", "fuzzing", "--max-examples", "5"),
        ("--mode", "all", "--phases", "coverage", "--include-path-regex", "/experiments/"),
    ],
    ids=["all", "experiments"],
)
def test_so_it_is_with_the_derived_document(tmp_path: Path, options: Sequence[str]) -> None:
    outcomes = tried(tmp_path, "2026-10", DERIVED, *options)
    assert outcomes["accepted"] > 20
    assert (outcomes["rejected"] > 20) is ("all" in options)


def tried(tmp_path: Path, revision: str, *options: str | Path) -> dict[str, int]:
    """Send what schemathesis draws, by *options*, to an emulator; return how many events had which outcome."""
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    with serving(strict_openapi=True, tokens=TOKEN, revision=revision) as server:
        done = subprocess.run(
            [
                *(Path(sys.executable).with_name("schemathesis"), "--config-file", "schemathesis.toml", "run"),
                *options,
                *("--url", f"{server.url}/api/v1", "--no-color", "--seed", "20260501", "--workers", "1"),
                "--generation-deterministic",
                *("--checks", ",".join(CHECKS)),
            ],
            env={**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE), "NO_PROXY": "*"},
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=170,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        outcomes: dict[str, int] = server.default.debug("summary")["outcomes"]
        return outcomes
