"""How many nodes a demand needs, where it saturates first, and what a study costs."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.capacity.arrivals import DAY_S, Demand, of_series
from node.capacity.measured import Times
from node.capacity.simulation import Run, Visit, simulate

LISTENER, WORKER, GPU, COURIER = "listener", "worker", "GPU", "courier"
SIMULATED_AT_ONCE = 500  # of a backlog; its rate is that of the whole


@dataclass(frozen=True)
class Prices:
    """For an hour, in any currency; None where the user gave none."""

    node: float | None = None
    gpu: float | None = None


@dataclass(frozen=True)
class Answer:
    """One demand, answered by one fleet.

    median_s, most_s: from a study's completeness (after the quiet period) to its delivery, 50 % and 95 % of the studies
    use: busy share of each place in the day's busiest hour's worth of work, or of the whole backlog
    """

    demand: Demand
    nodes: int
    gpus: int
    median_s: float
    most_s: float
    saturates: str
    use: dict[str, float]
    lasts_s: float
    core_s: float
    gpu_s: float
    price: float | None

    @property
    def bears(self) -> int:
        """Studies a day with which the first place is busy all through the busiest hour; at once: in 24 hours."""
        if self.demand.at_once:
            return round(self.demand.studies * DAY_S / self.lasts_s)
        return round(self.demand.studies / max(self.use.values()))


def nodes_for(demand: Demand, times: Times, gpus: int, within_s: float, prices: Prices, seed: int = 1) -> Answer:
    """The smallest fleet with which 95 % of the studies of a day are delivered `within_s` of being complete."""
    nodes = max(1, math.floor(max(seconds_each(demand, times, gpus).values()) * demand.studies / DAY_S))
    answer = fleet(demand, times, nodes, gpus, prices, seed)
    while answer.most_s > within_s:
        if gpus and answer.saturates == GPU:
            raise ValueError(f"{gpus} GPUs are too few for {demand.studies} studies, however many nodes there are")
        nodes = max(nodes + 1, math.ceil(nodes * 1.05))
        answer = fleet(demand, times, nodes, gpus, prices, seed)
    return answer


def fleet(demand: Demand, times: Times, nodes: int, gpus: int, prices: Prices, seed: int = 1) -> Answer:
    """What a demand meets with so many nodes and GPUs; no GPU: the nodes predict on their cores."""
    simulated = min(demand.studies, SIMULATED_AT_ONCE * nodes) if demand.at_once else demand.studies
    random = np.random.default_rng(seed)
    series = of_series(demand, random)[:simulated]
    servers = {LISTENER: nodes, WORKER: nodes, COURIER: nodes} | ({GPU: gpus} if gpus else {})
    run = simulate(servers, [_way(each, demand, times, gpus, random) for each in series])
    complete = np.zeros(simulated) if demand.at_once else series[:, -1] + demand.quiet_s
    scale = demand.studies / simulated
    delays = np.maximum(run.ended_s - complete, 0) * scale
    lasts = float(run.ended_s.max()) * scale
    use = _use(run, series, demand)
    each = seconds_each(demand, times, gpus)
    on_cores = times.around_s + (0 if gpus else times.predict_s * times.cores)
    return Answer(
        demand=demand,
        nodes=nodes,
        gpus=gpus,
        median_s=float(np.median(delays)),
        most_s=float(np.percentile(delays, 95)),
        saturates=max(use, key=lambda name: use[name]),
        use=use,
        lasts_s=lasts,
        core_s=each[LISTENER] + on_cores + each[COURIER],
        gpu_s=times.gpu_predict_s if gpus else 0.0,
        price=_price(prices, nodes, gpus, lasts if demand.at_once else DAY_S, demand.studies),
    )


def seconds_each(demand: Demand, times: Times, gpus: int) -> dict[str, float]:
    """What a study takes of a server of each place on average, without waiting."""
    predict = times.gpu_predict_s if gpus else times.predict_s
    return {
        LISTENER: demand.instances / times.receive_per_s,
        WORKER: times.around_s + predict,
        COURIER: times.deliver_s,
    } | ({GPU: predict} if gpus else {})


def _way(
    series: NDArray[np.float64], demand: Demand, times: Times, gpus: int, random: np.random.Generator
) -> list[Visit]:
    """A study: its series are received as they come; after the quiet period a worker has it, then a courier."""
    each = seconds_each(demand, times, gpus)
    coming = series[:1] if demand.at_once else series  # an archive sends a study in one piece
    received = [Visit(LISTENER, _drawn(each[LISTENER] / len(coming), times, random), at_s=float(at)) for at in coming]
    ready = 0.0 if demand.at_once else float(series[-1]) + demand.quiet_s
    if gpus:
        on_gpu = (Visit(GPU, _drawn(each[GPU], times, random)),)
        work = Visit(WORKER, _drawn(times.around_s, times, random), ready, on_gpu)
    else:
        work = Visit(WORKER, _drawn(each[WORKER], times, random), ready)
    return [*received, work, Visit(COURIER, _drawn(times.deliver_s, times, random))]


def _drawn(mean: float, times: Times, random: np.random.Generator) -> float:
    """A gamma variate of this mean and the variation of the times."""
    if not times.variation:
        return mean
    shape = times.variation**-2
    return float(random.gamma(shape, mean / shape))


def _use(run: Run, series: NDArray[np.float64], demand: Demand) -> dict[str, float]:
    if demand.at_once:
        return {name: run.use(name, float(run.ended_s.max())) for name in run.servers}
    hours = np.bincount((series[:, -1] // 3600).astype(np.int64))
    busiest = hours.max() / len(series)  # share of the studies that become complete in the busiest hour
    return {name: float(run.use(name, 3600 / busiest)) for name in run.servers}


def _price(prices: Prices, nodes: int, gpus: int, seconds: float, studies: int) -> float | None:
    if prices.node is None or (gpus and prices.gpu is None):
        return None
    return (nodes * prices.node + gpus * (prices.gpu or 0.0)) * seconds / 3600 / studies
