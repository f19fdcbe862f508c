"""Kinds of images that are not plain T1 although their times may look like it, by what header and names say.

At the time TI after an inversion that comes every TR, tissue of relaxation time T1 gives
1 - 2 exp(-TI/T1) + exp(-TR/T1) of its full signal (the readout left out). A plain T1 image has it positive for white
matter, and larger than that of grey matter; white-matter-nulled ones (FGATIR, TR 3000, TI 409 ms) have not.
"""

import math
import re

from node.dicom.acquisition import Acquisition
from node.series import words
from node.series.spelling import pattern
from node.series.study import Study

SCOUT, CALIBRATION = pattern(words.SCOUT), pattern(words.CALIBRATION)
ANGIOGRAPHY_OR_FIELD = pattern(words.ANGIOGRAPHY_OR_FIELD)
NULLED, MAPS, TRANSFER, NO_TRANSFER = map(pattern, (words.NULLED, words.MAPS, words.TRANSFER, words.NO_TRANSFER))
DIXON, DIXON_PART, NO_WATER = pattern(words.DIXON), pattern(words.DIXON_PART), pattern(words.NO_WATER)
SUPPRESSED = pattern(words.SUPPRESSED)

NOT_MAGNITUDE = {"P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY", "VELOCITY", "MIXED"}
NOT_PLAIN = frozenset(
    {
        *(
            "PERFUSION",
            "ASL",
            "PASL",
            "PCASL",
            "RCBF",
            "RCBV",
            "RELCBF",
            "RELCBV",
            "RELMTT",
            "CBF",
            "CBV",
            "MTT",
            "TTP",
        ),
        *("PBP", "TMAX", "KTRANS", "DIFFUSION", "ADC", "FA", "TRACEW", "TENSOR", "COLFA", "FMRI", "BOLD", "EPI"),
        *("SWI", "SWAN", "MNIP", "QSM", "TOF", "ANGIO", "PCA", "FLOW", "PHASE CONTRAST", "PHASE_CONTRAST", "INFLOW"),
        *("T1 MAP", "T1_MAP", "T1MAP", "T2 MAP", "T2_MAP", "T2MAP", "T2_STAR_MAP", "T2*", "T2STAR", "T2*MAP", "R1"),
        *("R2", "R2*", "R2STAR", "R2_STAR", "R2_MAP", "R2_STAR_MAP", "R1_MAP", "PD_MAP", "PDMAP", "MAP", "QMAP"),
        *("B0", "B1", "B0 MAP", "B0_MAP", "B1 MAP", "B1_MAP", "B1MAP", "FIELD_MAP", "FIELDMAP", "FIELD MAP", "FREQ"),
        *("UNI", "UNI-DEN", "UNI_DEN", "DEN", "INV1", "INV2", "SYNTHETIC", "SYMRI", "QUANT", "PROTON_DENSITY"),
        *("F", "FAT", "FF", "WF", "FAT_FRACTION", "FAT FRACTION", "FATFRACTION", "FATFRAC", "WATER_FRACTION", "PDFF"),
        *(
            "WATER FRACTION",
            "OP",
            "OPP",
            "OUT",
            "OPP_PHASE",
            "OPPOSED_PHASE",
            "OPPOSED PHASE",
            "OUT_PHASE",
            "OUT PHASE",
        ),
        *("OUT_OF_PHASE", "OUT OF PHASE", "OPPPHASE", "OUTPHASE", "OUTOFPHASE", "MTC", "MTR", "MT", "MAG_TRANSFER"),
        *("MAGNETIZATION_TRANSFER", "COIL_SENSITIVITY", "SENSITIVITY_MAP", "CALIBRATION", "REFERENCE", "NOISE"),
        *(
            "ELASTOGRAPHY",
            "WAVE",
            "SPECTROSCOPY",
            "METABOLITE_MAP",
            "VELOCITY_MAP",
            "CEST",
            "MRAC",
            "MUMAP",
            "ATTENUATION",
        ),
    }
)
OPTIONS = {
    **dict.fromkeys(("VASCTOF_GEMS", "VASCPC_GEMS", "TOF", "PC"), "flow encoding or angiography by its scan options"),
    **dict.fromkeys(("MT", "MTC", "MT_GEMS", "MTSAT", "ON_RESONANCE", "OFF_RESONANCE"), "magnetization transfer"),
}
SEQUENCE_NAMES = (  # Siemens: phase contrast, susceptibility, field maps; TOF is a FISP of its name
    (re.compile(r"\*?(FL[23]D\d*_?PC|.*_V\d+(IN|TH|PH|AP|RL|FH)|.*PC3D|PC[23]D)"), "phase contrast"),
    (re.compile(r"\*?Q?SWI"), "susceptibility weighting"),
    (re.compile(r"\*?FM[23]D"), "a field map"),
    (re.compile(r"\*?(FI[23]D|.*TOF)"), "time of flight"),
)

NULLING_TR_MS = 200.0
WHITE_GREY_MS = ((1.2, 500.0, 800.0), (2.0, 620.0, 980.0), (4.0, 840.0, 1330.0), (math.inf, 1200.0, 1950.0))
BETWEEN_ECHOES = re.compile(r"PHILIPS|CANON|TOSHIBA|UIH|UNITED IMAGING|HITACHI|FUJIFILM")
NULLS = math.log(2)  # where inversions lie far apart: TI / T1


def not_magnitude(made: Acquisition) -> frozenset[str]:
    """The values of Image Type and component that say it is a phase, real or imaginary image."""
    stated = {each for each in made.image_type if re.match(r"[RIP]_", each)}
    stated |= (made.image_type | made.component) & NOT_MAGNITUDE
    return frozenset() if "M" in made.image_type and "MIXED" not in stated else frozenset(stated)


def scout(made: Acquisition, study: Study) -> str:
    """The word by which it is a scout or a calibration; "" where its magnetisation is prepared, or no word says so."""
    told = study.told(made)
    hint = None if made.inversion else SCOUT.search(told) or CALIBRATION.search(told)
    return hint.group() if hint else ""


def other_contrast(made: Acquisition, study: Study) -> str:
    """What kind of image it is by header and names, other than plain T1; "" for none."""
    plain = NOT_PLAIN & made.image_type
    option = next((said for name, said in OPTIONS.items() if name in made.options), "")
    sequence = next((said for shape, said in SEQUENCE_NAMES if shape.match(made.sequence_name)), "")
    cases = (
        (made.diffusion, "diffusion-weighted"),
        (made.planar, "echo planar imaging"),
        (made.flow, "flow encoding or angiography"),
        (made.steady_state, "steady-state free precession"),
        (bool(made.contrasts - {"T1"}), f"contrast stated as {', '.join(sorted(made.contrasts)).lower()}"),
        (bool(plain), f"image type {', '.join(sorted(plain)).lower()}"),
        (bool(option), option),
        (bool(sequence and not made.inversion), f"{sequence} by its sequence name"),
    )
    return next((name for holds, name in cases if holds), "") or _by_name(study.told(made))


def _by_name(told: str) -> str:
    nulled, mapped = NULLED.search(told), MAPS.search(told)
    transfer = TRANSFER.search(NO_TRANSFER.sub("-", told))
    fat = NO_WATER.search(told)
    if fat is None and DIXON.search(told):
        fat = DIXON_PART.search(SUPPRESSED.sub("-", DIXON.sub("-", told)))
    cases = ((nulled, "an image of nulled tissue"), (mapped, "a map"), (transfer, "magnetization transfer"))
    hint = next(((found, kind) for found, kind in (*cases, (fat, "no water image")) if found), None)
    return f"{hint[1]}, as its description says ({hint[0].group()})" if hint else ""


def angiography_or_field(made: Acquisition, study: Study) -> str:
    """The word by which an unprepared gradient echo is an angiogram, a field map or one of their kind; "" for none."""
    hint = ANGIOGRAPHY_OR_FIELD.search(study.told(made))
    return hint.group() if hint else ""


def white_matter_nulled(made: Acquisition) -> bool:
    """Whether the inversion time nulls or inverts white matter, as far as TR tells how often there is an inversion.

    A short TR lies between echoes. GE and others give TI with it in ways of their own; of the vendors that mean the
    time from inversion to centre, one far below the null point of white matter is taken for nulled.
    """
    if not made.ti or made.tr is None:
        return False
    white, grey = next((w, g) for limit, w, g in WHITE_GREY_MS if (made.tesla or 3.0) < limit)
    if made.tr < NULLING_TR_MS:
        return bool(BETWEEN_ECHOES.match(made.vendor)) and 100 < made.ti < NULLS * white
    signal = [1 - 2 * math.exp(-made.ti / t1) + math.exp(-made.tr / t1) for t1 in (white, grey)]
    return signal[0] <= 0 or abs(signal[1]) >= signal[0]
