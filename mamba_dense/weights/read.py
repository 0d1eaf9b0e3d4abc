"""Reading a weight file into named tensors, without running anything the file contains."""

import functools
import logging
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import safetensors
import safetensors.torch
import torch
from torch import Tensor

# Where training programs keep the weights inside their files, in the order they are looked for.
WRAPPERS = (
    'state_dict',
    'model',
    'model_state_dict',
    'model_ema',
    'ema',
    'module',
    'params',
    'network_weights',
)
# Prefixes that data-parallel and compiled wrappers put before every name.
HULLS = ('module.', '_orig_mod.')

_log = logging.getLogger(__name__)


class Inert(dict):
    """Stands in for an object of the training program that a weight file carries along."""

    def __new__(cls, *parts: object) -> 'Inert':
        self = super().__new__(cls)  # not in __init__, which safe loading may pass over
        self.parts = list(parts)
        return self

    def __init__(self, *_parts: object):
        super().__init__()

    def __setstate__(self, state: object) -> None:
        self.parts.append(state)

    def append(self, part: object) -> None:
        self.parts.append(part)

    extend = append


def nothing(*parts: object) -> None:
    """Stands in for a function that a weight file would call."""


# Logs, settings and scores that mm*, Swin-like and timm-like training programs save beside the
# weights. Each name is read as a stand-in that does nothing, so that such files load without trust.
BOOKKEEPING: dict[str, Callable[..., object]] = {
    'mmengine.logging.history_buffer.HistoryBuffer': Inert,
    'mmengine.config.config.ConfigDict': OrderedDict,
    'addict.addict.Dict': OrderedDict,
    'yacs.config.CfgNode': OrderedDict,
    'argparse.Namespace': Inert,
    'pathlib.PosixPath': Inert,
    'pathlib.WindowsPath': Inert,
    'builtins.getattr': nothing,
    'builtins.slice': nothing,
    'numpy.dtype': Inert,
    'numpy.ndarray': Inert,
    'numpy.core.multiarray.scalar': nothing,
    'numpy._core.multiarray.scalar': nothing,
    'numpy.core.multiarray._reconstruct': Inert,
    'numpy._core.multiarray._reconstruct': Inert,
}


def read_tensors(path: Path, *, trusted: bool = False) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a PyTorch file with its wrappings taken off.

    trusted: unpickle a PyTorch file in full, which runs whatever code it carries.
    """
    with path.open('rb') as file:  # a file that may not be read says so by itself
        empty = not file.read(1)
    if empty:
        raise ValueError(f'{path} is empty; fetch it anew')
    if path.suffix == '.safetensors':
        return _read_safetensors(path)
    content = _load_trusted(path) if trusted else _load_safely(path)
    return unwrap(content, path)


def read_notes(path: Path) -> Mapping[str, object]:
    """What an mm* training program noted beside the weights under `meta`, safely read.

    Raises:
        ValueError: the file is damaged, or would run code.
    """
    content = _load_safely(path)
    notes = content.get('meta') if isinstance(content, Mapping) else None
    return notes if isinstance(notes, Mapping) else {}


def unwrap(content: object, path: Path) -> dict[str, Tensor]:
    """The named tensors inside what a training program saved."""
    if isinstance(content, torch.nn.Module):
        content = content.state_dict()
    if not isinstance(content, Mapping):
        raise ValueError(f'{path} holds a {type(content).__name__}, not named tensors')
    inner = [name for name in WRAPPERS if isinstance(content.get(name), Mapping | torch.nn.Module)]
    if inner:
        if len(inner) > 1:
            others = ', '.join(repr(name) for name in inner[1:])
            _log.info('%s: taking %r; the file also holds %s', path.name, inner[0], others)
        return unwrap(content[inner[0]], path)
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        names = ', '.join(repr(str(key)) for key in list(content)[:8]) or 'nothing'
        raise ValueError(
            f'{path} holds no weights: its entries are {names}; expected names of tensors, or one '
            f'of {", ".join(WRAPPERS)} with them inside'
        )
    return _without_hulls(tensors)


def _without_hulls(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    tensors = {key: value for key, value in tensors.items() if key != 'n_averaged'}
    for hull in HULLS:
        if all(key.startswith(hull) for key in tensors):
            return _without_hulls({key[len(hull) :]: value for key, value in tensors.items()})
    return tensors


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return _without_hulls(safetensors.torch.load_file(path))
    except (safetensors.SafetensorError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ValueError:
    size = path.stat().st_size
    return ValueError(
        f'{path} ({size} bytes) cannot be read as weights: it is cut short, damaged or of another '
        f'kind ({error}); fetch it anew, or delete the cached copy'
    )


def _load_safely(path: Path) -> object:
    stand_ins = [(stand_in, name) for name, stand_in in BOOKKEEPING.items()]
    try:
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        reason = _refusal(str(error))
        if reason is None:
            raise _damaged(path, error) from error
        raise ValueError(
            f'{path} holds more than weights: {reason}. Loading that would run code from the '
            'file, so it is refused; if you trust where the file comes from, say so with '
            'trusted=True (in the tools: --trusted)'
        ) from error
    except UNREADABLE as error:
        raise _damaged(path, error) from error


UNREADABLE = (
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
)


def _refusal(text: str) -> str | None:
    """Why safe loading refused a file, or None if the file is simply not readable."""
    for mark in ('Unsupported global: GLOBAL ', 'unsupported GLOBAL '):
        if mark in text:
            return f'it asks for {text.split(mark, 1)[1].split()[0]}'
    for mark in ('Trying to call', 'Can only create', 'Can only build', 'Can only SETITEM'):
        if mark in text:
            return text[text.index(mark) :].split('.\n', 1)[0]
    return None


def _load_trusted(path: Path) -> object:
    _log.warning('%s: loading in full, as asked (trusted)', path)
    try:
        return torch.load(
            path, map_location='cpu', weights_only=False, pickle_module=_lenient_pickle()
        )
    except (pickle.UnpicklingError, *UNREADABLE) as error:
        raise _damaged(path, error) from error


@functools.cache
def _lenient_pickle() -> ModuleType:
    """The pickle module, except that classes which are not installed here become stand-ins."""

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            try:
                return super().find_class(module, name)
            except (ImportError, AttributeError):
                _log.warning('%s.%s is not installed; a stand-in is read for it', module, name)
                return BOOKKEEPING.get(f'{module}.{name}', Inert)

    def load(stream: BinaryIO, *, encoding: str = 'ASCII') -> object:
        return Unpickler(stream, encoding=encoding).load()

    lenient = ModuleType('lenient_pickle')
    lenient.Unpickler = Unpickler
    lenient.UnpicklingError = pickle.UnpicklingError
    lenient.load = load
    return lenient
