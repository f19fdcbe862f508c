"""The structured report: TID 1500 "Measurement Report" with one TID 1501 measurement group.

The tree is the one that opens in viewers, found by experiment: every container SEPARATE, an image library without
descriptors, one group with tracking identifier and UID and with a spatial coordinate on a key slice (a group
without one opens to a blank viewport in OHIF 3.13), numbers in percent and never nested.

It says what the model's card says: changes that the model associates with dementia, how probable, and in which band. It
calls nothing present or absent, which a receiving system could take for a diagnosis.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

from highdicom.sr import CodedConcept, ContentItem
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

from model.types import ModelId, Prediction
from node import verdict
from node.dicom import values
from node.report import codes
from node.report.content import (
    ACQUISITION,
    CONTEXT,
    MODIFIER,
    code,
    container,
    document,
    image,
    language_and_observer,
    marker,
    number,
    text,
    uid_reference,
    with_modifier,
)
from node.report.envelope import RESEARCH_USE_ONLY, UNTRAINED, Envelope, ascii_text
from node.report.keyslice import KeySlice
from node.report.source import Reference

SOP_CLASSES = {"sr_comprehensive": ComprehensiveSRStorage, "sr_comprehensive_3d": Comprehensive3DSRStorage}
WHOLE_CODE = re.compile(r"[A-Za-z0-9._-]{1,16}")  # VR SH, in every character set
LONGEST_MEANING = 64
NO_LOCATION = (
    "The small square at the edge of the key slice marks that image only: it is not the location of a lesion. "
    "The model classifies the study, it does not localise."
)


def measurement_report(
    envelope: Envelope,
    kind: str,
    prediction: Prediction,
    images: Sequence[Reference],
    key_slice: KeySlice,
    captures: Sequence[Reference],
) -> Dataset:
    """The report as Comprehensive or Comprehensive 3D SR, `kind` being a key of SOP_CLASSES.

    images: every instance of the series that was read; captures: what goes to the same receivers besides.
    """
    group = container(codes.MEASUREMENT_GROUP, _group(envelope, prediction, key_slice, captures), template="1501")
    tree = container(
        codes.IMAGING_MEASUREMENT_REPORT,
        [
            *language_and_observer(envelope),
            code(codes.PROCEDURE_REPORTED, procedure(envelope.header), MODIFIER),
            _image_library(images),
            container(codes.IMAGING_MEASUREMENTS, [group]),
        ],
        relationship=None,
        template="1500",
    )
    target = document(envelope, SOP_CLASSES[kind], kind, tree, [*images, *captures])
    target.CodingSchemeIdentificationSequence = [codes.scheme_identification()]
    return target


def procedure(header: Dataset) -> CodedConcept:
    """What was done, by the source's own procedure code where it has a whole one, else an MRI of the brain."""
    for item in values.items(header, "ProcedureCodeSequence"):
        value, scheme = values.text(item, "CodeValue"), values.text(item, "CodingSchemeDesignator")
        meaning = ascii_text(values.text(item, "CodeMeaning"), LONGEST_MEANING)
        if WHOLE_CODE.fullmatch(value) and WHOLE_CODE.fullmatch(scheme) and meaning:
            return CodedConcept(value, scheme, meaning)
    return codes.BRAIN_MRI


def _image_library(images: Sequence[Reference]) -> ContentItem:
    """TID 1600, light: references without descriptors, which viewers take from the images themselves."""
    group = [code(codes.MODALITY, codes.MAGNETIC_RESONANCE, ACQUISITION)]
    group.extend(image(codes.SOURCE, reference) for reference in images)
    return container(codes.IMAGE_LIBRARY, [container(codes.IMAGE_LIBRARY_GROUP, group)])


def _group(
    envelope: Envelope, prediction: Prediction, key_slice: KeySlice, captures: Sequence[Reference]
) -> Iterator[ContentItem]:
    yield text(codes.TRACKING_IDENTIFIER, "AI dementia assessment", CONTEXT)
    yield uid_reference(codes.TRACKING_UID, envelope.tracking_uid)
    yield code(codes.FINDING, codes.LIKE_DEMENTIA)
    yield code(codes.FINDING_SITE, codes.BRAIN, MODIFIER)
    yield from _algorithm(prediction.model, envelope.context.settings.manufacturer)
    yield from _numbers(prediction)
    yield code(codes.DECISION_BAND, codes.BANDS[prediction.band] if prediction.band else codes.OUT_OF_SCOPE)
    for capture in captures:
        yield image(codes.VISUAL_EXPLANATION, capture)
    yield marker(key_slice.columns, key_slice.rows, key_slice.reference)
    for sentence in (*statements(prediction), key_slice.why, NO_LOCATION):
        yield text(codes.COMMENT, sentence)


def _algorithm(model: ModelId, manufacturer: str) -> Iterator[ContentItem]:
    """TID 4019: name, version and every number that shaped the answer."""
    yield text(codes.ALGORITHM_NAME, model.name, MODIFIER)
    yield text(codes.ALGORITHM_VERSION, model.version, MODIFIER)
    for line in parameters(model):
        yield text(codes.ALGORITHM_PARAMETERS, line, MODIFIER)


def parameters(model: ModelId) -> Iterator[str]:
    """`name=value` of every field of the model's identity that is not its name or version, mappings unfolded."""
    for each in fields(model):
        value = getattr(model, each.name)
        if isinstance(value, Mapping):
            yield from (f"{each.name}.{key}={_plain(value[key])}" for key in sorted(value))
        elif each.name not in ("name", "version"):
            yield f"{each.name}={_plain(value)}"


def _plain(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _numbers(prediction: Prediction) -> Iterator[ContentItem]:
    if prediction.probability is not None:
        probability = number(codes.PROBABILITY, round(100 * prediction.probability, 2), codes.PERCENT)
        yield with_modifier(probability, code(codes.DERIVATION, codes.MEAN, MODIFIER))
    if prediction.spread is not None:
        yield number(codes.STANDARD_DEVIATION, round(100 * prediction.spread, 2), codes.PERCENT)
    if prediction.predictive_entropy is not None:
        yield number(codes.PREDICTIVE_ENTROPY, round(prediction.predictive_entropy, 4), codes.NATS)
    if prediction.mutual_information is not None:
        yield number(codes.MUTUAL_INFORMATION, round(prediction.mutual_information, 4), codes.NATS)
    yield number(codes.SLICES_USED, len(prediction.slices), codes.SLICES)


def statements(prediction: Prediction) -> Iterator[str]:
    """The result in sentences, the limits of its use first."""
    yield RESEARCH_USE_ONLY
    if not prediction.model.trained:
        yield UNTRAINED
    yield f"Decision: {prediction.band or 'out of scope'}. {verdict.meaning(prediction)}"
    if prediction.standing:
        yield verdict.among(prediction)
    yield from prediction.remarks
    if not prediction.scope.inside:
        yield from (
            f"Scope measurement {key}={value:.6g}" for key, value in sorted(prediction.scope.measurements.items())
        )
