"""Random numbers by place in the stream: the same whatever ran before, in any number of workers."""

import pickle
import random

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler

from mamba_dense.engine import streams
from mamba_dense.engine.streams import StreamDataset, StreamIndex, StreamSampler, seeded


class Noise:
    """A dataset of random numbers from all three generators."""

    metainfo = {'classes': ('a', 'b')}

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return index, random.random(), np.random.rand(), torch.rand(()).item()


def draws():
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_seeded_repeats_and_hands_back():
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    with seeded(1, 2):
        first = draws()
    assert random.getstate() == before[0]
    assert (np.random.get_state()[1] == before[1]).all()
    assert torch.equal(torch.get_rng_state(), before[2])
    with seeded(1, 2):
        assert draws() == first
    with seeded(2, 1):
        assert not set(draws()) & set(first)


def test_index_keeps_its_position_through_pickle():
    index = pickle.loads(pickle.dumps(StreamIndex(3, 17)))
    assert (index, index.position, [10, 11, 12, 13][index]) == (3, 17, 13)


def test_dataset_draws_by_position():
    dataset = StreamDataset(Noise(), seed=0)
    first = dataset[StreamIndex(2, 7)]
    draws()
    assert dataset[StreamIndex(2, 7)] == first
    assert dataset[StreamIndex(2, 8)][1:] != first[1:]
    assert StreamDataset(Noise(), seed=1)[StreamIndex(2, 7)][1:] != first[1:]
    assert dataset.metainfo == Noise.metainfo
    assert len(pickle.loads(pickle.dumps(dataset))) == 5


def test_failure_names_the_file():
    class Broken(Noise):
        def get_data_info(self, index):
            return {'img_path': 'gone.png'}

        def __getitem__(self, index):
            raise AttributeError('shape')

    with pytest.raises(RuntimeError, match=r"sample 4 \(img_path='gone.png' \(does not exist\)\)"):
        StreamDataset(Broken(), seed=0)[4]


@pytest.mark.parametrize('kind', [InfiniteSampler, DefaultSampler])
def test_processes_share_one_stream(monkeypatch, kind):
    def stream(rank, processes, count):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda: (rank, processes))
        monkeypatch.setattr(streams, 'get_dist_info', lambda: (rank, processes))
        sampler = StreamSampler(range(8), {'type': kind.__name__}, seed=3)
        return [(index, index.position) for index, _ in zip(sampler, range(count), strict=False)]

    one = stream(0, 1, 8)
    two = stream(0, 2, 4) + stream(1, 2, 4)
    assert [position for _, position in one] == list(range(8))
    assert sorted(two, key=lambda pair: pair[1]) == one


def test_skip_goes_on_where_it_was():
    whole = iter(StreamSampler(range(5), {'type': 'InfiniteSampler'}, seed=3))
    expected = [next(whole) for _ in range(12)][7:]
    later = StreamSampler(range(5), {'type': 'InfiniteSampler'}, seed=3)
    later.skip(7)
    got = [index for index, _ in zip(later, range(5), strict=False)]
    assert got == expected
    assert [index.position for index in got] == [7, 8, 9, 10, 11]


def test_no_skip_where_the_sampler_has_none():
    assert not hasattr(StreamSampler(range(5), {'type': 'DefaultSampler'}, seed=3), 'skip')


def test_epochs_have_positions_of_their_own():
    sampler = StreamSampler(range(5), {'type': 'DefaultSampler'}, seed=3)
    sampler.set_epoch(2)
    assert [index.position for index in sampler] == [10, 11, 12, 13, 14]
