"""How many nodes are needed: a queueing model of nodes that share their arrivals, fed with measured times.

measured    what each act of a node takes, and where that was measured
arrivals    when studies come: days, regions, everything at once
simulation  studies that wait for listeners, workers, GPUs and couriers
plan        how many nodes, what saturates first, what a study costs
page        figures and a picture, as Markdown and SVG

It asks no node and opens no database. Its figures are as good as the times that it is given.
"""
