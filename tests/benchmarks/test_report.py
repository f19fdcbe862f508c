"""What it costs to build the results of one study: report, summary page and 12 slices with heat maps, validated.

CPU time of one thread, so that what else the machine does hardly counts. The aim: under 0.7 s.

    pytest tests/benchmarks/test_report.py
"""

import statistics
import sys
import time

from tests import reports
from tests.factories import mr_series

IMAGES, ROUNDS, LONGEST_S = 192, 5, 0.7


def test_a_studys_results_are_built_in_less_than_a_second() -> None:
    series = mr_series(slices=IMAGES, rows=16, columns=16)
    made, how = reports.prediction(series), reports.context(captures=12)
    took = []
    for _ in range(ROUNDS):
        started = time.process_time()
        results = reports.build(series, made, how)
        took.append(time.process_time() - started)
    size = sum(len(each.content) for each in results)
    median = statistics.median(took)
    sys.stderr.write(f"\n{len(results)} results from {IMAGES} images: {median:.2f} s CPU, {size / 1e6:.1f} MB\n")
    assert median < LONGEST_S
