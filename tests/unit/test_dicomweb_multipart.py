"""A body is taken apart where its delimiters stand, however it comes, and nowhere else."""

from collections.abc import Iterator

import pytest

from node.dicomweb.multipart import CutShort, media_type, parts
from node.errors import Unparsable


def pieces(body: bytes, size: int) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


def taken(body: bytes, size: int = 7, boundary: str = "b") -> list[tuple[str, bytes]]:
    return [(part.media_type, b"".join(part.data)) for part in parts(pieces(body, size), boundary)]


SECOND = b"\r\n--b\r\nContent-Type: a/b\r\n\r\n2\r\n--b--"
TRICKS = [
    pytest.param(b"--b\r\n\r\none\r\n--b--", [("", b"one")], id="nothing but a part"),
    pytest.param(b"hello\r\n--b\r\n\r\none\r\n--b--\r\nbye\r\n--b\r\n", [("", b"one")], id="preamble and epilogue"),
    pytest.param(b"--b \t \r\n\r\none\r\n--b--", [("", b"one")], id="padding behind a delimiter"),
    pytest.param(b"--b\r\n\r\n\r\n--b\r\n\r\n\r\n--b--", [("", b""), ("", b"")], id="empty parts"),
    pytest.param(b"--b\r\n\r\na--b\r\nc\n--b\r\n\r\n--b--", [("", b"a--b\r\nc\n--b\r\n")], id="boundary within data"),
    pytest.param(b"--b\r\n\r\na\r\n--bc\r\n--b d\r\n--b--", [("", b"a\r\n--bc\r\n--b d")], id="like it"),
    pytest.param(b"--b\r\n\r\n\r\r\n\r\r\n--b--", [("", b"\r\r\n\r")], id="line ends at the end of data"),
    pytest.param(
        b"--b\r\nX: y\r\nCONTENT-TYPE:  Application/DICOM ; a=b\r\n\r\none" + SECOND,
        [("application/dicom", b"one"), ("a/b", b"2")],
        id="headers",
    ),
]


@pytest.mark.parametrize(("body", "expected"), TRICKS)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_parts_are_what_stands_between_delimiters(body: bytes, expected: list[tuple[str, bytes]], size: int) -> None:
    assert taken(body, size) == expected


def test_a_part_that_nobody_takes_is_passed_over() -> None:
    found = [
        part.media_type
        for part in parts(pieces(b"--b\r\n\r\none\r\n--b\r\nContent-Type: a/b\r\n\r\n2\r\n--b--", 3), "b")
    ]
    assert found == ["", "a/b"]


@pytest.mark.parametrize(
    "body", [b"", b"no part", b"--b", b"--b\r\nX: y", b"--b\r\n\r\ndata", b"--b\r\n\r\ndata\r\n--b\r\n"]
)
def test_a_body_that_ends_too_early_is_cut_short(body: bytes) -> None:
    with pytest.raises(CutShort):
        taken(body)


@pytest.mark.parametrize("headers", [b"no colon", b"X: " + b"y" * 40_000])
def test_headers_that_are_none_or_have_no_end_are_refused(headers: bytes) -> None:
    with pytest.raises(Unparsable):
        taken(b"--b\r\n" + headers + b"\r\n\r\none\r\n--b--", 4096)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary="a b\'()+_,-./:=?"', "a b'()+_,-./:=?"),
        ("Multipart/Related; TYPE=application/dicom; Boundary=x", "x"),
        ("multipart/related", ""),
        ('multipart/related; boundary="ends in a space "', ""),
        (f"multipart/related; boundary={'x' * 73}", "x" * 73),
        (f"multipart/related; boundary={'x' * 201}", ""),
        ("multipart/related; boundary=\u00e4", ""),
    ],
)
def test_a_boundary_is_what_may_be_one(content_type: str, boundary: str) -> None:
    assert media_type(content_type).boundary == boundary
