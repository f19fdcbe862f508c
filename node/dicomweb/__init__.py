"""DICOM over HTTP (PS3.18): instances come in by STOW-RS, and results go out by it.

server        connections, and what is refused at once     conversation   one connection (h11's door)
senders       who may store                                stow           a request, instance by instance
multipart     a body in parts, as it comes                 answers        what a sender is told, as DICOM JSON or XML
store         results to a destination

This door stands in the listener's process, beside that of C-STORE: what comes in goes through the same intake, whose
rows have one writer (`receive/registrar`); it is held up by the same valve, and its senders are waited for like open
associations. The pages are another process, which may be absent, and could write none of that.

May not come in: storage, and what is decided on instances (`receive`) and deliveries (`deliver`).
"""
