"""Word to people, in the hospital's own channels, of what happens to the node.

    watch ── what changed ──► ledger (a file) ──► post: one message of what is due ──► mail, webhook, service

notice   what is told, in words that name no patient     watch   facts at one time, compared with what was seen before
ledger   what waits and what was told, over a restart    post    digest, pauses, quiet hours, tries
mail, webhook, service   the ways out                    office  its part in the office: who looks, who tells

A notice is told at least once to each channel, and holds up nothing. Nobody is told who is not in the settings. May not
come in: DICOM, results, anything that identifies a patient or a study; a job has its number.
"""
