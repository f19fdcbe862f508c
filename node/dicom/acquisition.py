"""How an image was acquired, as its header says: one form for classic and Enhanced objects of any vendor."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from node.dicom.agent import contrast_bolus
from node.dicom.clock import Moment, acquired
from node.dicom.values import number, places, text, value, words

GRADIENT_TR_MS = 60.0
SMALL_ANGLE = 30.0
GE_COMPONENT = (0x0043, 0x102F)


@dataclass(frozen=True)
class Acquisition:
    """Times in ms, angle in degrees; None where the header says nothing.

    gradient, spin, planar, inversion, three_d, steady_state   kind of sequence
    flow, diffusion                                            encoded, by flag or b-value
    contrasts    what Enhanced objects state as Acquisition Contrast (PS3.3 C.8.13.3.1.1), without UNKNOWN
    image_type   values of Image Type and Frame Type
    component    magnitude, phase, real, imaginary or mixed, where stated
    options      Scan Options, and Magnetization Transfer where it is on
    contrast_bolus                     keyword and text of each element that tells of a contrast agent or its absence
    acquired                           when it began; None where the header does not say
    vendor, sequence_name              upper case
    tesla        the magnet's; None where the header does not say
    series_description, protocol_name  as people wrote them
    """

    tr: float | None
    te: float | None
    ti: float | None
    flip: float | None
    gradient: bool
    spin: bool
    planar: bool
    inversion: bool
    three_d: bool
    steady_state: bool
    flow: bool
    diffusion: bool
    contrasts: frozenset[str]
    image_type: frozenset[str]
    component: frozenset[str]
    options: frozenset[str]
    contrast_bolus: frozenset[tuple[str, str]]
    acquired: Moment | None
    vendor: str
    sequence_name: str
    tesla: float | None
    series_description: str
    protocol_name: str

    @property
    def numbers(self) -> str:
        """For people, such as "TR 2300, TE 2.98, TI 900 ms, 9 degrees"."""
        times = [("TR", self.tr), ("TE", self.te), ("TI", self.ti)]
        stated = ", ".join(f"{name} {round(time, 2):g}" for name, time in times if time is not None)
        angle = "" if self.flip is None else f", {self.flip:g} degrees"
        return f"{stated} ms{angle}" if stated else "no TR, TE or TI"


def acquisition(header: Dataset) -> Acquisition:
    """Read the facts from the header and from its functional groups."""
    spots = places(header)
    sequence, variant, echo = (
        _coded(spots, name) for name in ("ScanningSequence", "SequenceVariant", "EchoPulseSequence")
    )
    tr, ti, flip = (
        _first(spots, *names) for names in (("RepetitionTime",), ("InversionTime", "InversionTimes"), ("FlipAngle",))
    )
    gradient = "GR" in sequence or "GRADIENT" in echo
    spin = "SE" in sequence or bool({"SPIN", "BOTH"} & echo)
    if not (gradient or spin) and tr is not None:
        gradient = tr <= GRADIENT_TR_MS or (bool(ti) and (flip or 90.0) < SMALL_ANGLE)
        spin = not gradient
    return Acquisition(
        tr=tr,
        te=_first(spots, "EffectiveEchoTime", "EchoTime"),
        ti=ti or None,
        flip=flip,
        gradient=gradient,
        spin=spin,
        planar="EP" in sequence or "YES" in _coded(spots, "EchoPlanarPulseSequence"),
        inversion="IR" in sequence or "MP" in variant or bool(ti) or "YES" in _coded(spots, "InversionRecovery"),
        three_d="3D" in _coded(spots, "MRAcquisitionType"),
        steady_state=_steady(variant, _coded(spots, "SteadyStatePulseSequence")),
        flow="YES" in _coded(spots, "TimeOfFlightContrast", "PhaseContrast") or "Y" in _coded(spots, "AngioFlag"),
        diffusion=(_first(spots, "DiffusionBValue") or 0) > 0,
        contrasts=_coded(spots, "AcquisitionContrast") - {"UNKNOWN"},
        image_type=_coded(spots, "ImageType", "FrameType"),
        component=_coded(spots, "ComplexImageComponent") | _ge_component(header),
        options=_coded(spots, "ScanOptions")
        | (_coded(spots, "MagnetizationTransfer") - {"NONE"})
        | (variant & {"MTC"}),
        contrast_bolus=contrast_bolus(header),
        acquired=acquired(header),
        vendor=text(header, "Manufacturer").upper(),
        sequence_name=(text(header, "SequenceName") or text(header, "PulseSequenceName")).upper(),
        tesla=number(header, "MagneticFieldStrength"),
        series_description=text(header, "SeriesDescription"),
        protocol_name=text(header, "ProtocolName"),
    )


def _first(spots: Sequence[Dataset], *keywords: str) -> float | None:
    found = (number(spot, keyword) for keyword in keywords for spot in spots)
    return next((each for each in found if each is not None), None)


def _coded(spots: Sequence[Dataset], *keywords: str) -> frozenset[str]:
    return frozenset[str]().union(*(words(spot, keyword) for keyword in keywords for spot in spots))


def _steady(variant: frozenset[str], stated: frozenset[str]) -> bool:
    """Balanced or unspoiled steady state, whose contrast is T2 over T1."""
    balanced = {"FREE_PRECESSION", "TRANSVERSE", "TIME_REVERSED"} & stated
    return bool(balanced) or ("SS" in variant and not {"SP", "MP"} & variant)


def _ge_component(header: Dataset) -> frozenset[str]:
    """GE says in a private element whether an image is magnitude (0), phase, real or imaginary."""
    if not text(header, "Manufacturer").upper().startswith("GE"):
        return frozenset()
    stated = value(header, GE_COMPONENT)
    names = {0: "MAGNITUDE", 1: "PHASE", 2: "REAL", 3: "IMAGINARY"}
    return frozenset({names[stated]}) if isinstance(stated, int) and stated in names else frozenset()
