"""The DICOM Conformance Statement (PS3.2), generated from settings, code tables and results that are really built.

statement  fills template.md        catalogue  every attribute and term of the results
examples   the results it is read off, of made-up studies        CONFORMANCE.md  the statement of the default settings
"""
