"""Facts about the node, gathered once for every reader: the command line now, pages and metrics later.

jobs    the queue, and everything about one job
health  configuration, folders, database, device, peers

Reads what others wrote down; changes nothing. May not come in: how facts are drawn.
"""
