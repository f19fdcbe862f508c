"""A command in a network where everybody can be called and nobody answers, and what it asked, called and wrote there.

    with watched.network() as network:
        ran = network.run([sys.executable, "-m", "node", "demo"], tmp_path)
    assert (network.asked, network.called, ran.wrote) == (set(), set(), set())

Every address of the world leads to loopback, where each packet is seen; a name server knows every name; the home folder
is empty and cannot be written; strace tells of each file that is opened to be written, made or renamed. Needs root.
"""

import os
import re
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from tests import peers

EVERY_PROTOCOL = 0x0003  # of packet(7)
IPV4, IPV6, UDP = 0x0800, 0x86DD, 17
ELSEWHERE = "192.0.2.7"  # what every name resolves to
MAKING = "open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mknod,mknodat"
WRITING = re.compile(r"open\w*\(.*(O_WRONLY|O_RDWR|O_CREAT)|(creat|mk|rename|link|symlink)\w*\(")
NO_FILES = ("/dev/", "/proc/", "pipe:", "socket:")


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    output: str
    wrote: set[str]  # paths outside the folders that it may write


@dataclass
class Network:
    """What was heard in it."""

    asked: set[str] = field(default_factory=set)  # names that were looked up
    called: set[str] = field(default_factory=set)  # addresses beyond this machine

    def run(self, command: Sequence[str | Path], folder: Path, *, timeout_s: float = 280, **environment: str) -> Ran:
        """Run it to its end; `folder` is where it may write, beside what its home and strace need."""
        home, scratch, trace = folder / "home", folder / "scratch", folder / "trace"
        home.mkdir(mode=0o500, parents=True)
        scratch.mkdir()
        names = folder / "resolv.conf"
        names.write_text("nameserver 127.0.0.1\n")
        strace = [peers.program("strace"), "-f", "--seccomp-bpf", "-y", "-qq", "-e", f"trace={MAKING}", "-o", trace]
        stranger = [peers.program("unshare"), "--user", "--map-user=54321", "--map-group=54321"]
        inner = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        line = [peers.program("unshare"), "--mount", "sh", "-c", inner, names, *stranger, *strace, *command]
        ended = subprocess.run(
            line,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(scratch), **environment},
        )
        assert list(home.iterdir()) == []
        return Ran(ended.returncode, ended.stdout + ended.stderr, set(_written(trace.read_text())))


@contextmanager
def network() -> Iterator[Network]:
    """The calling thread is in it."""
    heard, done = Network(), threading.Event()
    with peers.loopback_only():
        for family in ("-4", "-6"):
            command = [peers.program("ip"), family, "route", "add", "local", "default", "dev", "lo"]
            subprocess.run(command, check=True)
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(EVERY_PROTOCOL)) as packets:
            packets.bind(("lo", EVERY_PROTOCOL))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as names:
                names.bind(("127.0.0.1", 53))
                threads = [
                    threading.Thread(target=_listen, args=(packets, heard.called, done)),
                    threading.Thread(target=_answer, args=(names, heard.asked, done)),
                ]
                for thread in threads:
                    thread.start()
                try:
                    yield heard
                finally:
                    done.set()
                    for thread in threads:
                        thread.join()


def _listen(packets: socket.socket, called: set[str], done: threading.Event) -> None:
    packets.settimeout(0.2)
    while not done.is_set():
        try:
            packet, (_, protocol, *_) = packets.recvfrom(65536)
        except TimeoutError:
            continue
        if protocol not in (IPV4, IPV6):
            continue
        target = ip_address(packet[16:20] if protocol == IPV4 else packet[24:40])
        if not target.is_loopback and not target.is_multicast:
            called.add(str(target))


def _answer(names: socket.socket, asked: set[str], done: threading.Event) -> None:
    """A name server that knows the address of everybody (RFC 1035 4)."""
    names.settimeout(0.2)
    while not done.is_set():
        try:
            query, client = names.recvfrom(512)
        except TimeoutError:
            continue
        labels, position = [], 12
        while query[position]:
            labels.append(query[position + 1 : position + 1 + query[position]].decode())
            position += 1 + query[position]
        asked.add(".".join(labels))
        (kind,) = struct.unpack_from(">H", query, position + 1)
        known = kind == 1
        head = query[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, int(known), 0, 0)
        answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(ELSEWHERE) if known else b""
        names.sendto(head + query[12 : position + 5] + answer, client)


def _written(trace: str) -> Iterator[str]:
    """Each path that was successfully opened for writing, made, or is the target of a renaming."""
    for line in trace.splitlines():
        call = line.partition(" ")[2].lstrip()
        if " = -1 " in line or not WRITING.match(call):
            continue
        quoted = re.findall(r'"((?:[^"\\]|\\.)*)"', call)
        if not quoted:
            continue
        folder = re.search(r"<([^>]*)>", call)
        path = quoted[-1] if quoted[-1].startswith("/") or folder is None else f"{folder[1]}/{quoted[-1]}"
        if not path.startswith(NO_FILES):
            yield path
