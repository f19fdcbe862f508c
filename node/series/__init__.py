"""Stored instances -> the series that is read -> `model.Volume`; each series that is not read has a named reason.

volume     headers by series; one series as a volume          selection  pure: the verdict on each, the best first
screening  what selection asks of a series                    weighting  is it T1, and how well does it suit the model
geometry   the grid of a stack of planes                      pixels     stored pixels, every size checked first
reasons    why a series is not read

May not come in: the network, the database, the model's networks.
"""
