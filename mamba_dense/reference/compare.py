"""Our network against a golden record: every output and the parameter count."""

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from .record import Record, sample
from .subject import Builder, Subject, UnsupportedError

TOLERANCE = 1e-6  # of the largest golden value, in float64
SMALLEST = 1e-12  # what that value counts as at least


@dataclass(frozen=True)
class Outcome:
    """How a record came out; error and parameters are None where it never came so far."""

    status: str  # 'OK', 'FAIL' or 'UNSUPPORTED'
    error: float | None = None
    parameters: int | None = None
    reasons: tuple[str, ...] = ()


def has_table(family: str) -> bool:
    """Whether the project has a table of builders for this family."""
    name = f'{__package__}.{family}'
    return family.isidentifier() and importlib.util.find_spec(name) is not None


def targets(family: str) -> Mapping[str, Builder]:
    """The family's table from an authors' name to our builder; empty if there is none.

    Raises:
        UnsupportedError: the family stands on a framework that is not installed.
    """
    if not has_table(family):
        return {}
    try:
        module = importlib.import_module(f'{__package__}.{family}')
    except ModuleNotFoundError as error:
        if (error.name or '').partition('.')[0] in ('', __name__.partition('.')[0]):
            raise
        raise UnsupportedError(
            f'family {family} needs {error.name}, which is not installed; the extras of '
            'mamba_dense bring it'
        ) from error
    return getattr(module, 'TARGETS', {})


def verify(record: Record, family: str | None = None) -> Outcome:
    """Build what the record names, give it the record's weights, run it and compare all outputs."""
    try:
        table = targets(family or record.family)
        if record.target not in table:
            raise UnsupportedError(f'no builder for target {record.target!r}')
        subject = table[record.target](record)
    except UnsupportedError as error:
        return Outcome('UNSUPPORTED', reasons=(str(error),))
    count = 0
    if subject.module is not None:
        count = sum(parameter.numel() for parameter in subject.module.parameters())
        load(subject.module, subject, record)
    with torch.inference_mode():
        outputs = subject.run(record.inputs())
    error, reasons = compare(record, outputs)
    if count != record.parameters:
        reasons.append(f'{count} parameters, the authors have {record.parameters}')
    return Outcome('FAIL' if reasons else 'OK', error, count, tuple(reasons))


def load(module: nn.Module, subject: Subject, record: Record) -> None:
    """Put the record's weights into the module through the family's key map, strictly."""
    module.train(record.mode == 'train').double()
    place = subject.keymap.name(record.prefix)
    target = {place + key: tensor for key, tensor in module.state_dict().items()}
    converted = subject.keymap.convert(record.weights(), target)
    module.load_state_dict({key[len(place) :]: value for key, value in converted.items()})


def compare(record: Record, outputs: Mapping[str, Tensor]) -> tuple[float, list[str]]:
    """The largest relative error over the record's outputs, and what is wrong with them."""
    worst = 0.0
    reasons = []
    for row in record.output_rows:
        name = row['name']
        if name not in outputs:
            reasons.append(f'output {name!r} is not returned')
            worst = float('nan')
            continue
        ours = np.asarray(outputs[name].detach().cpu().resolve_conj()).ravel()
        size = int(np.prod(row['shape'], dtype=np.int64))
        if ours.size != size:
            reasons.append(f'output {name!r} has {ours.size} values, the record {row["shape"]}')
            worst = float('nan')
            continue
        golden = record.array(name).ravel()
        error = difference(sample(row, ours), golden)
        worst = max(worst, error) if not (np.isnan(worst) or np.isnan(error)) else float('nan')
        exact = golden.dtype.kind in 'iub'
        if not error <= (0.0 if exact else TOLERANCE):
            limit = 'exactly' if exact else f'to {TOLERANCE:g}'
            reasons.append(f'output {name!r} differs by {error:.2e}, wanted {limit}')
    return worst, reasons


def difference(ours: np.ndarray, golden: np.ndarray) -> float:
    """max|ours - golden| / max(max|golden|, 1e-12); NaN where either has none to compare."""
    if ours.shape != golden.shape:
        return float('nan')
    if golden.size == 0:
        return 0.0
    ours, golden = ours.astype(np.float64), golden.astype(np.float64)
    same = ours == golden  # covers equal infinities
    with np.errstate(invalid='ignore'):
        gap = np.where(same, 0.0, np.abs(ours - golden))
    finite = np.abs(golden[np.isfinite(golden)])
    return float(gap.max() / max(finite.max(initial=0.0), SMALLEST))
