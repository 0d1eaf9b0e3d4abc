"""Small volumes on the disk, and networks for them."""

from pathlib import Path

import nibabel
import numpy as np
import torch
from mmengine.config import Config
from monai.inferers import SliceInferer, SlidingWindowInferer
from torch import nn

AFFINE = np.array([[0, -2.0, 0, 9], [1.5, 0, 0, -4], [0, 0, 3, 1], [0, 0, 0, 1]])


def write_case(path, shape=(20, 18, 12), *, seed=0, affine=AFFINE):
    """A NIfTI file of noise between 0 and 255; its path."""
    values = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_sform(affine, 1)
    image.header.set_qform(affine, 2)
    image.header.set_xyzt_units('mm')
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return Path(path)


class Segmentor(nn.Module):
    """Stands for a VolumeSegmentor: a convolution over sliding windows."""

    def __init__(self, patch_size, num_classes, overlap, in_channels):
        super().__init__()
        self.patch_size, self.overlap = tuple(patch_size), overlap
        self.num_classes, self.mirror_axes = num_classes, ()
        convolution = nn.Conv3d if len(patch_size) == 3 else nn.Conv2d
        self.net = convolution(in_channels, num_classes, 3, padding=1)
        nn.init.normal_(self.net.weight)

    @torch.no_grad()
    def predict_scores(self, image, mirror_axes=()):
        kind = {3: SlidingWindowInferer, 2: SliceInferer}[len(self.patch_size)]
        options = {} if len(self.patch_size) == 3 else {'spatial_dim': 0}
        inferer = kind(roi_size=self.patch_size, overlap=self.overlap, mode='gaussian', **options)
        turns = [()] + ([tuple(a - len(self.patch_size) for a in mirror_axes)] * bool(mirror_axes))

        def net(window):
            return sum(self.net(window.flip(t)).flip(t) for t in turns) / len(turns)

        return inferer(image[None], net)[0]


def segmentor(patch_size, num_classes=3, *, overlap=0.5, in_channels=1):
    """A network with random weights as `init_model` gives it."""
    torch.manual_seed(0)
    model = Segmentor(patch_size, num_classes, overlap, in_channels).eval()
    preparation = {'channels': in_channels * [{'kind': 'zscore'}], 'spacing': None}
    model.cfg = Config({'test_dataloader': {'dataset': {'preparation': preparation}}})
    names = ('background', *'abcdefghijklmnopqrstuvwxyz')
    model.dataset_meta = {'classes': names[:num_classes]}
    return model
