"""A config to train on one's own prepared folder."""

import json
from pathlib import Path

from PIL import Image

from mamba_dense.engine.files import IMAGE_SUFFIXES
from mamba_dense.engine.shipped import configs

_TEMPLATE = """# UPerNet on {arch} for {root}; every value may be changed
_base_ = [
    '{base}/models/upernet_vmamba.py',
    '{base}/datasets/folder.py',
    '{base}/schedules/adamw_cosine_short.py',
    '{base}/default_runtime.py',
]
data_root = '{root}'
metainfo = dict(classes={classes})
crop_size = ({crop}, {crop})
# GroupNorm suits small batches; from ImageNet weights take an arch of the zoo, SyncBN and lr 6e-5
norm_cfg = dict(type='GN', num_groups=8, requires_grad=True)
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(arch='{arch}'),
    decode_head=dict(
        in_channels=[32, 64, 128, 256],
        channels=64,
        num_classes={number},
        norm_cfg=norm_cfg,
    ),
    auxiliary_head=dict(
        in_channels=128,
        channels=32,
        num_classes={number},
        norm_cfg=norm_cfg,
    ),
)
common = dict(data_root=data_root, metainfo=metainfo, img_suffix='{suffix}')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.95),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(dataset=dict(**common, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**common))
test_dataloader = val_dataloader
"""


def write_config(path: str | Path, data: str | Path) -> None:
    """Write a config for the folder `data` (see `prepare.py`) to `path`.

    Raises:
        FileExistsError: `path` is there already.
    """
    path, data = Path(path), Path(data)
    if path.exists():
        raise FileExistsError(f'{path} is there already: choose another name or delete it')
    classes = json.loads((data / 'classes.json').read_text())['classes']
    images = [
        f for f in (data / 'img_dir' / 'train').iterdir() if f.suffix.lower() in IMAGE_SUFFIXES
    ]
    with Image.open(images[0]) as image:
        side = min(image.size)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = _TEMPLATE.format(
        arch='nano',
        root=data.resolve().as_posix(),
        base=(configs() / '_base_').as_posix(),
        classes=repr(tuple(classes)),
        number=len(classes),
        crop=max(64, min(512, side // 32 * 32)),
        suffix=images[0].suffix,
    )
    path.write_text(text)
