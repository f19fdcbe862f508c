"""Results as HL7 v2 messages (ORU^R01, v2.5.1) over MLLP, for information systems that do not speak DICOM.

report    what a stored report says of patient, order and study     message  pure: that and the outcome -> segments
text      fields: delimiters escaped, names as components           mllp     message out, acknowledgement in
receiver  one receiver, as `deliver` sends to it

A message is a delivery of the stored report: claimed, tried again and written down by the courier. May not come in:
what is received, and making results; nothing of a patient stays here but what lies in the report's file.
"""
