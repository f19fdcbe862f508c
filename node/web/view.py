"""Templates, and the words that the pages put things in."""

from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from node.logs import CONTROL

HERE = Path(__file__).parent
STATIC = HERE / "static"
THEMES = ("auto", "light", "dark")
LONGEST_TEXT = 300
INVISIBLE = {code: f"⟨U+{code:04X}⟩" for code in (*CONTROL, 0x061C, *range(0x200B, 0x2010), 0xFEFF)}


def page(request: Request, template: str, status: int = 200, **facts: Any) -> HTMLResponse:
    """A whole page for whoever asks."""
    return HTMLResponse(part(request, template, **facts), status)


def part(request: Request, template: str, **facts: Any) -> str:
    """A page or a part of one as HTML."""
    return templates().get_template(template).render({**surroundings(request), **facts})


def surroundings(request: Request) -> dict[str, Any]:
    """What every template knows."""
    site = request.app.state.site
    theme = request.cookies.get("theme", "auto")
    return {
        "here": request.url.path,
        "visitor": request.state.visitor,
        "theme": theme if theme in THEMES else "auto",
        "token": site.seal.token(request.state.form_key),
        "node_name": site.settings.listener.ae_title,
        "now": datetime.now(UTC),
    }


@cache
def templates() -> Environment:
    """Everything that is put into them is escaped; a name that is not there is an error."""
    found = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.globals["static"] = static
    found.filters |= {
        "shown": shown,
        "uid": uid,
        "ago": ago,
        "span": span,
        "took": took,
        "when": when,
        "iso": iso,
        "number": number,
        "size": size,
        "count": count,
    }
    return found


@cache
def static(name: str) -> str:
    """The address of a file of ours; it changes with the content, so that a browser may keep it."""
    return f"/static/{name}?v={sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


def shown(value: object, longest: int = LONGEST_TEXT) -> str:
    """Text that somebody else chose, cut, and with what is invisible or turns the direction of writing made visible.

    >>> shown("T1" + chr(0x202e) + "gpj")
    'T1⟨U+202E⟩gpj'
    """
    text = str(value)
    return text[:longest].translate(INVISIBLE) + ("…" if len(text) > longest else "")


def uid(value: str) -> str:
    """A UID, short enough for a row: its end tells it from others.

    >>> uid("1.2.826.0.1.3680043.8.498.12345678901234567890")
    '1.2.826.0…678901234567890'
    """
    text = shown(value, 64)
    return text if len(text) <= 26 else f"{text[:9]}…{text[-15:]}"


def ago(at: datetime, now: datetime) -> str:
    """How long ago, in words."""
    return f"{span(max(0, int((now - at).total_seconds())))} ago"


def span(seconds: float) -> str:
    """A length of time in one unit, or two where one says too little.

    >>> [span(each) for each in (0.25, 75, 3700, 90000, 1e7)]
    ['0.25 s', '1 min', '1 h 1 min', '1 d 1 h', '115 d']
    """
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if minutes < 1:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if hours < 1:
        return f"{minutes} min"
    if days < 1:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{days} d {hours % 24} h" if days < 10 and hours % 24 else f"{days} d"


def took(seconds: float) -> str:
    """How long something took; shorter than a minute to the tenth.

    >>> [took(each) for each in (0.004, 1.26, 75, 3700)]
    ['under 0.1 s', '1.3 s', '1 min', '1 h 1 min']
    """
    if seconds >= 60:
        return span(seconds)
    return f"{seconds:.1f} s" if seconds >= 0.05 else "under 0.1 s"


def when(at: datetime) -> str:
    """Date and time in the time of this machine."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def iso(at: datetime) -> str:
    """For machines: the attribute of a <time>."""
    return at.astimezone(UTC).isoformat(timespec="seconds")


def number(value: float) -> str:
    """With thin spaces between thousands.

    >>> number(1234567)
    '1\u202f234\u202f567'
    """
    return f"{value:,}".replace(",", "\u202f")


def count(how_many: int, one: str, more: str = "") -> str:
    """A number with its word.

    >>> count(1, "instance"), count(2, "study", "studies")
    ('1 instance', '2 studies')
    """
    return f"{number(how_many)} {one if how_many == 1 else more or one + 's'}"


def size(amount_bytes: float) -> str:
    """In the unit that gives two or three digits.

    >>> [size(each) for each in (0, 2048, 5 * 2**30)]
    ['0 bytes', '2 KiB', '5 GiB']
    """
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount_bytes < 1000:
            return f"{amount_bytes:.0f} {unit}"
        amount_bytes /= 1024
    return f"{amount_bytes:.1f} TiB"
