"""Facts about the node, gathered once for every reader: the command line now, pages and metrics later.

jobs        the queue by the page, and everything about one job        study   how it came, what was made of it
peers       who sends, who gets, what was refused                      state   disk, processes, acts, certificates
statistics  per day and per scanner, from the sums of `tally`, which adds up what happened
drift       whether the last week was as usual      comparing  by which tests, and how often they err
health      configuration, folders, database, device, peers, before anything runs      vital   does it do its work
actions     an operator's hand: retry, cancel, withdraw, priority, pause, drain, a reader's word
audit       the trail of PS3.15 A.5: a queue and a thread that sends   audit_message  what happened, as XML (A.5.1)
support     a zip for who helps from afar                              syslog  RFC 5424, and the ways to a receiver

Reads what others wrote down; only `actions`, `tally` and `drift` write anything. May not come in: how facts are drawn.
"""
