"""Tiles predicted by the workers of a Ray cluster: the same bytes as in one process."""

import importlib.util

import numpy as np
import pytest
import torch

pytest.importorskip('mmseg', reason='needs the extra change')
pytest.importorskip('rasterio', reason='needs the extra change')

from mamba_dense.apis import RasterOptions, infer_change_raster, init_model
from mamba_dense.apis.change import predict_dates
from mamba_dense.apis.cluster import Cluster, require_ray

from .rasters import tiny_network, write_pair


@pytest.fixture(scope='module')
def network(tmp_path_factory):
    """Config and checkpoint."""
    return tiny_network(tmp_path_factory.mktemp('network'))


@pytest.fixture(scope='module')
def pair(tmp_path_factory):
    return write_pair(tmp_path_factory.mktemp('pair'), 200, 230)


@pytest.fixture(scope='module')
def machines():
    """Address of a cluster of two machines of one core, both here."""
    pytest.importorskip('ray', reason='needs the extra cluster')
    from ray.cluster_utils import Cluster as Machines

    both = Machines(initialize_head=True, head_node_args={'num_cpus': 1})
    both.add_node(num_cpus=1)
    yield both.address
    both.shutdown()


@pytest.fixture(autouse=True)
def one_thread():
    """A worker takes as many cores as there are threads here."""
    torch.set_num_threads(1)


def test_two_workers_write_the_same_bytes(network, pair, machines, tmp_path):
    model, written = init_model(*network, 'cpu'), {}
    for name, address in (('here', None), ('there', machines)):
        options = RasterOptions(tile=64, overlap=16, probabilities=True, cluster=address)
        result = infer_change_raster(model, *pair, tmp_path / name, options)
        written[name] = {path.name: path.read_bytes() for path in result.files}
    assert written['here'] == written['there'] and len(written['here']) == 4


def test_a_lost_worker_is_started_again(network, machines):
    import ray

    model, lost = init_model(*network, 'cpu'), []
    tiles = np.random.default_rng(0).integers(0, 255, (12, 32, 32, 6), np.uint8)
    with Cluster(machines, model) as cluster:
        assert len(cluster) == 2

        def jobs():
            for index, pixels in enumerate(tiles):
                if index == 6:
                    lost.append(cluster.workers[0])
                    ray.kill(cluster.workers[0], no_restart=False)
                yield (0, index), pixels

        found = dict(cluster.predict(jobs()))
    assert lost and len(found) == 12
    for index, pixels in enumerate(tiles):
        np.testing.assert_array_equal(found[0, index], predict_dates(model, pixels))


def test_no_cluster(network, pair, tmp_path):
    if importlib.util.find_spec('ray') is None:
        with pytest.raises(ModuleNotFoundError, match=r'\[cluster\]'):
            require_ray()
        return
    options = RasterOptions(cluster='127.0.0.1:1')
    with pytest.raises(ConnectionError, match='no Ray cluster answers'):
        infer_change_raster(init_model(*network, 'cpu'), *pair, tmp_path, options)
