"""What `make demo` shows: predictions of the bundled pictures, curves, figures, the report."""

import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import mmengine
import mmseg
import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from mamba_kernels import available_backends

from .. import __version__, samples
from ..weights.save import atomic_write
from . import report
from .analysis import analyze
from .detection_demo import Run, detection_sections
from .drawing import class_colours, error_map, overlay, stretch
from .images import read_image, to_bytes, write_png
from .inferencer import infer, init_model
from .masks import dice, fit_threshold, smooth
from .progress import Progress, duration
from .run_log import log_rows, points

PICTURES = ('.png', '.jpg')
_FULL = (0.0, 255.0)
# the project's promise for this training, stated in the report
_TARGET = 0.92
_SHOWN_SIDE = 520


@dataclass(frozen=True)
class Shown:
    """A bundled picture (H, W, 3) uint8 with its predicted mask (H, W) and seconds it took."""

    name: str
    image: np.ndarray
    mask: np.ndarray
    seconds: float


def sample_pictures() -> list[str]:
    """The bundled pictures by name; label images are not pictures."""
    return [
        name
        for name in samples.names()
        if name.endswith(PICTURES) and not name.endswith('instances.png')
    ]


def predict_samples(config: Path, checkpoint: Path, out: Path) -> list[Shown]:
    """Predict every bundled picture; writes masks and overlays below `out`."""
    model = init_model(config, checkpoint)
    names = sample_pictures()
    progress = Progress('pictures', len(names))
    shown = []
    for name in names:
        image = to_bytes(read_image(samples.path(name)), 3, _FULL, name)
        start = time.monotonic()
        mask = infer(model, image).mask
        shown.append(Shown(name, image, mask, time.monotonic() - start))
        write_png(_result(out, 'masks', name), mask)
        write_png(_result(out, 'overlays', name), _painted(model, image, mask))
        progress.step(name)
    return shown


def _result(out: Path, kind: str, name: str) -> Path:
    return (out / kind / name).with_suffix('.png')


def _painted(model: nn.Module, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    colours = class_colours(2, model.dataset_meta.get('palette'))
    return overlay(image, mask, colours)


@dataclass(frozen=True)
class Score:
    """The nuclei picture against its labels, in the quadrant that was not trained on."""

    box: tuple[int, int, int, int]
    image: np.ndarray
    truth: np.ndarray
    mask: np.ndarray
    network: float
    baseline_mask: np.ndarray
    baseline: float
    threshold: float


def score_nuclei(shown: Sequence[Shown]) -> Score:
    """Dice of the network and of one threshold fitted on the training quadrants."""
    split = samples.splits()['nuclei']
    entry = next(item for item in shown if item.name == split['image'])
    truth = read_image(samples.path(split['instances'])) > 0
    training = np.zeros(truth.shape, bool)
    for left, top, right, bottom in split['train']['boxes_xyxy']:
        training[top:bottom, left:right] = True
    left, top, right, bottom = box = tuple(split['val']['boxes_xyxy'][0])
    quadrant = np.s_[top:bottom, left:right]
    grey = smooth(entry.image[:, :, 0])
    threshold = fit_threshold(grey, truth, training)
    return Score(
        box,
        entry.image[quadrant],
        truth[quadrant],
        entry.mask[quadrant],
        dice(entry.mask[quadrant], truth[quadrant]),
        grey[quadrant] > threshold,
        dice(grey[quadrant] > threshold, truth[quadrant]),
        threshold,
    )


def history(work: Path) -> tuple[report.Line, report.Line]:
    """Training loss and validation Dice of the nuclei by iteration, from the run's log.

    Raises:
        FileNotFoundError: the run left no log.
    """
    rows = log_rows(work)
    loss, scores = points(rows, 'loss'), points(rows, 'Dice.nucleus', 0.01)
    return report.Line('training loss', loss), report.Line('nucleus Dice', scores)


def write_report(
    out: Path,
    config: Path,
    work: Path,
    scores: dict[str, float],
    shown: Sequence[Shown],
    times: Sequence[tuple[str, float]],
    runs: Sequence[Run] = (),
) -> Path:
    """Write `out`/report.html and `out`/figures.json; the report.

    Args:
        out: folder of the demo.
        config: the config trained.
        work: folder of the training run.
        scores: what tools/test.py found.
        shown: the predictions.
        times: seconds of each step so far, by what it did.
        runs: detectors to show, as `detection_demo.find_runs` finds them.
    """
    nuclei = score_nuclei(shown)
    dice_value = scores['Dice.nucleus'] / 100
    cost = analyze(config)
    _write_figures(out, dice_value, nuclei.baseline, times, runs)
    total = sum(seconds for _, seconds in times)
    verdict = 'reached' if dice_value >= _TARGET else 'NOT reached'
    sections = [
        (
            'Result',
            report.cards(
                [
                    (
                        f'{dice_value:.3f}',
                        f'nucleus Dice, unseen quadrant; goal {_TARGET} {verdict}',
                    ),
                    (f'{nuclei.baseline:.3f}', 'Dice of one threshold, fitted on the rest'),
                    (f'{cost.total.parameters / 1e6:.2f} M', 'parameters'),
                    (duration(total), 'whole demo, after set-up'),
                ]
            ),
        ),
        ('The unseen quadrant', _quadrant(nuclei)),
        ('Training', _curves(work)),
        ('All bundled pictures', _gallery(shown)),
        *detection_sections(runs, out),
        ('How it was made', _details(config, work, times, cost.total)),
    ]
    lead = (
        'VMamba-nano with a UPerNet head, trained from scratch on three quadrants of one '
        'fluorescence picture of cell nuclei. One run, one seed, the last iteration: expect a '
        'point or two of swing from another seed or machine.'
    )
    text = report.page('mamba_dense: nuclei demo', lead, sections)
    return atomic_write(out / 'report.html', lambda part: part.write_text(text, encoding='utf-8'))


def _write_figures(
    out: Path,
    dice_value: float,
    baseline: float,
    times: Sequence[tuple[str, float]],
    runs: Sequence[Run],
) -> None:
    figures = {
        'dice_nucleus': dice_value,
        'dice_threshold': round(baseline, 4),
        'target': _TARGET,
        'detectors': {run.config.stem: run.scores for run in runs},
        'seconds': {what: round(seconds, 1) for what, seconds in times},
    }
    text = json.dumps(figures, indent=2) + '\n'
    atomic_write(out / 'figures.json', lambda part: part.write_text(text))


def _quadrant(score: Score) -> str:
    visible = stretch(score.image)
    colours = class_colours(2, [(0, 0, 0), (255, 200, 0)])
    big = [
        (_enlarged(visible), 'picture, contrast stretched for the eye'),
        (_enlarged(overlay(visible, score.truth.astype(np.uint8), colours)), 'labels'),
        (_enlarged(overlay(visible, score.mask, colours)), 'network'),
        (
            _enlarged(error_map(visible, score.mask, score.truth)),
            'network: right green, missed blue, made up red',
        ),
        (
            _enlarged(error_map(visible, score.baseline_mask, score.truth)),
            f'one threshold ({score.threshold:.1f}): same colours',
        ),
    ]
    note = (
        'Here the network saw the whole picture, so its border pixels knew their neighbours: '
        f'Dice {score.network:.3f}. The figure above is of the quadrant alone, as in the test.'
    )
    return f'{report.pictures(big)}<p class="soft">{report.escape(note)}</p>'


def _enlarged(image: np.ndarray) -> np.ndarray:
    factor = max(1, _SHOWN_SIDE // max(image.shape[:2]))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def _curves(work: Path) -> str:
    loss, scores = history(work)
    drawn = [report.curves('Loss by iteration', [loss], 'iteration', 0.0)]
    if len(scores.points) > 1:
        drawn.append(report.curves('Dice on the unseen quadrant', [scores], 'iteration'))
    return f'<div class="curves">{"".join(drawn)}</div>'


def _gallery(shown: Sequence[Shown]) -> str:
    colours = class_colours(2, [(0, 0, 0), (255, 200, 0)])
    items = []
    for entry in shown:
        share = entry.mask.mean()
        drawn = _reduced(overlay(stretch(entry.image), entry.mask, colours))
        height, width = entry.mask.shape
        text = f'{entry.name}, {width}x{height}: {share:.1%} nuclei, {duration(entry.seconds)}'
        items.append((drawn, text))
    note = (
        'The network knows one dim fluorescence picture. Histology and aerial pictures are shown '
        'because every kind of input has to pass; what it calls nuclei there means nothing.'
    )
    return f'<p>{report.escape(note)}</p>{report.pictures(items)}'


def _reduced(image: np.ndarray) -> np.ndarray:
    scale = _SHOWN_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _details(config: Path, work: Path, times: Sequence[tuple[str, float]], cost) -> str:
    steps = report.table([(what, duration(seconds)) for what, seconds in times], ('step', 'time'))
    cfg = Config.fromfile(config)
    facts = report.table(
        [
            ('config', config.name),
            ('run', work.name),
            ('iterations, batch', f'{_iterations(work)}, {cfg.train_dataloader.batch_size}'),
            (
                'multiply-adds of one crop',
                f'{cost.flops / 1e9:.2f} G, {cost.scan_flops / 1e9:.3f} G of them scans',
            ),
            ('mamba_dense', __version__),
            (
                'torch, mmengine, mmsegmentation',
                f'{torch.__version__}, {mmengine.__version__}, {mmseg.__version__}',
            ),
            (
                'Python, machine',
                f'{platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores',
            ),
            ('device', torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'),
            ('scan backends', ', '.join(available_backends())),
        ]
    )
    return f'{steps}<p></p>{facts}'


def _iterations(work: Path) -> int:
    loss, _ = history(work)
    return int(loss.points[-1][0])
