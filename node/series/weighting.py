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

Of a gradient echo whose TR reaches from inversion to inversion, the signal of white matter must be positive at TI, and
larger than that of grey matter: else it is nulled on purpose (node/series/kinds.py has the formula).

Names decide only what the parameters leave open: which part of a Dixon acquisition it is, a map, a nulled tissue,
magnetization transfer, a calibration; whether an unprepared gradient echo is an angiogram, a field map or a scout; and
whether a contrast agent was given (node/series/contrast.py).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from node.dicom.acquisition import Acquisition
from node.series import contrast, kinds
from node.series.reasons import Reason
from node.series.study import ALONE, Study

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


@dataclass(frozen=True)
class Weighting:
    """The verdict on the contrast: the reason, what kind of sequence it is, and how well it suits (0 when refused)."""

    reason: Reason
    detail: str
    score: float = 0.0


def weighting(made: Acquisition, study: Study = ALONE) -> Weighting:
    """Whether this acquisition, made in the company of that study, is T1-weighted and without contrast agent."""
    for check in (_magnitude, _scout, _other_contrast, _agent, _by_times):
        verdict = check(made, study)
        if verdict is not None:
            return verdict
    return Weighting(Reason.UNKNOWN_WEIGHTING, f"the header has {made.numbers}: a site rule can accept the series")


def _magnitude(made: Acquisition, _: Study) -> Weighting | None:
    stated = kinds.not_magnitude(made)
    if not stated:
        return None
    return Weighting(Reason.NOT_MAGNITUDE, f"image type or component {', '.join(sorted(stated)).lower()}")


def _scout(made: Acquisition, study: Study) -> Weighting | None:
    hint = kinds.scout(made, study)
    return Weighting(Reason.LOCALIZER, f"the description says {hint}, {made.numbers}") if hint else None


def _other_contrast(made: Acquisition, study: Study) -> Weighting | None:
    name = kinds.other_contrast(made, study)
    return Weighting(Reason.NOT_T1_WEIGHTED, f"{name}, {made.numbers}") if name else None


def _agent(made: Acquisition, study: Study) -> Weighting | None:
    sign = contrast.given(made, study)
    return Weighting(Reason.CONTRAST_AGENT, sign) if sign else None


def _by_times(made: Acquisition, study: Study) -> Weighting | None:
    if made.tr is None or made.te is None:
        return _eligible(made, "contrast stated as T1", 60) if "T1" in made.contrasts else None
    family: Callable[[Acquisition, float, float, Study], Weighting]
    if made.gradient and not made.spin:
        family = _prepared_gradient_echo if made.inversion else _spoiled_gradient_echo
    else:
        family = _prepared_spin_echo if made.inversion else _spin_echo
    return family(made, made.tr, made.te, study)


def _prepared_gradient_echo(made: Acquisition, tr: float, te: float, _: Study) -> Weighting:
    kind = "inversion-prepared gradient echo"
    fits = te < MAXIMUM_TE_GRADIENT_MS and tr <= MAXIMUM_TR_PREPARED_MS and (made.ti or 0) <= MAXIMUM_TI_MS
    if fits and kinds.white_matter_nulled(made):
        return _refused(made, f"{kind} whose inversion time nulls white matter")
    return _eligible(made, kind, 100) if fits else _refused(made, kind)


def _spoiled_gradient_echo(made: Acquisition, tr: float, te: float, study: Study) -> Weighting:
    kind = "gradient echo"
    ernst = math.degrees(math.acos(math.exp(-max(tr, 0.0) / T1_MS)))
    flip = ernst if made.flip is None else made.flip
    if te >= MAXIMUM_TE_GRADIENT_MS or flip < NEAR_ERNST * ernst or (tr < STEADY_TR_MS and flip > STEADY_ANGLE):
        return _refused(made, kind)
    hint = kinds.angiography_or_field(made, study)
    if hint:
        return Weighting(Reason.NOT_T1_WEIGHTED, f"{kind} that its description calls {hint}")
    return _eligible(made, kind, 85)


def _prepared_spin_echo(made: Acquisition, tr: float, te: float, _: Study) -> Weighting:
    kind = "inversion-prepared spin echo"
    in_range = MINIMUM_TI_SPIN_ECHO_MS <= (made.ti or 0) <= MAXIMUM_TI_MS
    fits = te <= MAXIMUM_TE_SPIN_MS and tr <= MAXIMUM_TR_PREPARED_MS and in_range
    return _eligible(made, kind, 60) if fits else _refused(made, kind)


def _spin_echo(made: Acquisition, tr: float, te: float, _: Study) -> Weighting:
    fits = te <= MAXIMUM_TE_SPIN_MS and tr <= MAXIMUM_TR_SPIN_MS
    return _eligible(made, "spin echo", 70) if fits else _refused(made, "spin echo")


def _eligible(made: Acquisition, kind: str, score: float) -> Weighting:
    dimension, less = ("3D", 0.0) if made.three_d else ("2D", IN_2D)
    return Weighting(Reason.ELIGIBLE, f"{dimension} {kind}, {made.numbers}", score - less)


def _refused(made: Acquisition, kind: str) -> Weighting:
    return Weighting(Reason.NOT_T1_WEIGHTED, f"{kind}, {made.numbers}")
