"""The same reading and the same model without a service: nothing is stored in a database, nothing is sent.

predictions  pictures, NIfTI and DICOM -> answers       inspection     what the node would do with a folder, and why
heatmaps     slices with heat maps in one picture       contact_sheet  slices as the network sees them
sources      DICOM series to train on
"""
