"""Is it a T1-weighted magnitude image without contrast agent? Decided from acquisition parameters.

| family | T1-weighted when | score in 3D |
| --- | --- | --- |
| inversion-prepared gradient echo: MPRAGE, BRAVO, TFE | TE < 10, TI <= 1400, TR <= 3600 ms | 100 |
| spoiled gradient echo: FLASH, SPGR, FFE | TE < 10 ms, angle >= 0.9 x the Ernst angle of T1 = 900 ms | 85 |
| spin echo: also turbo and 3D | TE <= 40, TR <= 1200 ms | 70 |
| inversion-prepared spin echo: T1 FLAIR | TE <= 40, TI 400 to 1400, TR <= 3600 ms | 60 |

In 2D it is 15 less. Longer TI is FLAIR or a second inversion image, longer TR a first inversion image of MP2RAGE;
small angles give proton density, angles above 35 degrees at TR below 15 ms balanced steady state, echo planar, flow and
diffusion encoding other contrasts still.

Descriptions decide only what the parameters leave open: whether an unprepared gradient echo is an angiogram, a field
map or a scout, and whether a contrast agent was given where the header is silent on it.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from node.dicom.acquisition import Acquisition
from node.series.reasons import Reason

MAXIMUM_TR_PREPARED_MS = 3600.0
MAXIMUM_TI_MS = 1400.0
MINIMUM_TI_SPIN_ECHO_MS = 400.0
MAXIMUM_TE_GRADIENT_MS = 10.0
MAXIMUM_TE_SPIN_MS = 40.0
MAXIMUM_TR_SPIN_MS = 1200.0
T1_MS = 900.0
NEAR_ERNST = 0.9
STEADY_TR_MS, STEADY_ANGLE = 15.0, 35.0
IN_2D = 15.0

SCOUT = re.compile(r"scout|locali[sz]er|survey|\bloc\b|\b3[ -]?pl(ane)?\b|smart ?brain|planning", re.IGNORECASE)
OTHER = re.compile(
    r"\btof|angio|\bmra\b|\bmrv\b|veno|willis|field.?map|gre.?field|\bb0|\bb1|\bswi|t2.?\*|\bpc\b|phase.?contrast|\bflow\b",
    re.IGNORECASE,
)
AGENT = re.compile(r"\bpost\b|\bgd\b|\bgad|\+ ?c\b|\bc ?\+|\bce\b|\bkm\b|contrast|dotarem", re.IGNORECASE)
NO_AGENT = re.compile(r"\b(pre|no|non|without|w/?o|ohne|sans|nati(ve|v|f)?)\b|-c\b", re.IGNORECASE)
NOT_MAGNITUDE = {"P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY", "VELOCITY", "MIXED"}
NOT_PLAIN = {
    *(
        "PERFUSION",
        "ASL",
        "RCBF",
        "RCBV",
        "MTT",
        "TTP",
        "DIFFUSION",
        "ADC",
        "FA",
        "TRACEW",
        "TENSOR",
        "FMRI",
        "SWI",
        "MNIP",
    ),
    *(
        "T1 MAP",
        "T1_MAP",
        "T2 MAP",
        "T2_MAP",
        "T2_STAR_MAP",
        "R2_MAP",
        "R2_STAR_MAP",
        "B0",
        "B1",
        "B1 MAP",
        "UNI",
        "FIELD_MAP",
    ),
}


@dataclass(frozen=True)
class Weighting:
    """The verdict on the contrast: the reason, what kind of sequence it is, and how well it suits (0 when refused)."""

    reason: Reason
    detail: str
    score: float = 0.0


def weighting(made: Acquisition) -> Weighting:
    """Whether this acquisition is a T1-weighted magnitude image without contrast agent."""
    for check in (_magnitude, _scout, _other_contrast, _agent, _by_times):
        verdict = check(made)
        if verdict is not None:
            return verdict
    return Weighting(Reason.UNKNOWN_WEIGHTING, f"the header has {made.numbers}: a site rule can accept the series")


def _magnitude(made: Acquisition) -> Weighting | None:
    stated = {each for each in made.image_type if re.match(r"[RIP]_", each)} | (
        made.image_type | made.component
    ) & NOT_MAGNITUDE
    if not stated or ("M" in made.image_type and "MIXED" not in stated):
        return None
    return Weighting(Reason.NOT_MAGNITUDE, f"image type or component {', '.join(sorted(stated)).lower()}")


def _scout(made: Acquisition) -> Weighting | None:
    hint = None if made.inversion else SCOUT.search(made.description)
    return Weighting(Reason.LOCALIZER, f"the description says {hint.group().lower()}, {made.numbers}") if hint else None


def _other_contrast(made: Acquisition) -> Weighting | None:
    cases = (
        (made.diffusion, "diffusion-weighted"),
        (made.planar, "echo planar imaging"),
        (made.flow, "flow encoding or angiography"),
        (made.steady_state, "steady-state free precession"),
        (bool(made.contrasts - {"T1"}), f"contrast stated as {', '.join(sorted(made.contrasts)).lower()}"),
        (bool(NOT_PLAIN & made.image_type), f"image type {', '.join(sorted(NOT_PLAIN & made.image_type)).lower()}"),
    )
    name = next((name for holds, name in cases if holds), None)
    return None if name is None else Weighting(Reason.NOT_T1_WEIGHTED, f"{name}, {made.numbers}")


def _agent(made: Acquisition) -> Weighting | None:
    if made.agent:
        return Weighting(Reason.CONTRAST_AGENT, "the header tells of a contrast agent; the model knows none")
    if made.agent is None and AGENT.search(made.description) and not NO_AGENT.search(made.description):
        return Weighting(Reason.CONTRAST_AGENT, "the header is silent, the description tells of a contrast agent")
    return None


def _by_times(made: Acquisition) -> Weighting | None:
    if made.tr is None or made.te is None:
        return _eligible(made, "contrast stated as T1", 60) if "T1" in made.contrasts else None
    family: Callable[[Acquisition, float, float], Weighting]
    if made.gradient and not made.spin:
        family = _prepared_gradient_echo if made.inversion else _spoiled_gradient_echo
    else:
        family = _prepared_spin_echo if made.inversion else _spin_echo
    return family(made, made.tr, made.te)


def _prepared_gradient_echo(made: Acquisition, tr: float, te: float) -> Weighting:
    kind = "inversion-prepared gradient echo"
    fits = te < MAXIMUM_TE_GRADIENT_MS and tr <= MAXIMUM_TR_PREPARED_MS and (made.ti or 0) <= MAXIMUM_TI_MS
    return _eligible(made, kind, 100) if fits else _refused(made, kind)


def _spoiled_gradient_echo(made: Acquisition, tr: float, te: float) -> Weighting:
    kind = "gradient echo"
    ernst = math.degrees(math.acos(math.exp(-max(tr, 0.0) / T1_MS)))
    flip = ernst if made.flip is None else made.flip
    if te >= MAXIMUM_TE_GRADIENT_MS or flip < NEAR_ERNST * ernst or (tr < STEADY_TR_MS and flip > STEADY_ANGLE):
        return _refused(made, kind)
    hint = OTHER.search(made.description)
    if hint:
        return Weighting(Reason.NOT_T1_WEIGHTED, f"{kind} that its description calls {hint.group().lower().strip()}")
    return _eligible(made, kind, 85)


def _prepared_spin_echo(made: Acquisition, tr: float, te: float) -> Weighting:
    kind = "inversion-prepared spin echo"
    in_range = MINIMUM_TI_SPIN_ECHO_MS <= (made.ti or 0) <= MAXIMUM_TI_MS
    fits = te <= MAXIMUM_TE_SPIN_MS and tr <= MAXIMUM_TR_PREPARED_MS and in_range
    return _eligible(made, kind, 60) if fits else _refused(made, kind)


def _spin_echo(made: Acquisition, tr: float, te: float) -> Weighting:
    fits = te <= MAXIMUM_TE_SPIN_MS and tr <= MAXIMUM_TR_SPIN_MS
    return _eligible(made, "spin echo", 70) if fits else _refused(made, "spin echo")


def _eligible(made: Acquisition, kind: str, score: float) -> Weighting:
    dimension, less = ("3D", 0.0) if made.three_d else ("2D", IN_2D)
    return Weighting(Reason.ELIGIBLE, f"{dimension} {kind}, {made.numbers}", score - less)


def _refused(made: Acquisition, kind: str) -> Weighting:
    return Weighting(Reason.NOT_T1_WEIGHTED, f"{kind}, {made.numbers}")
