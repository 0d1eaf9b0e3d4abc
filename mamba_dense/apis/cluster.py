"""The tiles of a raster predicted by the processes of a Ray cluster.

The driver reads the windows and keeps the results, so the machines need the library and no common
disk. Each worker predicts with as many threads as the driver has, so its numbers are the driver's.
"""

import importlib.util
import socket
from collections.abc import Iterable, Iterator
from types import ModuleType

import numpy as np
import torch
from torch import nn

from .change import predict_dates

Key = tuple[int, int]
# tiles sent to a worker ahead of its work, and times that a lost one is started again
_AHEAD, _RETRIES = 2, 3
# seconds that a cluster has to answer
_WAIT = 10


class TileWorker:
    """A network in a process of its own."""

    def __init__(self, model: nn.Module, threads: int, device: str):
        torch.set_num_threads(threads)
        self._model = model.to(device).eval()

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        """See `predict_dates`."""
        return predict_dates(self._model, pixels)


def require_ray() -> ModuleType:
    """The package ray.

    Raises:
        ModuleNotFoundError: it is not installed; says which extra has it.
    """
    if importlib.util.find_spec('ray') is None:
        raise ModuleNotFoundError(
            'work on several machines is handed out by Ray, which is not installed: '
            "pip install --no-build-isolation -e '.[cluster]'"
        )
    import ray

    return ray


def _knock(address: str) -> None:
    """Refuse an address where nothing listens; Ray itself waits for minutes."""
    host, colon, port = address.rpartition(':')
    if colon and port.isdigit() and '/' not in host:
        socket.create_connection((host, int(port)), timeout=_WAIT).close()


class Cluster:
    """Workers of a Ray cluster, each with the network.

    Args:
        address: of the cluster (`HOST:PORT` as `ray start --head` prints it, `auto`), or `local`
            for worker processes on this machine alone.
        model: the network; it is sent to the workers as it is, on the device it is on here.

    Attributes:
        workers: their handles.

    Raises:
        ConnectionError: no cluster answers, or it has no room for one worker.
    """

    def __init__(self, address: str, model: nn.Module):
        self._ray = require_ray()
        threads = torch.get_num_threads()
        device = next(model.parameters()).device.type
        needs = {'num_cpus': threads, 'num_gpus': 1 if device == 'cuda' else 0}
        try:
            _knock(address)
            self._ray.init(address=address, log_to_driver=False, logging_level='ERROR')
        except (OSError, ValueError, RuntimeError) as error:
            raise ConnectionError(
                f'no Ray cluster answers at {address!r} ({error}); start one by `ray start '
                '--head`, or take --cluster local.'
            ) from error
        have = self._ray.cluster_resources()
        count = int(have.get('CPU', 0) // threads)
        if needs['num_gpus']:
            count = min(count, int(have.get('GPU', 0)))
        if count < 1:
            self._ray.shutdown()
            raise ConnectionError(
                f'the Ray cluster at {address!r} has {have.get("CPU", 0):g} CPUs and '
                f'{have.get("GPU", 0):g} GPUs; a worker needs {threads} CPUs (OMP_NUM_THREADS) and '
                f'{needs["num_gpus"]} GPUs.'
            )
        kind = self._ray.remote(max_restarts=_RETRIES, max_task_retries=_RETRIES, **needs)(
            TileWorker
        )
        # held as long as the workers, which are started again with it
        self._model = self._ray.put(model.cpu())
        model.to(device)
        self.workers = [kind.remote(self._model, threads, device) for _ in range(count)]

    def __enter__(self) -> 'Cluster':
        return self

    def __exit__(self, *_error: object) -> None:
        self._ray.shutdown()

    def __len__(self) -> int:
        return len(self.workers)

    def predict(self, jobs: Iterable[tuple[Key, np.ndarray]]) -> Iterator[tuple[Key, np.ndarray]]:
        """Scores of each job's pixels by its key, in the order in which they are done.

        Jobs are taken from their iterator when a worker has room for one.

        Raises:
            RuntimeError: a worker failed and could not be started again.
        """
        running: dict = {}  # reference -> (key, worker)
        idle = self.workers * _AHEAD
        jobs = iter(jobs)
        while True:
            while idle and (job := next(jobs, None)) is not None:
                key, pixels = job
                worker = idle.pop(0)
                running[worker.predict.remote(pixels)] = (key, worker)
            if not running:
                return
            done, _ = self._ray.wait(list(running), num_returns=1)
            key, worker = running.pop(done[0])
            try:
                scores = self._ray.get(done[0])
            except self._ray.exceptions.RayError as error:
                raise RuntimeError(
                    f'a worker of the Ray cluster failed at tile {key}: {error}; what is done is '
                    'kept, start the same command again.'
                ) from error
            yield key, scores
            idle.append(worker)
