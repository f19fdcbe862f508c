"""NeuroSSL Node: everything that touches the outside.

    PACS ── C-STORE ──► listener (dimse/scp, intake) ──► file and row, durable, then 0x0000
                        office (completeness)        ──► study stable, one job queued
                        worker (selection, series)   ──► model.Volume ──► model.Predictor
                        worker (report)              ──► SR and captures: files, deliveries, state, one transaction
    PACS ◄── C-STORE ── office (delivery)            ◄── deliveries, with proof where the destination offers it

Three processes under one parent (`service`), each of which can run alone. Every arrow is a row in the events table.

Who may import whom: `node` imports `storage` and `model`; those two never meet. Each library has one door: torch in
`model/`, SQLAlchemy in `storage/`, pynetdicom in `node/dimse/`, highdicom's writing in `node/report/` (its geometry in
`node/series.py`), APScheduler in `node/scheduler.py`. So the listener starts without torch, and replacing a library
touches one folder. `tests/unit/test_architecture.py` holds this.
"""
