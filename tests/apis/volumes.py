"""Small volumes on the disk, and networks for them."""

from pathlib import Path

import nibabel
import numpy as np
import torch
from mmengine.config import Config

from mamba_dense.medical.segmentor import VolumeSegmentor

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


def segmentor(patch_size, num_classes=3, *, overlap=0.5):
    """A convolution with random weights over windows, as `init_model` gives a network."""
    torch.manual_seed(0)
    rank = len(patch_size)
    convolution = {'type': f'torch.nn.Conv{rank}d', 'kernel_size': 3, 'padding': 1}
    model = VolumeSegmentor(
        {**convolution, 'in_channels': 1, 'out_channels': num_classes},
        num_classes=num_classes,
        loss={'type': 'mamba_dense.NnUNetLoss'},
        patch_size=patch_size,
        overlap=overlap,
    ).eval()
    torch.nn.init.normal_(model.backbone.weight)
    preparation = {'channels': [{'kind': 'zscore'}]}
    model.cfg = Config({'test_dataloader': {'dataset': {'preparation': preparation}}})
    model.dataset_meta = {}
    return model
