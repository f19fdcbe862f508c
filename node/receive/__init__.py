"""Bytes -> stored file and row -> a study that is complete.

intake        one instance, durable before its receipt is given
registrar     the rows, many in one transaction, behind the receipts
completeness  pure: is this study complete at this time, and by which rule
recovery      the files are the truth: rows, or a whole database, made again from them

Knows no door: C-STORE comes in through `dimse`, and turns a receipt into a status there. May not come in: the network,
pixels, results.
"""
