"""The archive of the hospital: asked what a study has, and fetched from where something is missing.

counting  how much of each study is missing here, by C-FIND       fetching  what is missing comes by C-GET or C-MOVE

What comes is stored as everything else, by the function that the caller gives. May not come in: when a study is
complete (`receive`), pixels, results.
"""
