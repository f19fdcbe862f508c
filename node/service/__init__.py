"""The processes of the node, and the one that starts and watches them.

supervisor    starts, restarts and stops the others
listener      receives: the Storage SCP
office        everything that is due by the clock: completeness, delivery, housekeeping
housekeeping  what the office does, and how often       scheduler  when, by a clock that nobody can set
recall        what stands no longer is called back from the destinations
upkeep        what the service does besides: the dead, the program on the disk, SIGHUP
witness       what the audit trail hears of associations

Each puts together what other rooms offer; nothing imports this one but the command line and the demo.
"""
