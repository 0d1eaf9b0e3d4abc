"""Tiles predicted by the workers of a Ray cluster: the same bytes as in one process."""

import importlib.util

import pytest

pytest.importorskip('mmseg', reason='needs the extra change')
pytest.importorskip('rasterio', reason='needs the extra change')

from mamba_dense.apis import RasterOptions, infer_change_raster, init_model
from mamba_dense.apis.cluster import require_ray

from .rasters import tiny_network, write_pair


@pytest.fixture(scope='module')
def network(tmp_path_factory):
    """Config and checkpoint."""
    return tiny_network(tmp_path_factory.mktemp('network'))


@pytest.fixture(scope='module')
def pair(tmp_path_factory):
    return write_pair(tmp_path_factory.mktemp('pair'), 200, 230)


def test_two_workers_write_the_same_bytes(network, pair, tmp_path):
    pytest.importorskip('ray', reason='needs the extra cluster')
    from ray.cluster_utils import Cluster

    model, bytes_of = init_model(*network, 'cpu'), {}
    machines = Cluster(initialize_head=True, head_node_args={'num_cpus': 1})
    try:
        machines.add_node(num_cpus=1)
        for name, address in (('here', None), ('there', machines.address)):
            out = tmp_path / name
            options = RasterOptions(tile=64, overlap=16, probabilities=True, cluster=address)
            result = infer_change_raster(model, *pair, out, options)
            bytes_of[name] = {path.name: path.read_bytes() for path in result.files}
    finally:
        machines.shutdown()
    assert bytes_of['here'] == bytes_of['there'] and len(bytes_of['here']) == 4


def test_no_cluster(network, pair, tmp_path):
    if importlib.util.find_spec('ray') is None:
        with pytest.raises(ModuleNotFoundError, match=r'\[cluster\]'):
            require_ray()
        return
    options = RasterOptions(cluster='127.0.0.1:1')
    with pytest.raises(ConnectionError, match='no Ray cluster answers'):
        infer_change_raster(init_model(*network, 'cpu'), *pair, tmp_path, options)
