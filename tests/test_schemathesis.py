"""The vendor's document, turned into requests by schemathesis: what fits it is accepted, what breaks it is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from schemathesis_hooks import TOKEN
from serving import serving

HERE = Path(__file__).parent
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
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    with serving(strict_openapi=True, tokens=TOKEN) as server:
        done = subprocess.run(
            [
                *(Path(sys.executable).with_name("schemathesis"), "--config-file", "schemathesis.toml", "run"),
                *(HERE.parent / "openapi.json", "--url", f"{server.url}/api/v1", "--mode", mode, "--no-color"),
                *("--phases", "examples,coverage,fuzzing", "--max-examples", "25", "--seed", "20260501"),
                *("--generation-deterministic", "--workers", "1"),
                *("--checks", ",".join(CHECKS)),
            ],
            env={**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE), "NO_PROXY": "*"},
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=55,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        outcomes = server.default.debug("summary")["outcomes"]
        assert outcomes["accepted" if mode == "positive" else "rejected"] > 100
