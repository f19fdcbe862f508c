"""Is it a T1-weighted magnitude image? Decided from acquisition parameters, classic or Enhanced, of any vendor.

| family | T1-weighted when |
| --- | --- |
| inversion-prepared gradient echo (MPRAGE, IR-SPGR, BRAVO, TFE) | TE < 10 ms, TI <= 1400 ms, TR <= 3600 ms |
| spoiled gradient echo (FLASH, SPGR, FFE) | TE < 10 ms, flip angle at least near the Ernst angle of T1 = 900 ms |
| spin echo, also turbo and 3D | TE <= 40 ms, TR <= 1200 ms |
| inversion-prepared spin echo (T1 FLAIR) | TE <= 40 ms, TI 400 to 1400 ms, TR <= 3600 ms |

Descriptions decide only what parameters leave open: whether a short spoiled gradient echo is an angiogram, a field map
or a scout, and whether a contrast agent was given where the header is silent.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from node.elements import items, number, places, text, words
from node.reasons import Reason

MAXIMUM_TR_PREPARED_MS = 3600.0
MAXIMUM_TI_MS = 1400.0
MINIMUM_TI_SPIN_ECHO_MS = 400.0
MAXIMUM_TE_GRADIENT_MS = 10.0
MAXIMUM_TE_SPIN_MS = 40.0
MAXIMUM_TR_SPIN_MS = 1200.0
T1_MS = 900.0
NEAR_ERNST = 0.9
GRADIENT_TR_MS = 60.0

SCOUT = re.compile(r"scout|locali[sz]er|survey|\bloc\b|3[ -]?plane|smartbrain", re.IGNORECASE)
VESSELS_OR_FIELD = re.compile(
    r"\btof|angio|\bmra\b|\bmrv\b|venogra|willis|field.?map|\bb0|\bb1|\bswi\b|t2.?\*", re.IGNORECASE
)
CONTRAST = re.compile(r"\bpost\b|\bgd\b|\bgad|\+ ?c\b|\bc ?\+|\bce\b|\bkm\b|contrast|dotarem", re.IGNORECASE)
NO_CONTRAST = re.compile(r"\b(pre|no|non|without|w/?o|ohne|sans|native?|nativ)\b|-c\b", re.IGNORECASE)
NOTHING = re.compile(
    r"^\W*(no|none|non|na|n/a|nil|without|w/?o|ohne|sans|0|false)?\b\W*(contrast|agent)?\W*$", re.IGNORECASE
)


@dataclass(frozen=True)
class Acquisition:
    """What the header says of how the image was made; times in ms, angle in degrees, None where it says nothing."""

    tr: float | None
    te: float | None
    ti: float | None
    flip: float | None
    gradient: bool
    spin: bool
    planar: bool
    inversion: bool
    three_d: bool
    stated_contrast: frozenset[str]
    image_type: frozenset[str]
    component: frozenset[str]
    flow: bool
    steady_state: bool
    diffusion: bool
    agent: str
    description: str

    @property
    def numbers(self) -> str:
        """The times for people, such as "TR 2300, TE 2.98, TI 900 ms"."""
        named = [("TR", self.tr), ("TE", self.te), ("TI", self.ti)]
        stated = [f"{name} {value:g}" for name, value in named if value is not None]
        return f"{', '.join(stated)} ms" if stated else "no TR, TE or TI"


@dataclass(frozen=True)
class Weighting:
    """The verdict on the contrast: the reason, what kind of sequence it is, and how well it suits (0 when refused)."""

    reason: Reason
    detail: str
    score: float = 0.0


def acquisition(header: Dataset) -> Acquisition:
    """Read the facts from the header, or from its functional groups."""
    spots = places(header)

    def first(*keywords: str) -> float | None:
        found = (number(spot, keyword) for keyword in keywords for spot in spots)
        return next((each for each in found if each is not None), None)

    def coded(*keywords: str) -> frozenset[str]:
        return frozenset().union(*(words(spot, keyword) for keyword in keywords for spot in spots))

    sequence = coded("ScanningSequence")
    echo = coded("EchoPulseSequence")
    tr, te, ti = (
        first("RepetitionTime"),
        first("EffectiveEchoTime", "EchoTime"),
        first("InversionTime", "InversionTimes"),
    )
    flip = first("FlipAngle")
    gradient = "GR" in sequence or "GRADIENT" in echo
    spin = "SE" in sequence or bool({"SPIN", "BOTH"} & echo)
    if not (gradient or spin) and tr is not None:
        gradient = tr <= GRADIENT_TR_MS or (ti is not None and (flip or 90.0) < 30)
        spin = not gradient
    prepared = "IR" in sequence or "MP" in coded("SequenceVariant") or "YES" in coded("InversionRecovery")
    return Acquisition(
        tr=tr,
        te=te,
        ti=ti if ti else None,
        flip=flip,
        gradient=gradient,
        spin=spin,
        planar="EP" in sequence or "YES" in coded("EchoPlanarPulseSequence"),
        inversion=prepared or bool(ti),
        three_d="3D" in coded("MRAcquisitionType"),
        stated_contrast=coded("AcquisitionContrast") - {"UNKNOWN"},
        image_type=coded("ImageType", "FrameType"),
        component=coded("ComplexImageComponent"),
        flow="YES" in coded("TimeOfFlightContrast", "PhaseContrast") or "Y" in coded("AngioFlag"),
        steady_state=_steady(coded("SequenceVariant"), coded("SteadyStatePulseSequence")),
        diffusion=(first("DiffusionBValue") or 0) > 0,
        agent=_agent(spots),
        description=" | ".join(text(header, name) for name in ("SeriesDescription", "ProtocolName")),
    )


def weighting(made: Acquisition) -> Weighting:
    """Whether this acquisition is a T1-weighted magnitude image without contrast agent."""
    for check in (_magnitude, _other_contrast, _agent_given, _by_times):
        verdict = check(made)
        if verdict is not None:
            return verdict
    return Weighting(Reason.UNKNOWN_WEIGHTING, f"the header has {made.numbers}")


def _magnitude(made: Acquisition) -> Weighting | None:
    parts = {"P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY", "VELOCITY"} & (made.image_type | made.component)
    if "MAGNITUDE" in made.component or "M" in made.image_type or not parts:
        parts = parts & {"MIXED"}
    if "MIXED" in made.component or parts:
        return Weighting(Reason.NOT_MAGNITUDE, f"{', '.join(sorted(parts)) or 'mixed'} image")
    return None


def _other_contrast(made: Acquisition) -> Weighting | None:
    found = _first_true(
        (made.diffusion, "diffusion-weighted"),
        (made.planar, "echo planar"),
        (made.flow, "flow or angiography"),
        (made.steady_state, "steady-state free precession"),
        (bool(made.stated_contrast - {"T1"}), "stated contrast " + ", ".join(sorted(made.stated_contrast))),
        (
            bool({"PERFUSION", "ASL", "DIFFUSION", "ADC", "FMRI", "T2 MAP", "T1 MAP", "UNI"} & made.image_type),
            "map or series",
        ),
    )
    return Weighting(Reason.NOT_T1_WEIGHTED, found) if found else None


def _agent_given(made: Acquisition) -> Weighting | None:
    if made.agent and not NOTHING.match(made.agent):
        return Weighting(Reason.CONTRAST_AGENT, "the header names a contrast agent")
    hinted = CONTRAST.search(made.description) and not NO_CONTRAST.search(made.description)
    if hinted and not made.agent:
        return Weighting(Reason.CONTRAST_AGENT, "the header is silent, the description tells of contrast agent")
    return None


def _by_times(made: Acquisition) -> Weighting | None:
    if made.tr is None or made.te is None:
        if "T1" in made.stated_contrast:
            return Weighting(Reason.ELIGIBLE, "contrast stated as T1", 60)
        return None
    family: Callable[[Acquisition, float, float], Weighting]
    if made.gradient and not made.spin:
        family = _prepared_gradient_echo if made.inversion else _spoiled_gradient_echo
    else:
        family = _prepared_spin_echo if made.inversion else _spin_echo
    return family(made, made.tr, made.te)


def _prepared_gradient_echo(made: Acquisition, tr: float, te: float) -> Weighting:
    if te >= MAXIMUM_TE_GRADIENT_MS or tr > MAXIMUM_TR_PREPARED_MS or (made.ti or 0) > MAXIMUM_TI_MS:
        return _refused(made, "inversion-prepared gradient echo")
    return _eligible(made, "inversion-prepared gradient echo", 100)


def _spoiled_gradient_echo(made: Acquisition, tr: float, te: float) -> Weighting:
    kind = "spoiled gradient echo"
    ernst = math.degrees(math.acos(math.exp(-tr / T1_MS)))
    if te >= MAXIMUM_TE_GRADIENT_MS or (made.flip is not None and made.flip < NEAR_ERNST * ernst):
        return _refused(made, f"{kind} at {made.flip or 0:g} degrees")
    hint = VESSELS_OR_FIELD.search(made.description) or SCOUT.search(made.description)
    if hint:
        return Weighting(Reason.NOT_T1_WEIGHTED, f"{kind} that its description calls {hint.group().lower().strip()}")
    return _eligible(made, kind, 85)


def _prepared_spin_echo(made: Acquisition, tr: float, te: float) -> Weighting:
    kind = "inversion-prepared spin echo"
    in_range = MINIMUM_TI_SPIN_ECHO_MS <= (made.ti or 0) <= MAXIMUM_TI_MS
    if te > MAXIMUM_TE_SPIN_MS or tr > MAXIMUM_TR_PREPARED_MS or not in_range:
        return _refused(made, kind)
    return _eligible(made, kind, 60)


def _spin_echo(made: Acquisition, tr: float, te: float) -> Weighting:
    if te > MAXIMUM_TE_SPIN_MS or tr > MAXIMUM_TR_SPIN_MS:
        return _refused(made, "spin echo")
    return _eligible(made, "spin echo", 70)


def _eligible(made: Acquisition, kind: str, score: float) -> Weighting:
    dimension = "3D" if made.three_d else "2D"
    return Weighting(Reason.ELIGIBLE, f"{dimension} {kind}, {made.numbers}", score - (0 if made.three_d else 15))


def _refused(made: Acquisition, kind: str) -> Weighting:
    return Weighting(Reason.NOT_T1_WEIGHTED, f"{kind}, {made.numbers}")


def _steady(variant: frozenset[str], stated: frozenset[str]) -> bool:
    balanced = {"FREE_PRECESSION", "TRANSVERSE", "TIME_REVERSED"} & stated
    return bool(balanced) or ("SS" in variant and not {"SP", "MP"} & variant)


def _agent(spots: Sequence[Dataset]) -> str:
    for spot in spots:
        if items(spot, "ContrastBolusAgentSequence") or "YES" in words(spot, "ContrastBolusAgentAdministered"):
            return "agent"
        stated = text(spot, "ContrastBolusAgent").strip()
        if stated:
            return stated
    return ""


def _first_true(*cases: tuple[bool, str]) -> str:
    return next((name for holds, name in cases if holds), "")
