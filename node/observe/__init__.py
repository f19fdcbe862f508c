"""Facts about the node, gathered once for every reader: the command line now, pages and metrics later.

jobs    the queue, and everything about one job
health  configuration, folders, database, device, peers
audit   the trail of PS3.15 A.5: a queue and a thread that sends      audit_message  what happened, as XML (A.5.1)
support  a zip for who helps from afar
syslog  RFC 5424, and the ways to a receiver

Reads what others wrote down; changes nothing. May not come in: how facts are drawn.
"""
