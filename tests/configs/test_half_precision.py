"""Every nano segmentor trains in bfloat16 on the bundled nuclei, and stays finite.

Mean losses of the first and the last 30 of 300 steps, CPU time on one thread of an x86 machine:
EfficientViM 0.545, 0.126 (24 s), EfficientVMamba 0.544, 0.157 (22 s), MambaOut 0.391, 0.155
(18 s), MobileMamba 0.535, 0.128 (35 s), Vim 0.405, 0.149 (28 s).
"""

import numpy as np
import pytest
import torch

pytest.importorskip('mmseg', reason='needs the extra seg')

from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS, DefaultScope
from mmengine.structures import PixelData
from PIL import Image

from mamba_dense import samples
from mamba_dense.engine.amp import use_amp
from mamba_dense.registry import MODELS
from tests.configs.test_configs import CONFIGS, load

NANO = [
    name
    for name in CONFIGS
    if '-nano' in name and 'nuclei' in name and 'decode_head' in load(name).model
]
STEPS, CROP, BATCH, ENDS = 300, 64, 4, 30


def pictures():
    """The picture (3, H, W) and which pixels are nuclei (1, H, W)."""
    image = np.array(Image.open(samples.path('nuclei/image.png')).convert('RGB'))
    instances = np.array(Image.open(samples.path('nuclei/instances.png')))
    return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(instances > 0).long()[None]


def crops(image, mask, generator):
    """A batch as a data loader gives it."""
    from mmseg.structures import SegDataSample

    found = {'inputs': [], 'data_samples': []}
    for _ in range(BATCH):
        spans = [int(torch.randint(s - CROP, (), generator=generator)) for s in image.shape[1:]]
        place = (slice(None), *(slice(start, start + CROP) for start in spans))
        sample = SegDataSample(gt_sem_seg=PixelData(data=mask[place]))
        sample.set_metainfo({'ori_shape': (CROP, CROP), 'img_shape': (CROP, CROP)})
        found['inputs'].append(image[place])
        found['data_samples'].append(sample)
    return found


def train(name, steps=STEPS):
    """Losses of training in bfloat16 at the config's highest rate from the first step on.

    Harder than the config's recipe: there is no warm-up, the rate never falls, nothing is clipped.
    """
    cfg = load(name)
    cfg.model.data_preprocessor.pop('size_divisor', None)  # crops are of one size
    cfg.model.data_preprocessor.size = (CROP, CROP)
    use_amp(cfg)
    cfg.optim_wrapper.pop('clip_grad', None)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model).train()
        constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
            {
                'type': cfg.optim_wrapper.pop('constructor', 'DefaultOptimWrapperConstructor'),
                'optim_wrapper_cfg': cfg.optim_wrapper,
                'paramwise_cfg': cfg.optim_wrapper.pop('paramwise_cfg', {}),
            }
        )
        wrapper = constructor(model)
    generator = torch.Generator().manual_seed(0)
    image, mask = pictures()
    losses = []
    for step in range(steps):
        data = model.data_preprocessor(crops(image, mask, generator), training=True)
        with wrapper.optim_context(model):
            loss, _ = model.parse_losses(model(**data, mode='loss'))
        wrapper.backward(loss)
        bad = [n for n, p in model.named_parameters() if p.grad is not None and lost(p.grad)]
        assert not bad, f'step {step}: gradients of {bad} are not finite'
        wrapper.step()
        wrapper.zero_grad()
        losses.append(loss.item())
    assert not [key for key, value in model.state_dict().items() if lost(value)]
    return torch.tensor(losses)


def lost(value):
    return not value.isfinite().all()


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize('name', NANO)
def test_stays_finite_in_bfloat16(name):
    losses = train(name)
    assert losses.isfinite().all()
    first, last = losses[:ENDS].mean(), losses[-ENDS:].mean()
    assert last < first / 2, f'{first} to {last}: it has not learned'
