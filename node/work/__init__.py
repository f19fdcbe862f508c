"""One job from its claim to its results, in two processes: one that may be killed, and one that sees to it.

watchdog   claims jobs, keeps a child ready            inference  the child: holds torch and the bundle
attempt    one attempt: lease, limits, how it ended    analysis   read, predict, report
child      the watchdog's end of the child             messages   what the two say to each other
                                                       outcome    what became of a job, for whoever shows it

Only the watchdog writes to the database; only the child decodes what strangers sent, and it knows no network.
"""
