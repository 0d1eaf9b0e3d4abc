"""A plan as an ordinary config: bases of configs/_base_ and what the plan says, to be edited."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mamba_dense.engine.shipped import configs
from mamba_dense.medical.layout import Layout
from mamba_dense.medical.plan import Plan
from mamba_dense.medical.plan_networks import NETWORKS, WIDTH

_TEMPLATE = """# {network} on {root}, by tools/plan.py; every value may be changed
_base_ = [
{bases}
]
data_root = '{root}'
preparation = {preparation}
patch_size = {patch}
{network_parts}model = {model}
train_dataloader = dict(
    batch_size={batch},
    dataset=dict(
        data_root=data_root,
        preparation=preparation,
        patch_size=patch_size,
{training}    ),
{workers})
val_dataloader = dict(
    dataset=dict(data_root=data_root, preparation=preparation),
{workers})
test_dataloader = val_dataloader
{schedule}"""
_SHORT = """# a short training from scratch; the published recipe comes without --iterations
max_iters = {iterations}
optim_wrapper = dict(optimizer=dict(lr={rate:.3g}))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end={warmup}),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin={warmup}, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
"""
_BY_EPOCH = 'log_processor = dict(by_epoch=True)\n'
_NO_WORKERS = '    num_workers=0,\n    persistent_workers=False,\n'
_EPOCH = 250  # batches, of nnU-Net and of both papers
_RATE = 5e-3  # of `adamw_cosine_cases` for `_RATE_WIDTH` channels
_RATE_WIDTH = 8
_WARMUP = 0.05  # of a short training
_THIN = 3  # patches thinner by this factor are turned within the plane alone


def write_config(
    path: str | Path,
    layout: Layout,
    plan: Plan,
    *,
    network: str,
    width: int = WIDTH,
    iterations: int | None = None,
) -> None:
    """Write the config of `plan` to `path`.

    Args:
        path: the file, which must not be there yet.
        layout: the data set that was planned for.
        plan: see `make_plan`.
        network, width: as given to `make_plan`.
        iterations: of a short training: AdamW, mirroring as the only augmentation, no workers.
            None is the network's published recipe with nnU-Net's augmentation.

    Raises:
        FileExistsError: `path` is there already.
        ValueError: `iterations` below 1.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f'{path} is there already: choose another name or delete it')
    if iterations is not None and iterations < 1:
        raise ValueError(f'iterations={iterations} must be 1 or more')
    parts, model = _named_parts(plan)
    bases, training, schedule = _recipe(plan, network, width, iterations, path.stem)
    root = (configs() / '_base_').as_posix()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        _TEMPLATE.format(
            network=network,
            root=layout.root.resolve().as_posix(),
            bases='\n'.join(f"    '{root}/{base}.py'," for base in bases),
            preparation=written(plan.preparation),
            patch=list(plan.topology.patch),
            network_parts=parts,
            model=written(model),
            batch=plan.batch,
            training=training,
            workers='' if iterations is None else _NO_WORKERS,
            schedule=schedule,
        ),
        encoding='utf-8',
    )


def _recipe(
    plan: Plan, network: str, width: int, iterations: int | None, name: str
) -> tuple[list[str], str, str]:
    """Bases, options of the training set, and what follows the data sets."""
    patch = plan.topology.patch
    if iterations is not None:
        rate = _RATE * _RATE_WIDTH / max(width, _RATE_WIDTH)
        warmup = max(1, round(_WARMUP * iterations))
        bases = ['datasets/cases', 'schedules/adamw_cosine_cases', 'default_runtime_cases']
        short = _SHORT.format(iterations=iterations, rate=rate, warmup=warmup)
        return bases, '', short
    thin = len(patch) == 2 or max(patch) > _THIN * patch[0]
    data = 'cases_nnunet_planes' if thin else 'cases_nnunet'
    bases = [
        f'datasets/{data}',
        f'schedules/{NETWORKS[network].schedule}',
        'default_runtime_cases',
    ]
    # one cache for all workers
    shared = f"        cache='work_dirs/prepared/{name}',\n"
    return bases, f'        samples={_EPOCH * plan.batch},\n{shared}', _BY_EPOCH


class _Name(str):
    """A variable of the config, written without quotes."""

    __slots__ = ()


def _named_parts(plan: Plan) -> tuple[str, dict[str, Any]]:
    """Text that defines what the model says twice, and the model with names in its place."""
    model = {**plan.model, 'patch_size': _Name('patch_size')}
    arch = (model.get('decoder') or {}).get('arch')
    if arch is None:
        return '', model
    for part in ('backbone', 'decoder'):
        model[part] = {**model[part], 'arch': _Name('arch')}
    arch = {**arch, 'patch_size': _Name('patch_size')}
    return f'arch = {written(arch)}\n', model


def written(value: Any, indent: int = 0) -> str:
    """A value as config text, mappings as dict(...), one entry a line where it is long."""
    if isinstance(value, _Name):
        return str(value)
    if isinstance(value, Mapping):
        parts = [f'{key}={written(one, indent + 4)}' for key, one in value.items()]
        brackets = ('dict(', ')')
    elif isinstance(value, Sequence) and not isinstance(value, str):
        parts = [written(one, indent + 4) for one in value]
        brackets = ('[', ']')
    else:
        return repr(value)
    line = brackets[0] + ', '.join(parts) + brackets[1]
    if len(line) + indent <= 80 and '\n' not in line:
        return line
    pad = ' ' * (indent + 4)
    return '\n'.join(
        [brackets[0], *(f'{pad}{part},' for part in parts), ' ' * indent + brackets[1]]
    )
