"""What the service sees to besides its processes: the dead, the program on the disk, systemd, SIGHUP, its quarters."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from node.config import Destination, Settings, Tls
from node.errors import ConfigurationError
from node.process import notify
from node.process.installation import fingerprint
from node.process.reaping import reap_strangers
from node.service import upkeep
from node.service.upkeep import ProgramReplaced, Reload, Upkeep

ROOT = Path(__file__).resolve().parents[2]
REAPER = """
import ctypes, os, subprocess, sys, time
from node.process.reaping import reap_strangers
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans come to us, as to process 1
mine = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
parent = subprocess.Popen([sys.executable, "-c", "import subprocess; subprocess.Popen(['sleep', '0.1'])"])
parent.wait()
time.sleep(1)
mine_was_left = reap_strangers({mine.pid}) in (0, 1) and mine.wait() == 7
reap_strangers({mine.pid})
children = open(f"/proc/self/task/{os.getpid()}/children").read().split()
print(mine_was_left, children)
"""


def test_orphans_are_reaped_and_our_own_children_are_left_to_whoever_waits_for_them() -> None:
    told = subprocess.run([sys.executable, "-c", REAPER], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout.split(maxsplit=1) == ["True", "[]\n"]


def test_nobody_dead_is_nobody_reaped() -> None:
    assert reap_strangers(()) == 0


def test_a_program_that_is_replaced_has_another_fingerprint(tmp_path: Path) -> None:
    source = tmp_path / "node" / "one.py"
    source.parent.mkdir()
    source.write_text("1")
    before = fingerprint(tmp_path)
    assert fingerprint(tmp_path) == before
    source.write_text("22")
    assert fingerprint(tmp_path) != before
    source.unlink()
    assert fingerprint(tmp_path) != before


def test_the_service_ends_when_its_program_was_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [frozenset({("a", 1, 1)})]
    monkeypatch.setattr(upkeep, "fingerprint", lambda: found[0])
    kept = Upkeep()
    kept.same_program()
    found[0] = frozenset({("a", 2, 2)})
    with pytest.raises(ProgramReplaced, match="started anew as a whole"):
        kept.same_program()


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify.notify(notify.READY)
        assert heard.recv(100) == b"READY=1"
        notify.notify(notify.reloading())
        assert heard.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    notify.notify(notify.ALIVE)  # gone: no error
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify.notify(notify.ALIVE)


def settings(**values: object) -> Settings:
    return Settings(**values)  # type: ignore[arg-type]


def reloaded(old: Settings, new: Settings | ConfigurationError) -> Settings | None:
    hangup = threading.Event()

    def read() -> Settings:
        if isinstance(new, ConfigurationError):
            raise new
        return new

    reload = Reload(old, read, hangup)
    assert reload.wanted() is None
    hangup.set()
    found = reload.wanted()
    assert reload.wanted() is None
    return found


def test_a_hangup_reads_the_settings_again_and_starts_anew_only_what_can_be() -> None:
    new = settings(stop_timeout_s=7)
    assert reloaded(settings(), new) == new
    assert reloaded(settings(), settings()) is None
    assert reloaded(settings(), ConfigurationError("listener.port: is wrong")) is None
    assert reloaded(settings(), settings(data_folder="elsewhere")) is None


def test_a_renewed_certificate_is_a_change(tmp_path: Path) -> None:
    paths = {name: tmp_path / name for name in ("certificate", "key", "authorities")}
    for path in paths.values():
        path.write_text("old")
    pacs = Destination(name="pacs", ae_title="PACS", host="h", port=1, tls=Tls(**paths))
    hangup = threading.Event()
    reload = Reload(settings(destinations=(pacs,)), lambda: settings(destinations=(pacs,)), hangup)
    hangup.set()
    assert reload.wanted() is None
    paths["certificate"].write_text("new")
    hangup.set()
    assert reload.wanted() is not None


QUARTERS = """
import os, sys
from pathlib import Path
from node.process.quarters import settle_in
settle_in(Path(sys.argv[1]))
import getpass, matplotlib
print(getpass.getuser(), Path.home(), matplotlib.get_cachedir())
"""


def test_libraries_find_a_home_and_a_name_where_there_is_none(tmp_path: Path) -> None:
    told = subprocess.run(
        ["unshare", "--user", "--map-user=54321", sys.executable, "-c", QUARTERS, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
        cwd=ROOT,
    )
    if "unshare" in told.stderr:
        pytest.skip("no user namespace here")
    assert told.stdout.split() == ["neurossl", str(tmp_path / "cache"), str(tmp_path / "cache")]


def test_no_reporter_can_be_imported_once_the_model_was() -> None:
    code = "import model, openvino, sys; print(sys.modules['openvino_telemetry'])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout == "None\n"
