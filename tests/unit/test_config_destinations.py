"""Destinations by URL: what cannot be meant is refused."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from node.config import Destination, load

URL = "https://pacs.example.org/dicom-web"
SECRET = {"authentication": "bearer", "secret": "env:TOKEN"}


def by_url(url: str = URL, **values: Any) -> Destination:
    return Destination(name="pacs", ae_title="PACS", url=url, **values)


def test_host_and_port_are_those_of_the_url_and_it_reads_back_as_it_was_written() -> None:
    assert (by_url().host, by_url().port) == ("pacs.example.org", 443)
    assert by_url("http://127.0.0.1:8042/dicom-web", **SECRET).port == 8042
    assert Destination.model_validate(by_url().model_dump()) == by_url()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"host": "elsewhere"}, "host and port"),
        ({"proof": "find"}, "proof"),
        ({"calling_ae_title": "US"}, "calling_ae_title"),
        ({"secret": "env:TOKEN"}, "authentication"),
        ({"authentication": "basic"}, "secret"),
        ({"url": "http://pacs.example.org/dicom-web", **SECRET}, "https"),
        ({"url": f"{URL}?x=1"}, "query"),
        ({"url": "ftp://pacs.example.org"}, "http"),
        ({"url": "https://user:word@pacs.example.org"}, "log-in"),
    ],
)
def test_what_cannot_be_meant_is_refused(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        by_url(**values)


def test_a_secret_needs_a_url() -> None:
    with pytest.raises(ValidationError, match="url"):
        Destination(name="pacs", ae_title="PACS", host="here", port=104, **SECRET)  # type: ignore[arg-type]


def test_a_file_with_a_secret_is_beside_the_settings(tmp_path: Path) -> None:
    lines = [f"url: {URL}", "authentication: basic", "secret: file:pacs.secret"]
    text = "destinations:\n  - name: pacs\n    ae_title: PACS\n" + "".join(f"    {line}\n" for line in lines)
    (tmp_path / "config.yaml").write_text(text)
    (found,) = load(tmp_path / "config.yaml").destinations
    assert found.secret == f"file:{tmp_path / 'pacs.secret'}"
