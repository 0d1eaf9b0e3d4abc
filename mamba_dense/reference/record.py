"""A golden record: what to build, its weights and inputs, and the authors' numbers for it."""

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .fill import fill, image

GIVEN = 'given:'
_SAMPLED = re.compile(
    r'flat\[np\.unique\(np\.linspace\(0, ?size ?- ?1, ?(\d+)\)\.astype\((?:np\.)?int64\)\)\]'
)


@dataclass(frozen=True)
class Record:
    """One record, as the folder's description of the format says; nothing here is interpreted.

    args: the authors' hyper-parameters of `target`; call: further arguments of its call.
    roles: what each input is, by position; layout: of the tensors at the door.
    prefix: where a part's parameters sit in the whole network.
    """

    name: str
    family: str
    kind: str
    target: str
    args: Mapping[str, Any]
    call: Mapping[str, Any]
    mode: str
    prefix: str
    roles: tuple[str, ...]
    layout: str | None
    parameters: int
    state_rows: tuple[tuple[str, tuple[int, ...], str], ...]
    input_rows: tuple[Mapping[str, Any], ...]
    output_rows: tuple[Mapping[str, Any], ...]
    arrays: Mapping[str, np.ndarray]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs to be compared."""
        return tuple(row['name'] for row in self.output_rows)

    def weights(self) -> dict[str, Tensor]:
        """Values of the authors' tensors, under their names in the whole network."""
        values = {}
        for name, shape, kind in self.state_rows:
            if kind == 'constant':
                value = self.array(f'constant:{name}')
            else:
                value = fill(name, shape)
            if kind == 'integer':
                value = value.astype(np.int64)
            values[self.prefix + name] = torch.from_numpy(np.asarray(value).reshape(shape))
        return values

    def inputs(self) -> tuple[Tensor, ...]:
        """The input tensors, by position; floating ones in float64."""
        tensors = []
        for row in self.input_rows:
            key = f'input:{row["name"]}'
            given = key in self.arrays or row.get('rule', '').startswith('given')
            value = self.array(key) if given else image(row['name'], row['shape'])
            tensors.append(torch.from_numpy(np.array(value).reshape(row['shape'])))
        return tuple(tensors)

    def given(self, value: Any) -> Any:
        """An argument of the call, an array where it says `given:NAME`."""
        if isinstance(value, str) and value.startswith(GIVEN):
            return torch.from_numpy(np.array(self.array(value)))
        return value

    def array(self, key: str) -> np.ndarray:
        """An array of the record's .npz."""
        if key not in self.arrays:
            raise ValueError(f'{self.family}/{self.name}: the .npz has no array {key!r}')
        return self.arrays[key]


def sample(row: Mapping[str, Any], flat: np.ndarray) -> np.ndarray:
    """The positions of a flattened output that its row keeps."""
    formula = row.get('sampled')
    if formula is None:
        return flat
    match = _SAMPLED.fullmatch(formula)
    if match is None:
        raise ValueError(f'output {row["name"]!r}: sampled={formula!r} is not a known formula')
    return flat[np.unique(np.linspace(0, flat.size - 1, int(match[1])).astype(np.int64))]


def read_record(path: str | Path) -> Record:
    """Read RECORD.json and the RECORD.npz beside it; `path` names the first.

    Raises:
        ValueError: a file is missing or damaged, or lacks an entry; says which.
    """
    path = Path(path)
    arrays_path = path.with_suffix('.npz')
    try:
        data = json.loads(path.read_text(encoding='utf-8'))
        with np.load(arrays_path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        build = data['build']
        return Record(
            name=path.stem,
            family=data['family'],
            kind=build['kind'],
            target=build['target'],
            args=build['args'],
            call=build.get('call') or {},
            mode=build['mode'],
            prefix=build['prefix'],
            roles=tuple(build['inputs']),
            layout=build['layout'],
            parameters=int(data['num_parameters']),
            state_rows=tuple((n, tuple(shape), kind) for n, shape, kind in data['state_dict']),
            input_rows=tuple(data['inputs']),
            output_rows=tuple(data['outputs']),
            arrays=arrays,
        )
    except KeyError as error:
        raise ValueError(f'{path}: the entry {error} is missing') from error
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f'{path} with {arrays_path.name} is no golden record: {error}') from error
