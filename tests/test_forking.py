"""Do processes that are forked run what they were told?"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import forking


def test_the_orders_of_several_threads_do_not_mix(tmp_path: Path) -> None:
    env = {**os.environ, "LONGER_THAN_A_PIPE": "x" * 100_000}
    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(forking.run, ["--version"], tmp_path, env) for _ in range(16)]
    assert {(run.result().returncode, run.result().stderr) for run in runs} == {(0, "")}
