"""Real peers for the tests: Debian's Orthanc, storescp and dcmqrscp, in a network that holds nothing but loopback.

These servers bind every interface, so each runs in a network namespace of its own. Entering `loopback_only()`, or any
peer, moves the calling thread there: what a test starts or connects to inside the `with` block is in the same network.

    with peers.orthanc(tmp_path, modalities={"node": ("NEUROSSL", 11112)}) as pacs:
        pacs.upload(paths)

Without root or without the program a test is skipped with the reason; where `CI` is set it fails instead.
"""

import ctypes
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

CLONE_NEWNET = 0x40000000
DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_inside = threading.local()
T = TypeVar("T")


def in_ci() -> bool:
    """Whether a missing peer is a failure."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def missing(reason: str) -> None:
    """Skip the test with this reason, or fail it in CI, where everything must be there."""
    if in_ci():
        pytest.fail(f"in CI this must be there: {reason}")
    pytest.skip(reason)


def program(name: str) -> str:
    """The path of a program of the system; pynetdicom brings others of the same names into a virtual environment."""
    elsewhere = [folder for folder in os.get_exec_path() if not folder.startswith(sys.prefix)]
    path = shutil.which(name, path=os.pathsep.join([*elsewhere, "/usr/bin", "/usr/sbin", "/usr/local/bin"]))
    if path is None:
        missing(f"{name} is not installed")
    return str(path)


@contextmanager
def loopback_only() -> Iterator[None]:
    """The calling thread, and every thread and process that it starts, in a network of loopback alone."""
    if getattr(_inside, "network", False):
        yield
        return
    if os.geteuid() != 0:
        missing("a network namespace needs root")
    ip = program("ip")
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as outside:
        if libc.unshare(CLONE_NEWNET) != 0:
            missing(f"no network namespace here: {os.strerror(ctypes.get_errno())}")
        try:
            _inside.network = True
            subprocess.run([ip, "link", "set", "lo", "up"], check=True)
            yield
        finally:
            _inside.network = False
            libc.setns(outside.fileno(), CLONE_NEWNET)


def in_netns(command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in the network of the enclosing peer, or in an empty one; output as text."""
    with loopback_only():
        return subprocess.run(command, capture_output=True, text=True, **{"timeout": 60, "check": False, **options})


def free_port() -> int:
    """A port of the current network on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(ask: Callable[[], T | None], what: str, *, timeout_s: float = 30, every_s: float = 0.1) -> T:
    """The first truthy answer; fails, naming what was waited for."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(every_s)
    pytest.fail(f"waited {timeout_s:g} s for {what}")


@contextmanager
def process(
    command: Sequence[str | Path], log: Path, *, stop_s: float = 10, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A server for the length of the block, output to `log`. SIGTERM, and SIGKILL when it lingers."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        started = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **options
        )
    try:
        yield started
    finally:
        started.terminate()
        with suppress(subprocess.TimeoutExpired):
            started.wait(stop_s)
        started.kill()
        started.wait()


def listening(port: int, server: subprocess.Popen[bytes], log: Path, *, timeout_s: float = 30) -> None:
    """Wait until the server accepts connections there; fails with the end of its log."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    pytest.fail(f"nothing listens on {port}, exit code {server.poll()}:\n{log.read_text(errors='replace')[-2000:]}")


def _environment(nagle: bool) -> dict[str, str]:
    """DCMTK and Orthanc leave Nagle's algorithm on unless this is set."""
    return {**os.environ, **({} if nagle else {"TCP_NODELAY": "1"})}


@dataclass(frozen=True)
class Scp:
    """A DICOM server that keeps what it gets as files in `folder`."""

    ae_title: str
    port: int
    folder: Path
    log: Path

    def files(self) -> list[Path]:
        """What it has stored so far."""
        return sorted(path for path in self.folder.iterdir() if path.is_file() and path.name != "index.dat")


@contextmanager
def storescp(
    folder: Path, *options: str, ae_title: str = "STORESCP", port: int = 0, nagle: bool = True
) -> Iterator[Scp]:
    """DCMTK's storescp, as Debian ships it unless `nagle` is false."""
    command = program("storescp")
    with loopback_only():
        port = port or free_port()
        kept, log = folder / "storescp", folder / "storescp.log"
        kept.mkdir(parents=True, exist_ok=True)
        arguments: list[str | Path] = [command, *options, "-aet", ae_title, "-od", kept, "+xa", str(port)]
        with process(arguments, log, env=_environment(nagle)) as server:
            listening(port, server, log)
            yield Scp(ae_title, port, kept, log)


@contextmanager
def dcmqrscp(
    folder: Path,
    *,
    ae_title: str = "DCMQRSCP",
    port: int = 0,
    peers: Mapping[str, tuple[str, int]] | None = None,
) -> Iterator[Scp]:
    """DCMTK's small archive: stores, answers C-FIND, and C-MOVEs to `peers` (name -> AE title, port)."""
    command = program("dcmqrscp")
    with loopback_only():
        port = port or free_port()
        kept, log, settings = folder / "dcmqrscp", folder / "dcmqrscp.log", folder / "dcmqrscp.cfg"
        kept.mkdir(parents=True, exist_ok=True)
        hosts = [f"{name} = ({title}, 127.0.0.1, {at})" for name, (title, at) in (peers or {}).items()]
        lines = [
            f"NetworkTCPPort = {port}",
            "MaxPDUSize = 16384",
            "MaxAssociations = 16",
            "HostTable BEGIN",
            *hosts,
            "HostTable END",
            "VendorTable BEGIN",
            "VendorTable END",
            "AETable BEGIN",
            f"{ae_title} {kept} RW (200, 1024mb) ANY",
            "AETable END",
        ]
        settings.write_text("\n".join(lines) + "\n")
        with process([command, "-c", settings], log) as server:
            listening(port, server, log)
            yield Scp(ae_title, port, kept, log)


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc and its REST interface."""

    ae_title: str
    port: int
    http_port: int
    log: Path

    def ask(self, method: str, path: str, body: bytes | str | Mapping[str, Any] | None = None) -> Any:
        """The JSON answer of a REST call, or its bytes when it is something else; fails on an HTTP error."""
        sent = json.dumps(body) if isinstance(body, Mapping) else body
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=60)
        try:
            connection.request(method, path, sent)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status >= 400:
            pytest.fail(f"Orthanc: {method} {path}: {response.status} {content[:500]!r}")
        return json.loads(content) if "json" in response.headers.get("Content-Type", "") else content

    def upload(self, paths: Iterable[Path]) -> None:
        """Store files, as its web interface does."""
        for path in paths:
            self.ask("POST", "/instances", path.read_bytes())

    def study(self, study_instance_uid: str) -> str:
        """Orthanc's own identifier of a study, "" when it has none."""
        found = self.ask("POST", "/tools/lookup", study_instance_uid)
        return next((str(item["ID"]) for item in found if item["Type"] == "Study"), "")

    def instances(self, study_instance_uid: str, modality: str | None = None) -> list[str]:
        """Orthanc's identifiers of the instances of a study, of one modality when it is given."""
        series = self.ask("GET", f"/studies/{self.study(study_instance_uid)}/series")
        wanted = [each for each in series if modality in (None, each["MainDicomTags"]["Modality"])]
        return [str(instance) for each in wanted for instance in each["Instances"]]

    def file(self, instance: str) -> bytes:
        """The stored Part 10 file."""
        return bytes(self.ask("GET", f"/instances/{instance}/file"))

    def send(self, modality: str, study_instance_uid: str) -> Mapping[str, Any]:
        """C-STORE a whole study to a configured modality; its answer counts what failed."""
        body = json.dumps({"Resources": [self.study(study_instance_uid)], "Synchronous": True, "Timeout": 60})
        answer: Mapping[str, Any] = self.ask("POST", f"/modalities/{modality}/store", body)
        return answer


@contextmanager
def orthanc(
    folder: Path,
    *,
    ae_title: str = "ORTHANC",
    port: int = 0,
    modalities: Mapping[str, tuple[str, int]] | None = None,
    dicomweb: bool = False,
    nagle: bool = True,
    **settings: Any,
) -> Iterator[Orthanc]:
    """Orthanc as the PACS; `modalities` (name -> AE title, port) is whom it sends to and takes from."""
    command = program("Orthanc")
    with loopback_only():
        port = port or free_port()
        http_port = free_port()
        kept, log = folder / "orthanc", folder / "orthanc.log"
        kept.mkdir(parents=True, exist_ok=True)
        configuration = {
            "Name": "PACS of the tests",
            "StorageDirectory": str(kept),
            "IndexDirectory": str(kept),
            "DicomAet": ae_title,
            "DicomPort": port,
            "HttpPort": http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "StableAge": 1,
            "DicomModalities": {
                name: {"AET": title, "Host": "127.0.0.1", "Port": at}
                for name, (title, at) in (modalities or {}).items()
            },
            "Plugins": [str(DICOMWEB_PLUGIN)] if dicomweb else [],
            **settings,
        }
        if dicomweb and not DICOMWEB_PLUGIN.exists():
            missing("orthanc-dicomweb is not installed")
        path = folder / "orthanc.json"
        path.write_text(json.dumps(configuration, indent=2))
        with process([command, path], log, env=_environment(nagle)) as server:
            listening(http_port, server, log)
            listening(port, server, log)
            yield Orthanc(ae_title, port, http_port, log)
