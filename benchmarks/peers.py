"""Two mock servers that validate requests against the vendor's document and keep nothing, installed from npm."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from servers import running

_ROOT = Path(__file__).parent.parent
_DOCUMENT = str(_ROOT / "app/ours_emulator/contract/documents/2026-05.json")
_FOLDER = _ROOT / ".peers"
_INSTALLED = _FOLDER / "installed"
_EVENT = {"event": "Order Completed", "userId": "user-1", "distinctId": "check"}
# Neither a number as the event nor one in a row of a batch is valid.
_RIGHT = {"/track": {"token": "bench", **_EVENT}, "/batch": {"token": "bench", "events": [_EVENT]}}
_WRONG = {"/track": {"token": "bench", **_EVENT, "event": 5}, "/batch": {"token": "bench", "events": [{"event": 5}]}}


@dataclass(frozen=True, slots=True)
class Peer:
    """A mock server in the version that is measured, and how it is started; the port is added."""

    title: str
    package: str
    version: str
    arguments: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name with the version."""
        return f"{self.title} {self.version}"

    @property
    def command(self) -> tuple[str, ...]:
        """The command as npm installs it."""
        program, *arguments = self.arguments
        return (str(_FOLDER / "node_modules/.bin" / program), *arguments)


# Without a log, at their fastest; the emulator writes its log.
STEADY = Peer("Steady", "@stdy/cli", "0.22.2", ("steady", "--quiet", "--host", "127.0.0.1", _DOCUMENT))
PRISM = Peer("Prism", "@stoplight/prism-cli", "5.16.0", ("prism", "mock", "--verboseLevel", "silent", _DOCUMENT))
PORT_OPTION = "--port"
_PEERS = (STEADY, PRISM)


def install() -> None:
    """Install the peers once, and check that they validate. Ends the program with one line if that is impossible."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        sys.exit(f"bench: {' and '.join(missing)} not found, which the peers need; install Node.js, or omit PEERS=1")
    packages = [f"{peer.package}@{peer.version}" for peer in _PEERS]
    if not _INSTALLED.exists() or _INSTALLED.read_text().split() != packages:
        _install(packages)
    for peer in _PEERS:
        _check(peer)


def _install(packages: list[str]) -> None:
    print(f"Installing {' and '.join(packages)} into {_FOLDER.name}/ (once)...", file=sys.stderr, flush=True)
    _FOLDER.mkdir(exist_ok=True)
    # npm would otherwise look for the folder of a package above this one.
    (_FOLDER / "package.json").write_text('{"private": true}\n')
    quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--save-exact", "--loglevel=error")
    outcome = subprocess.run(["npm", "install", *quiet, *packages], cwd=_FOLDER, capture_output=True, text=True)
    if outcome.returncode:
        reason = (outcome.stderr.strip().splitlines() or [f"exit code {outcome.returncode}"])[0]
        sys.exit(f"bench: npm could not install the peers: {reason}")
    _INSTALLED.write_text("\n".join(packages))


def _check(peer: Peer) -> None:
    """End the program unless *peer* accepts what is right and refuses what is wrong: else it is no measure."""
    with running(peer.command, PORT_OPTION) as server:
        for path in _RIGHT:
            accepted, refused = (server.answer(path, json.dumps(bodies[path])).status for bodies in (_RIGHT, _WRONG))
            if accepted != 200 or not 400 <= refused < 500:
                sys.exit(
                    f"bench: {peer.name} does not validate {path}: {accepted} for a right one, {refused} for a wrong"
                )
