"""Stored instances -> the series that is read -> `model.Volume`; each series that is not read has a named reason.

choice     the one way to the series that is read             selection  pure: the verdict on each, the best first
volume     headers by series; one series as a volume          reasons    why a series is not read
screening  what selection asks of a series                    weighting  is it T1, and how well does it suit the model
geometry   the grid of a stack of planes                      pixels     stored pixels, every size checked first

May not come in: the network, the database, the model's networks.
"""
