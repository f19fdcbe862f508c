"""The model of capacity agrees with what theory says of queues, and answers as an administrator would expect."""

import json
from math import factorial
from pathlib import Path

import numpy as np
import pytest

from node.capacity import measured, page, plan
from node.capacity.arrivals import Demand, of_series
from node.capacity.measured import Times
from node.capacity.plan import Prices
from node.capacity.simulation import Visit, simulate
from node.errors import ConfigurationError

STUDIES = 8_000


def mean_wait(servers: int, arrive: np.ndarray, serve: np.ndarray) -> float:
    visits = [[Visit("place", float(seconds), at_s=float(at))] for at, seconds in zip(arrive, serve, strict=True)]
    return float(simulate({"place": servers}, visits).waits_s["place"].mean())


@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (3, 0.7)])
def test_exponential_service_waits_as_erlang_c_says(servers: int, load: float) -> None:
    random = np.random.default_rng(5)
    offered = servers * load
    arrive = random.exponential(1 / offered, STUDIES).cumsum()
    last = offered**servers / factorial(servers) / (1 - load)
    waits = last / (sum(offered**k / factorial(k) for k in range(servers)) + last)
    found = mean_wait(servers, arrive, random.exponential(1, STUDIES))
    assert found == pytest.approx(waits / (servers - offered), rel=0.12)


@pytest.mark.parametrize("variation", [0.0, 0.25, 1.5])
def test_general_service_waits_as_pollaczek_and_khinchine_say(variation: float) -> None:
    random, load = np.random.default_rng(6), 0.5
    arrive = random.exponential(1 / load, STUDIES).cumsum()
    serve = random.gamma(variation**-2, variation**2, STUDIES) if variation else np.ones(STUDIES)
    assert mean_wait(1, arrive, serve) == pytest.approx(load * (1 + variation**2) / 2 / (1 - load), rel=0.12)


def test_a_gpu_is_waited_for_while_the_worker_is_held() -> None:
    way = [Visit("worker", 1.0, within=(Visit("gpu", 2.0),))]
    run = simulate({"worker": 2, "gpu": 1}, [way, way])
    assert run.ended_s.tolist() == [3.0, 5.0]
    assert run.waits_s["gpu"].tolist() == [0.0, 2.0]
    assert run.busy_s == {"worker": 8.0, "gpu": 4.0}


def test_a_backlog_lasts_as_long_as_its_busiest_place_works() -> None:
    still = Times(variation=0.0)
    answer = plan.fleet(Demand("all", 400, at_once=True), still, 2, 0, Prices(node=3.6))
    assert answer.saturates == plan.WORKER
    assert answer.lasts_s == pytest.approx(200 * (still.around_s + still.predict_s), rel=0.03)
    assert answer.price == pytest.approx(2 * 3.6 / 3600 * answer.lasts_s / 400)
    assert plan.fleet(answer.demand, still, 2, 4, Prices(node=3.6)).price is None  # a GPU without a price


def test_the_smallest_fleet_that_is_quick_enough_is_found() -> None:
    demand, slow = Demand("day", 500), Times(predict_s=120)
    answer = plan.nodes_for(demand, slow, 0, 300, Prices())
    assert answer.nodes > 1
    assert answer.most_s <= 300 < plan.fleet(demand, slow, answer.nodes - 1, 0, Prices()).most_s


def test_gpus_that_are_too_few_are_said_to_be() -> None:
    with pytest.raises(ValueError, match="1 GPUs are too few"):
        plan.nodes_for(Demand("day", 300), Times(gpu_predict_s=600), 1, 30, Prices())


def test_the_series_of_a_study_come_one_after_the_other_by_day() -> None:
    times = of_series(Demand("day", 2000, hospitals=3), np.random.default_rng(1))
    assert times.shape == (2000, 6)
    assert (np.diff(times, axis=1) >= 0).all()
    assert np.mean((times[:, 0] > 7 * 3600) & (times[:, 0] < 18 * 3600)) > 0.7


def test_the_same_answers_make_the_same_page(tmp_path: Path) -> None:
    slow = Times(predict_s=600)
    answer = plan.fleet(Demand("a day", 40), slow, 1, 0, Prices(node=0.5))
    written = [page.write(tmp_path / name, [answer], slow, 60) for name in "ab"]
    assert written[0].read_bytes() == written[1].read_bytes()
    assert (tmp_path / "a" / page.PICTURE).read_bytes() == (tmp_path / "b" / page.PICTURE).read_bytes()
    assert f"| {0.5 * 24 / 40:.5f} |" in written[0].read_text()


def test_times_are_read_from_a_file_and_what_is_wrong_is_named(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    path.write_text(json.dumps({"predict_s": 1.5}))
    assert measured.load(path) == Times(predict_s=1.5)
    for wrong, said in (
        ({"predict": 1}, "predict: no such time"),
        ({"predict_s": 0}, "predict_s is 0"),
        ([1], "no such time"),
    ):
        path.write_text(json.dumps(wrong))
        with pytest.raises(ConfigurationError, match=said):
            measured.load(path)
