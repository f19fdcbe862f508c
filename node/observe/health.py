"""Facts about the node, gathered once, for `neurossl check` and whoever else wants to know; one line each."""

import os
import socket
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from node import charge
from node.access.secrets import secret
from node.config import Destination, Hl7Receiver, Settings, load
from node.dicomweb import store
from node.dimse import scu
from node.dimse.admission import Unresolved, resolve
from node.dimse.requestor import peer_of
from node.dimse.scu import Peer
from node.errors import ConfigurationError, Unreachable
from node.hl7 import mllp
from node.observe.encryption import of_certificates, of_tls
from node.observe.fact import Fact
from node.observe.vital import remarks
from node.process.heartbeat import pulses
from node.process.quarters import settle_in
from node.receive.recovery import is_lost
from storage import DataFolder, files, open_database
from storage.engine import quick_check, version
from storage.errors import DatabaseUnusable, FolderInUse, FolderUnusable, StorageError
from storage.schema import HEAD

ECHO_TIMEOUT_S = 5.0
HOW_TO_REBUILD = "put a copy back, or run `neurossl rebuild` to make a new one from the stored instances"


def of_configuration(path: Path) -> tuple[Fact, ...]:
    """Everything that can be known before anything runs, and how what runs is doing."""
    try:
        settings = load(path)
    except ConfigurationError as error:
        return tuple(Fact("configuration", "trouble", line) for line in str(error).splitlines())
    return (Fact("configuration", "ok", str(path)), *_of_settings(settings))


def refuse_to_start(settings: Settings) -> None:
    """Find what would stop the service before any of it starts.

    Raises ConfigurationError with one line per error, FolderInUse, and DatabaseUnusable with what to do about it.
    """
    folder = DataFolder(settings.data_folder)
    try:
        folder.create()
        with folder.lock("service"):
            pass
    except FolderUnusable as error:
        raise ConfigurationError(f"data_folder: {error}") from error
    except FolderInUse as error:
        raise FolderInUse(f"another service runs on this data folder: {error}") from error
    pages = (_network("web", settings.web.host, settings.web.port),) if settings.web.enabled else ()
    facts = (
        _of_listener(settings),
        *pages,
        *_dicomweb(settings, listens=True),
        *of_tls(settings),
        _bundle_folder(settings),
    )
    troubles = [fact.text for fact in facts if fact.level == "trouble"]
    if troubles:
        raise ConfigurationError("\n".join(troubles))
    database = _database(folder)
    if database.level == "trouble":
        raise DatabaseUnusable(database.text)


def _of_settings(settings: Settings) -> Iterator[Fact]:
    folder = DataFolder(settings.data_folder)
    yield _folder(folder)
    if folder.root.is_dir():
        yield _space(folder, settings.listener.maximum_disk_use_percent)
        yield _database(folder)
    running = _processes(folder)
    yield from running
    yield from (Fact("notices", "warning", line) for line in remarks(pulses(folder.root / "locks")))
    if not any(fact.name == "listener" and fact.level == "ok" for fact in running):
        yield _of_listener(settings)
        yield from _dicomweb(settings, listens=True)
    else:
        yield from _dicomweb(settings, listens=False)
    if settings.web.enabled and not any(fact.name == "web" and fact.level == "ok" for fact in running):
        yield _network("web", settings.web.host, settings.web.port)
    yield _senders(settings)
    yield from of_tls(settings)
    yield from of_certificates(settings)
    yield from _model(settings)
    yield from _peers(settings)
    yield from (_hl7(each) for each in settings.hl7)


def _folder(folder: DataFolder) -> Fact:
    root = folder.root
    if not root.exists():
        parent = next(each for each in root.parents if each.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            return Fact("data folder", "ok", f"{root} will be made")
        return Fact("data folder", "trouble", f"data_folder: {root} cannot be made: {parent} is not writable")
    if not (root.is_dir() and os.access(root, os.R_OK | os.W_OK | os.X_OK)):
        return Fact("data folder", "trouble", f"data_folder: {root} is not a folder that this user may write to")
    mode = root.stat().st_mode & 0o777
    if mode & 0o077:
        return Fact(
            "data folder", "warning", f"{root} can be read by others (mode {mode:o}); the next start mends that"
        )
    return Fact("data folder", "ok", f"{root}, mode {mode:o}")


def _space(folder: DataFolder, limit: int) -> Fact:
    disk = os.statvfs(folder.root)
    used, free_gib = files.disk_use_percent(folder), disk.f_bavail * disk.f_frsize / 2**30
    text = f"{free_gib:.1f} GiB free, {used:.0f} % used, instances are refused from {limit} %"
    return Fact("free space", "trouble" if used >= limit else "ok", text)


def _database(folder: DataFolder) -> Fact:
    """Opens it as the service does; a missing one is not made."""
    if is_lost(folder):
        return Fact("database", "warning", f"{folder.database} has gone: the service will rebuild it from the files")
    if not folder.database.exists():
        return Fact("database", "ok", "will be made")
    try:
        db = open_database(folder)
        try:
            quick_check(db)
            kind = version(db)
        finally:
            db.close()
    except DatabaseUnusable as error:
        return Fact("database", "trouble", f"{error}; {HOW_TO_REBUILD}")
    except StorageError as error:
        return Fact("database", "trouble", str(error))
    size_mib = folder.database.stat().st_size / 2**20
    return Fact("database", "ok", f"whole, {size_mib:.1f} MiB, schema {HEAD}, {kind}")


def _processes(folder: DataFolder) -> list[Fact]:
    found = []
    for sign in pulses(folder.root / "locks"):
        if sign.state == "stopped":
            continue
        level: Literal["ok", "trouble"] = "ok" if sign.beats else "trouble"
        text = f"{sign.state}, process {sign.pid}" if sign.beats else "died, or hangs: it gives no sign of life"
        found.append(Fact(sign.role, level, text))
    return found or [Fact("service", "ok", "does not run")]


def _of_listener(settings: Settings) -> Fact:
    return _network("listener", settings.listener.host, settings.listener.port)


def _dicomweb(settings: Settings, *, listens: bool) -> Iterator[Fact]:
    """The door for STOW-RS; `listens`: nobody does there yet, so that it can be tried."""
    dicomweb = settings.dicomweb
    if dicomweb is None:
        return
    if listens:
        yield _network("dicomweb", dicomweb.host, dicomweb.port)
    if not dicomweb.allow and dicomweb.visitors == "none":
        yield Fact("STOW-RS senders", "warning", "dicomweb.allow is empty: nobody may store by STOW-RS")
    try:
        if dicomweb.tls is not None:
            from node.dicomweb.server import server_context as web_context

            web_context(dicomweb.tls)
        for each in dicomweb.allow:
            if each.secret is not None:
                secret(each.secret, f"dicomweb.allow: {each.ae_title}")
    except ConfigurationError as error:
        yield Fact("STOW-RS", "trouble", str(error))
    yield from (
        Fact("STOW-RS senders", "trouble", f"dicomweb.allow: {each.ae_title}: {why}")
        for each in dicomweb.allow
        if (why := _unresolved(each.host))
    )


def _network(section: str, host: str, port: int) -> Fact:
    where = f"{host}:{port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such address"
        return Fact(f"{section} address", "trouble", f"{section}.port: cannot listen on {where}: {reason}")
    return Fact(f"{section} address", "ok", f"can listen on {where}")


def _senders(settings: Settings) -> Fact:
    listener = settings.listener
    if not listener.allow:
        return Fact("senders", "warning", "listener.allow is empty: nobody may send")
    hosts = [f"listener.allow: {each.ae_title}: {why}" for each in listener.allow if (why := _unresolved(each.host))]
    if hosts:
        return Fact("senders", "trouble", "; ".join(hosts))
    titles = {each.ae_title for each in listener.allow}
    for each in settings.destinations:
        if each.proof == "commitment" and each.ae_title not in titles:
            text = f"{each.ae_title} is not in listener.allow: its storage commitment reports may not come in"
            return Fact("senders", "warning", text)
    return Fact(
        "senders",
        "ok",
        ", ".join(f"{each.ae_title}{f' from {each.host}' if each.host else ''}" for each in listener.allow),
    )


def _unresolved(host: str | None) -> str:
    """What is wrong with where a sender must come from; "" where nothing is."""
    try:
        if host is not None:
            resolve(host)
    except Unresolved as error:
        return str(error)
    return ""


def _bundle_folder(settings: Settings) -> Fact:
    """Quick: its content is checked by the worker, which reads it anyway."""
    try:
        promoted = charge.of(settings)
    except ConfigurationError as error:
        return Fact("bundle", "trouble", str(error))
    bundle = charge.put(settings, promoted).worker.bundle
    key = "worker.bundle" if promoted is None else f"promoted {promoted.at} in place of worker.bundle"
    if bundle is None:
        return Fact("bundle", "trouble", f"{key}: is not set; there is no model to work with")
    if not (bundle / "manifest.json").is_file():
        return Fact("bundle", "trouble", f"{key}: {bundle} is no bundle folder: it has no manifest.json")
    return Fact("bundle", "ok", str(bundle))


def _model(settings: Settings) -> Iterable[Fact]:
    found = _bundle_folder(settings)
    if found.level == "trouble":
        return [found]
    settle_in(settings.data_folder)
    from node.work.inference import load as load_model  # with torch

    try:
        promoted = charge.of(settings)
        _, ready = load_model(charge.put(settings, promoted).worker)
        charge.refuse_another(promoted, ready.sha256)
    except ConfigurationError as error:
        return [Fact("bundle and device", "trouble", line) for line in str(error).splitlines()]
    trained = Fact("bundle", "ok", f"{ready.bundle}, sha256 {ready.sha256[:16]}…, loaded in {ready.load_s:.1f} s")
    untrained = Fact("bundle", "warning", f"{ready.bundle} is UNTRAINED: its numbers mean nothing")
    device = Fact("device", "ok", f"{ready.device}, {ready.engine}, {ready.precision}")
    return [trained if ready.trained else untrained, device]


def _peers(settings: Settings) -> Iterable[Fact]:
    peers = [
        (f"destination {each.name}", peer_of(each, settings)) for each in settings.destinations if each.url is None
    ]
    if settings.archive is not None:
        peers.append(("archive", peer_of(settings.archive, settings)))
    if not settings.destinations:
        yield Fact("destinations", "warning", "there are none: results stay in the data folder")
    yield from (_by_web(each) for each in settings.destinations if each.url is not None)
    with ThreadPoolExecutor(max(1, len(peers))) as pool:
        yield from pool.map(lambda each: _echo(*each), peers)


def _echo(name: str, peer: Peer) -> Fact:
    outcome = scu.echo(peer, ECHO_TIMEOUT_S)
    if outcome.answered and outcome.seconds is not None:
        return Fact(name, "ok", f"{peer} answers C-ECHO in {1000 * outcome.seconds:.0f} ms")
    return Fact(name, "trouble", f"{peer}: {outcome.text.removeprefix(f'{peer}: ')}")


def _by_web(destination: Destination) -> Fact:
    name = f"destination {destination.name}"
    try:
        store.connects(destination, ECHO_TIMEOUT_S)
    except (Unreachable, ConfigurationError) as error:
        return Fact(name, "trouble", f"{destination.url}: {error}")
    return Fact(name, "ok", f"{destination.url} takes connections")


def _hl7(receiver: Hl7Receiver) -> Fact:
    name, where = f"hl7 {receiver.name}", f"{receiver.host}:{receiver.port}"
    try:
        mllp.connects(receiver, ECHO_TIMEOUT_S)
    except (Unreachable, ConfigurationError) as error:
        return Fact(name, "trouble", f"{where}: {error}")
    return Fact(name, "ok", f"{where} takes connections")
