"""NeuroSSL Node: everything that touches the outside, in rooms along the way of a study.

    sender ─ STOW-RS ─► dicomweb ┐           in the listener's process too
    PACS ── C-STORE ──► dimse ──► receive    intake: file durable, then success; row soon
                                  receive    completeness: the study is stable, one job is queued
                                  work       watchdog claims it; its child does the rest
                                  series     selection, choice, volume: the series that is read, or why none is
                        model ◄── work       Predictor: probabilities, spread, heat maps
                                  report     structured report and captures, encoded once
                                  work       results, deliveries and state in one transaction
    PACS ◄── C-STORE ── dimse ◄── deliver    courier, and proof where the destination offers it

    around it   service: the processes · process: what each does for itself · observe: facts for every reader
                offline: the same without a service · access: who may do what, by HTTP
                conformance: the statement · cli, demo: for people
                capacity: how many nodes are needed
    below it    dicom: encoding, no network · verdict, config, errors, logs, retry, patience · storage · model

Every arrow is a row in the events table. Who may import whom: `node` imports `storage` and `model`, which never meet;
each library has one door; folders have no circle. `tests/unit/test_architecture.py` holds this, and draws it.
"""
