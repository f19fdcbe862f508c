"""When an image was made, by the scanner's clock: comparable within one study, and no further."""

import re

from pydicom.dataset import Dataset

from node.dicom.values import text

DATES = ("AcquisitionDate", "SeriesDate", "ContentDate", "StudyDate")

Moment = tuple[str, float]  # the date as YYYYMMDD, seconds since midnight


def acquired(header: Dataset) -> Moment | None:
    """When the acquisition began; None where the header does not say."""
    stamp = re.match(r"(\d{8})(\d{4,6}(?:\.\d+)?)", text(header, "AcquisitionDateTime"))
    if stamp:
        return stamp[1], _seconds(stamp[2])
    return at(header, text(header, "AcquisitionTime") or text(header, "SeriesTime"))


def at(header: Dataset, clock: str) -> Moment | None:
    """A time (PS3.5 TM) on the day of the acquisition; None where it is none."""
    digits = re.sub(r"[^\d.]", "", clock)
    date = next((found for name in DATES if (found := re.sub(r"\D", "", text(header, name)))), "")
    return (date, _seconds(digits)) if re.fullmatch(r"\d{4,6}(\.\d*)?", digits) else None


def _seconds(digits: str) -> float:
    """Of HHMM, HHMMSS or HHMMSS.FFFFFF."""
    whole, _, part = digits.partition(".")
    hours, minutes, seconds = (int(whole[place : place + 2] or 0) for place in (0, 2, 4))
    return 3600.0 * hours + 60.0 * minutes + seconds + float(f"0.{part or 0}")
