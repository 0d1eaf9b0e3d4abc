"""A config to train on one's own pairs."""

from pathlib import Path

from PIL import Image

from mamba_dense.change.layouts import find_layout, names_in
from mamba_dense.engine.shipped import configs

_TEMPLATE = """# {network} on the nano backbone for {root}; every value may be changed
_base_ = [
    '{base}/models/changemamba_nano.py',
    '{base}/datasets/change_folder.py',
    '{base}/schedules/adamw_cosine_scenes.py',
    '{base}/default_runtime_change.py',
]
model = dict(type='mamba_dense.{network}')
crop_size = ({crop}, {crop})
common = dict(layout='{layout}', task='{task}')
train_pipeline = [
    dict(type='mamba_dense.LoadDates'),
    dict(type='mamba_dense.LoadChangeLabels'),
    dict(type='mamba_dense.ChangeCrop', size=crop_size, limit=0.9),
    dict(type='mmseg.RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='mamba_dense.QuarterTurn', turns=(0, 1, 2, 3)),
    dict(type='mamba_dense.PackChange'),
]
train_dataloader = dict(
    dataset=dict(**common, data_root='{root}/train', pipeline=train_pipeline)
)
val_dataloader = dict(dataset=dict(**common, data_root='{root}/val'))
test_dataloader = val_dataloader
val_evaluator = dict(type='mamba_dense.{metric}')
test_evaluator = val_evaluator
"""
# task -> network, metric
_TASKS = {
    'bcd': ('MambaBCD', 'BinaryChangeMetric'),
    'scd': ('MambaSCD', 'SemanticChangeMetric'),
    'bda': ('MambaBDA', 'DamageMetric'),
}


def write_config(path: str | Path, data: str | Path, layout: str, task: str) -> None:
    """Write a config for `data`, which `prepare.write_pairs` split into train and val, to `path`.

    Raises:
        FileExistsError: `path` is there already.
    """
    path, data = Path(path), Path(data)
    if path.exists():
        raise FileExistsError(f'{path} is there already: choose another name or delete it')
    images = names_in(data / 'train', find_layout(layout, task).pre)
    with Image.open(next(iter(images.values()))) as image:
        side = min(image.size)
    network, metric = _TASKS[task]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        _TEMPLATE.format(
            network=network,
            metric=metric,
            root=data.resolve().as_posix(),
            base=(configs() / '_base_').as_posix(),
            crop=max(32, min(256, side // 32 * 32)),
            layout=layout,
            task=task,
        )
    )
