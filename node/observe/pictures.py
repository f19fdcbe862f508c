"""The slices that an answer keeps for a screen (as node/report/pictures.py makes them): facts and PNG files."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from storage import DataFolder
from storage.errors import NotFound
from storage.records import Result

KIND, INDEX, SCALE = "pictures", "index.json", "scale.png"
FLAT = "slices"  # the plane of pictures that have no place in the patient
LARGEST_BYTES = 4 << 20  # of one picture: it is read as a whole


class Picture(BaseModel):
    """One slice; lengths in mm, `place` is for people, `sides` are the patient's at the edges of the picture."""

    model_config = ConfigDict(frozen=True, extra="ignore")  # a later version may say more

    number: int  # from 1
    key: bool = False
    probability: float
    spread: float
    plane: str = FLAT
    place: str = ""
    height_mm: float = 1.0
    width_mm: float = 1.0
    sides: Mapping[str, str] = {}


@dataclass(frozen=True)
class Plane:
    """The slices that lie in parallel, in their order."""

    name: str
    pictures: Sequence[Picture]

    @property
    def first(self) -> Picture:
        """The one to begin with: of the marked ones, or of all, the most probable."""
        marked = [each for each in self.pictures if each.key]
        return max(marked or self.pictures, key=lambda each: each.probability)


def planes(folder: DataFolder, results: Sequence[Result]) -> list[Plane]:
    """Those of the pictures among these results; none where they keep no pictures, or none that can be read."""
    kept = _kept(results)
    if kept is None:
        return []
    try:
        found = _index(str(folder.path(kept.path)))
    except (OSError, ValueError, KeyError, TypeError, ValidationError, zipfile.BadZipFile):
        return []
    names = dict.fromkeys(each.plane for each in found)
    return [Plane(name, [each for each in found if each.plane == name]) for name in names]


def png(folder: DataFolder, results: Sequence[Result], name: str) -> bytes:
    """A picture by its name: `007.png`, `007-heat.png`, `scale.png`. Raises NotFound."""
    kept = _kept(results)
    try:
        if kept is not None and name.endswith(".png"):
            with zipfile.ZipFile(folder.path(kept.path)) as archive:
                if archive.getinfo(name).file_size <= LARGEST_BYTES:
                    return archive.read(name)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise NotFound(f"no picture {name}") from error
    raise NotFound(f"no picture {name}")


def _kept(results: Sequence[Result]) -> Result | None:
    return next((each for each in results if each.kind == KIND), None)


@lru_cache(maxsize=64)
def _index(path: str) -> tuple[Picture, ...]:
    """A file never changes under its name."""
    with zipfile.ZipFile(path) as archive:
        said: Any = json.loads(archive.read(INDEX))
    return tuple(Picture.model_validate(each) for each in said["slices"])
