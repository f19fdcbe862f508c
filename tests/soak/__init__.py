"""A node under load for minutes or hours, while everything around it goes wrong; afterwards its promises are counted.

traffic   studies as they come: whole, in pieces, late, repeated, unreadable, of two patients, broken, from strangers
trouble   processes are killed, clocks set, the destination goes, the disk fills, settings are read again
promises  what must hold afterwards, and the table of it

    python -m tests.soak --help
"""
