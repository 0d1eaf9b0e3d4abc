"""The one strict loader: an authors' file, or ours, into a backbone or a whole network."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from .fetch import fetch
from .keymap import Conversion, JointKeys, KeyMap, KeyMismatchError, some
from .read import read_tensors

BACKBONE = 'backbone.'

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadReport:
    """What a file gave to a network."""

    path: Path
    loaded: tuple[str, ...]  # our keys that the file filled
    dropped: tuple[str, ...]  # keys of the file that had no place, by name
    fresh: tuple[str, ...]  # our keys that kept their initial values
    adapted: tuple[str, ...]  # first convolutions and tables of other sizes, what was set to 0


def load_weights(
    module: nn.Module,
    path_or_url: str | Path,
    *,
    keymap: KeyMap,
    prefix: str = '',
    trusted: bool = False,
) -> LoadReport:
    """Load a file into one network, a backbone as a rule, strictly.

    Args:
        module: receives the weights.
        path_or_url: .pth, .pt or .safetensors; a path, file://, http:// or https://.
        keymap: from the authors' names to the module's; a file in our own layout is recognised.
        prefix: take only the keys that begin so, without it. Without a prefix, `backbone.` is
            stripped where the file has it and the module does not.
        trusted: see `read_tensors`.

    Raises:
        FileNotFoundError, ConnectionError: the file is not there; says where to put it.
        ValueError: the file is damaged, asks for trust, or is of another network.
    """
    path = fetch(path_or_url)
    source = read_tensors(path, trusted=trusted)
    target = module.state_dict()
    source, left = _select(source, target, prefix, path)
    conversion = _converted(path, type(module).__name__, keymap, source, target)
    return _apply(module, path, conversion, left)


def load_model_weights(
    model: nn.Module, path_or_url: str | Path, *, trusted: bool = False
) -> LoadReport:
    """Load a file into a whole network: segmentor, detector, classifier or a bare backbone.

    Every part whose class has `AUTHOR_KEYS` (the backbone) is converted by them; the other parts
    are matched by name. Where several parts have them, the file may also be one of the whole
    network in its authors' layout. Arguments and errors as in `load_weights`.
    """
    keymap = getattr(model, 'AUTHOR_KEYS', None)
    if keymap is not None:
        return load_weights(model, path_or_url, keymap=keymap, trusted=trusted)
    path = fetch(path_or_url)
    source = read_tensors(path, trusted=trusted)
    return _apply(model, path, _convert_whole(model, source, path), ())


def convert_tensors(
    keymap: KeyMap, source: Mapping[str, Tensor], target: Mapping[str, Tensor]
) -> Conversion:
    """Convert by the map, or by names alone where the source is in our own layout already."""
    by_map = sum(keymap.name(key) in target for key in source)
    by_name = sum(key in target for key in source)
    return (keymap.own() if by_name > by_map else keymap).plan(source, target)


def _select(
    source: dict[str, Tensor], target: Mapping[str, Tensor], prefix: str, path: Path
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The keys meant for the target, without their prefix, and the keys left aside."""
    if prefix:
        prefix = prefix.rstrip('.') + '.'
        if not any(key.startswith(prefix) for key in source):
            raise ValueError(
                f'{path} has no keys that begin with prefix={prefix!r}; its parts are: '
                f'{_parts(source)}'
            )
    elif any(key.startswith(BACKBONE) for key in source) and not any(
        key.startswith(BACKBONE) for key in target
    ):
        prefix = BACKBONE
    left = tuple(key for key in source if not key.startswith(prefix))
    if left:
        _log.info('%s: taking %s*; left aside: %s', path.name, prefix, _parts(left))
    return {key[len(prefix) :]: t for key, t in source.items() if key.startswith(prefix)}, left


def _convert_whole(model: nn.Module, source: dict[str, Tensor], path: Path) -> Conversion:
    target = model.state_dict()
    name = type(model).__name__
    tensors: dict[str, Tensor] = {}
    dropped: list[str] = []
    fresh: list[str] = []
    adapted: list[str] = []
    rest = dict(source)
    parts = _parts_with_maps(model)
    # by the first part's name alone: authors, too, say decoder
    if len(parts) > 1 and not any(key.startswith(parts[0][0]) for key in source):
        joint = JointKeys(tuple((part, module.AUTHOR_KEYS) for part, module in parts))
        return _converted(path, name, joint, source, target)
    for part, module in parts:
        own = {key[len(part) :]: t for key, t in source.items() if key.startswith(part)}
        if not own:
            raise ValueError(
                f'{path} has nothing for {part}* of {name}; its parts are: {_parts(source)}. A '
                "file of the backbone alone goes into the backbone's "
                "init_cfg=dict(type='Pretrained', checkpoint=...)"
            )
        done = _converted(path, f'{name}.{part[:-1]}', module.AUTHOR_KEYS, own, module.state_dict())
        tensors |= {part + key: tensor for key, tensor in done.tensors.items()}
        dropped += [part + key for key in done.dropped]
        fresh += [part + key for key in done.fresh]
        adapted += [part + line for line in done.adapted]
        rest = {key: tensor for key, tensor in rest.items() if not key.startswith(part)}
    others = {key: t for key, t in target.items() if key not in tensors and key not in fresh}
    tensors |= _converted(path, name, KeyMap(), rest, others).tensors
    return Conversion(tensors, tuple(dropped), tuple(fresh), tuple(adapted))


def _parts_with_maps(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The outermost sub-modules that bring a key map, with the prefix of their names."""
    found: list[tuple[str, nn.Module]] = []
    for name, module in model.named_modules():
        inside = any(name.startswith(part) for part, _ in found)
        if name and not inside and getattr(module, 'AUTHOR_KEYS', None) is not None:
            found.append((f'{name}.', module))
    return found


def _converted(
    path: Path,
    name: str,
    keymap: KeyMap | JointKeys,
    source: Mapping[str, Tensor],
    target: Mapping[str, Tensor],
) -> Conversion:
    try:
        if isinstance(keymap, JointKeys):
            return keymap.plan(source, target)
        return convert_tensors(keymap, source, target)
    except KeyMismatchError as error:
        raise ValueError(
            f'{path} does not fit {name}: {error}. {_advice(error, source, target)}'
        ) from error


def _advice(
    error: KeyMismatchError, source: Mapping[str, Tensor], target: Mapping[str, Tensor]
) -> str:
    amiss = len(error.missing) + len(error.unexpected)
    if 2 * amiss > len(source) + len(target):
        return f'It is the file of another network; its parts are: {_parts(source)}'
    if error.misshapen and not error.missing and not error.unexpected:
        return (
            'The sizes differ: build the network as the file was (arch, in_channels, '
            'num_classes), or choose the file of this one'
        )
    return (
        'Nothing was loaded; build the same variant as the file (arch, out_indices, heads), or '
        'choose the file of this one'
    )


def _parts(keys: Sequence[str] | Mapping[str, Tensor]) -> str:
    """Top-level parts of the names, each with its number of tensors."""
    counts = Counter(key.split('.', 1)[0] for key in keys)
    return some([f'{part} ({count} tensors)' for part, count in counts.items()])


def _apply(
    module: nn.Module, path: Path, conversion: Conversion, left: tuple[str, ...]
) -> LoadReport:
    module.load_state_dict(conversion.tensors, strict=False)
    report = LoadReport(
        path,
        tuple(conversion.tensors),
        (*left, *conversion.dropped),
        conversion.fresh,
        conversion.adapted,
    )
    for line in report.adapted:
        _log.warning('%s: adapted, %s', path.name, line)
    if conversion.dropped:
        _log.info('%s: dropped %s', path.name, some(conversion.dropped))
    if report.fresh:
        _log.info('%s: not in the file, kept as initialised: %s', path.name, some(report.fresh))
    _log.info('%s: %d tensors loaded', path.name, len(report.loaded))
    return report
