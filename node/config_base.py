"""What sections of the settings are made of."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

LONGEST_S = 100 * 365 * 86400  # a century is for ever, and still a duration that every clock can add
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=LONGEST_S)]
SomeSeconds = Annotated[float, Field(gt=0, le=LONGEST_S)]
Days = Annotated[float, Field(ge=0, le=LONGEST_S / 86400)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]


def ae_title(value: str) -> str:
    """PS3.5 table 6.2-1, VR AE: 1 to 16 characters, no backslash, no control characters, outer spaces mean nothing.

    >>> ae_title(" PACS ")
    'PACS'
    """
    title = value.strip(" ")
    if not 1 <= len(title) <= 16 or "\\" in title or not (title.isascii() and title.isprintable()):
        raise ValueError(f"{value!r} is no AE title: 1 to 16 printable ASCII characters without backslash")
    return title


AETitle = Annotated[str, AfterValidator(ae_title)]


class Section(BaseModel):
    """Part of the settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Tls(Section):
    """Files in PEM form; both sides show a certificate (PS3.15 annex B.12)."""

    certificate: Path
    key: Path
    authorities: Path
