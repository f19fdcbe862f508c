"""Checkpoints from the Hugging Face Hub: a loopback server answers as it does, the command is a process of its own."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from model.bundle import Bundle
from model.manifest import Architecture
from tests import bundles

pytestmark = pytest.mark.slow

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as it is published."""
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint_best.pt"
    arrays = bundles.arrays(Architecture(covariance_dim=4))
    torch.save({"model_state": {name: torch.from_numpy(value) for name, value in arrays.items()}}, path)
    return path


@pytest.fixture
def hub(checkpoint: Path) -> Iterator[tuple[str, list[str]]]:
    """A loopback server that answers as the Hub does for owner/name, and the paths that it was asked for."""
    asked: list[str] = []
    content = checkpoint.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            if self.path.partition("?")[0] in ("/api/models/owner/name/revision/main", "/api/models/owner/name"):
                body = json.dumps({"id": "owner/name", "sha": COMMIT}).encode()
                return self._answer(200, body, {"Content-Type": "application/json"})
            if self.path == f"/owner/name/resolve/{COMMIT}/checkpoint_best.pt":
                return self._answer(200, content, {"X-Repo-Commit": COMMIT, "ETag": '"a1b2"'})
            kind = "EntryNotFound" if self.path.startswith("/owner/name/resolve") else "RepoNotFound"
            return self._answer(404, b"", {"X-Error-Code": kind, "X-Error-Message": "not here"})

        do_HEAD = do_GET  # noqa: N815 - the server's own name

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def neurossl(*arguments: str, endpoint: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(cwd / "hf"), "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-m", "node", "model", "import", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=100, check=False)


def test_a_repository_on_the_hub_is_pinned_to_the_commit_that_its_branch_names(
    hub: tuple[str, list[str]], tmp_path: Path
) -> None:
    endpoint, asked = hub
    done = neurossl("owner/name", "--out", "b", "--name", "from-hub", endpoint=endpoint, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    manifest = Bundle.load(tmp_path / "b").manifest
    assert (manifest.provenance["hub"], manifest.provenance["revision"]) == ("owner/name", COMMIT)
    assert f"GET /owner/name/resolve/{COMMIT}/checkpoint_best.pt" in asked
    asked.clear()
    pinned = neurossl("owner/name", "--revision", COMMIT, "--out", "c", endpoint=endpoint, cwd=tmp_path)
    assert pinned.returncode == 0, pinned.stderr
    assert not any("/api/models" in each for each in asked)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("owner/other",), "there is no such repository, or it is private"),
        (("owner/name", "--file", "other.pt"), "the revision has no file other.pt"),
    ],
)
def test_what_the_hub_does_not_have_is_named(
    hub: tuple[str, list[str]], tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = neurossl(*arguments, "--out", "b", endpoint=hub[0], cwd=tmp_path)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "b").exists()


def test_without_a_network_the_message_says_what_to_do(tmp_path: Path) -> None:
    done = neurossl("owner/name", "--out", "b", endpoint="http://127.0.0.1:9", cwd=tmp_path)
    assert done.returncode == 2
    assert "the Hub cannot be reached" in done.stderr
    assert "download checkpoint_best.pt where there is a network" in done.stderr
    assert "Traceback" not in done.stderr
