"""The memory of a training step: tensors followed to their end, and the estimate against a run."""

import subprocess
import sys

import pytest
import torch

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.medical.memory import FIXED, OVERHEAD, LiveBytes, step_bytes
from mamba_dense.medical.plan_networks import NETWORKS

# the growth of a process over two steps, in bytes
RUN = """
import json, sys, threading, time, torch
from mamba_dense.registry import MODELS
config, patch = json.loads(sys.argv[1])
model = MODELS.build(config)
def resident():
    return int(open('/proc/self/statm').read().split()[1]) * 4096
found, done = [resident()], threading.Event()
def watch():
    while not done.is_set():
        found.append(resident())
        time.sleep(0.001)
thread = threading.Thread(target=watch)
thread.start()
optimiser = torch.optim.Adam(model.parameters())
image, label = torch.randn(2, 1, *patch), torch.zeros(2, 1, *patch, dtype=torch.uint8)
for _ in range(2):
    optimiser.zero_grad()
    sum(model(image, label, mode='loss').values()).backward()
    optimiser.step()
done.set()
thread.join()
print('growth', max(found) - found[0])
"""


def segmentor(network, patch, width=8):
    planned = NETWORKS[network]
    shape = planned.shape([1.0] * len(patch), patch)
    return {
        'type': 'mamba_dense.VolumeSegmentor',
        **planned.config(shape, 1, 3, width),
        'num_classes': 3,
        'loss': {'type': 'mamba_dense.NnUNetLoss'},
        'patch_size': list(patch),
    }


@pytest.mark.parametrize('device', ['cpu', 'meta'])
def test_tensors_are_followed_to_their_end(device):
    with LiveBytes() as followed:
        first = torch.zeros(1000, device=device)
        second = first + 1
        view = second[:10]
        assert followed.live == 8000
        del second
        assert followed.live == 8000  # the view holds it
        del view
        assert followed.live == 4000
        (first * 2, first * 3)
    assert followed.live == 4000
    assert followed.peak == 12000


def test_what_the_way_back_needs_counts():
    weight = torch.zeros(100, 100, device='meta', requires_grad=True)
    with LiveBytes() as followed:
        kept = (torch.zeros(50, 100, device='meta') @ weight).exp().sum()
        # the factor, and exp of the product
        assert followed.live == 4 * (5000 + 5000 + 1)
        kept.backward()
    assert followed.peak > 4 * (5000 + 5000 + 10_000)


@pytest.mark.parametrize('network', NETWORKS)
@pytest.mark.parametrize('patch', [(16, 16), (16, 16, 16)])
def test_grows_with_batch_and_patch(network, patch):
    one, two, large = (
        step_bytes(segmentor(network, sides), channels=1, patch=sides, batch=batch)
        for sides, batch in ((patch, 2), (patch, 4), ((64, *patch[1:]), 2))
    )
    assert FIXED < one < two < large


@pytest.mark.full
@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
@pytest.mark.parametrize('network', NETWORKS)
def test_estimate_covers_a_run(network):
    import json

    patch = (48, 48, 48)
    config = segmentor(network, patch)
    estimate = step_bytes(config, channels=1, patch=patch, batch=2)
    command = [sys.executable, '-c', RUN, json.dumps([config, patch])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    growth = int(done.stdout.split('growth')[-1])
    tensors = (estimate - FIXED) / OVERHEAD
    assert 0.9 * tensors < growth < 1.1 * estimate
