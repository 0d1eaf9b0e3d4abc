"""The published medical data sets that tools/prepare_data.py reads: a row for each layout."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mamba_dense.medical import flat_sets, slice_sets, volume_sets
from mamba_dense.medical.flat_convert import flat_problems, write_flat
from mamba_dense.medical.volume_convert import source_problems, write_raw


@dataclass(frozen=True)
class Converter:
    """How a layout is read.

    Attributes:
        find: folder -> what of the data set lies in it; opens no picture.
        problems: reads everything that was found; one line for each problem.
        write: (found, out, val_share=, seed=) -> how many cases each subset got, one line for each
            case left out (the others are written all the same), one for what is worth knowing.
    """

    find: Callable[[Path], Any]
    problems: Callable[[Any], Iterator[str]]
    write: Callable[..., tuple[dict[str, int], list[str], list[str]]]


CONVERTERS: Mapping[str, Converter] = {
    **{
        name: Converter(find, flat_problems, write_flat) for name, find in flat_sets.FINDERS.items()
    },
    'synapse-slices': Converter(
        slice_sets.find_slices, slice_sets.slice_problems, slice_sets.write_slices
    ),
    **{
        name: Converter(find, source_problems, write_raw)
        for name, find in volume_sets.FINDERS.items()
    },
}


def find_converter(layout: str) -> Converter:
    """The row of `layout`.

    Raises:
        ValueError: unknown; lists what is known.
    """
    if layout not in CONVERTERS:
        raise ValueError(f'layout={layout!r} is unknown; known: {", ".join(CONVERTERS)}')
    return CONVERTERS[layout]
