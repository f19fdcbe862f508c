"""What sections of the settings are made of."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

LONGEST_S = 100 * 365 * 86400  # a century is for ever, and still a duration that every clock can add
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=LONGEST_S)]
SomeSeconds = Annotated[float, Field(gt=0, le=LONGEST_S)]
Days = Annotated[float, Field(ge=0, le=LONGEST_S / 86400)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]


class Section(BaseModel):
    """Part of the settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Tls(Section):
    """Files in PEM form; both sides show a certificate (PS3.15 annex B.12)."""

    certificate: Path
    key: Path
    authorities: Path
