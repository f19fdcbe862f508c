"""Results to their destinations, until acknowledged and, where a destination offers it, proved to be kept.

courier  one thread a destination: claimed, verified, sent, written down
proof    storage commitment, or a look into the archive by C-FIND
breaker  pure: while nobody answers, one try now and then
verification  C-ECHO now and then, beside what is sent

May not come in: what is received (`receive`), and making results: they are sent from their files, byte for byte.
"""
