"""DICOM over the network, both ways; the one place that knows pynetdicom.

scp         the listener: accept loop, limits, TLS        scu         echo, send, find
acceptor    one association that a peer opened            requestor   one association that we open
                                                          commitment  storage commitment, asked and answered
association messages of an established association, from either side
connection  PDUs over one socket, each wait with a deadline
negotiation the association PDUs (pynetdicom)             command     DIMSE command sets
contexts    what is accepted                              admission   who is accepted, and how many
                                                          witness     who else wants to know
elements    walks a data set without decoding it          header      what an instance says it is
part10      files around data sets                        status      every status, rejection and abort by its name
"""
