"""The report's part on detectors: runs on the bundled data that are found in work folders."""

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from . import report
from .analysis import analyze
from .detection_report import KINDS, Evaluation, evaluation_section, read_evaluation
from .drawing import class_colours, stretch
from .images import read_image, write_png
from .inferencer import infer, init_model
from .instances import Instances, draw
from .models import config_file
from .run_log import log_rows, points

SCORE = 0.3
_SHOWN_SIDE = 520
_SAMPLES = ('nuclei_instances', 'trees')


@dataclass(frozen=True)
class Run:
    """A detector that was trained on bundled data.

    Attributes:
        config: its config.
        work: its work folder.
        sample: the bundled data it knows.
        rows: its log.
        checkpoint: its last one.
        evaluation: what tools/test.py left in the work folder, maybe nothing.
    """

    config: Path
    work: Path
    sample: str
    rows: Sequence[dict[str, Any]]
    checkpoint: Path
    evaluation: Sequence[Evaluation]

    @property
    def scores(self) -> dict[str, float]:
        """The last validation's scores in per cent, by names such as 'segm_mAP_50'."""
        last = next(row for row in reversed(self.rows) if 'coco/bbox_mAP' in row)
        return {
            f'{kind}_{item}': 100 * last[f'coco/{kind}_{item}']
            for kind in KINDS
            for item in ('mAP', 'mAP_50', 'mAP_75')
            if f'coco/{kind}_{item}' in last
        }


def find_runs(folders: Sequence[Path]) -> list[Run]:
    """Runs of the project's detectors on bundled data: FOLDER/CONFIG with a log and a checkpoint.

    The first folder that has a config's run wins; nothing is found where mmdet is not installed.
    """
    if importlib.util.find_spec('mmdet') is None:
        return []
    runs: dict[str, Run] = {}
    for work in (work for folder in folders if folder.is_dir() for work in folder.iterdir()):
        config = config_file(work.name)
        if config is not None and work.name not in runs and (run := _run(config, work)):
            runs[work.name] = run
    return [runs[name] for name in sorted(runs)]


def _run(config: Path, work: Path) -> Run | None:
    last = work / 'last_checkpoint'
    if not last.is_file() or not list(work.glob('*/vis_data/scalars.json')):
        return None
    # the folder may have been moved since
    checkpoint, rows = work / Path(last.read_text().strip()).name, log_rows(work)
    if not checkpoint.is_file() or not any('coco/bbox_mAP' in row for row in rows):
        return None
    data = Config.fromfile(config).train_dataloader.dataset.get('data_root') or ''
    if Path(data).name not in _SAMPLES:
        return None
    evaluation = read_evaluation(work / 'evaluation')
    return Run(config, work, Path(data).name, rows, checkpoint, evaluation)


def detection_sections(runs: Sequence[Run], out: Path) -> list[tuple[str, str]]:
    """Sections of the report, (heading, HTML): a table of the runs, then each run.

    Writes the validation pictures with what was found to `out`/detection/CONFIG.
    """
    if not runs:
        hint = (
            'No detector was trained yet: python tools/demo.py --detection adds one (Mask R-CNN on '
            'the nuclei), and runs of tools/train.py in work_dirs are shown too.'
        )
        return [('Detection', f'<p>{report.escape(hint)}</p>')]
    heads = ('config', 'iterations', 'parameters', *_HEADS.values())
    table = report.table([_line(run) for run in runs], heads)
    note = (
        'COCO scores in per cent on the part of the bundled pictures that was not trained on, '
        'after the last iteration, one run each.'
    )
    sections = [('Detection', f'<p>{report.escape(note)}</p>{table}')]
    return sections + [(run.config.stem, _section(run, out)) for run in runs]


_HEADS = {
    'bbox_mAP': 'box mAP',
    'bbox_mAP_50': 'box mAP50',
    'segm_mAP': 'mask mAP',
    'segm_mAP_50': 'mask mAP50',
}


def _line(run: Run) -> tuple[str, ...]:
    parameters = analyze(run.config, (256, 256)).total.parameters / 1e6
    scores = [f'{run.scores[name]:.1f}' if name in run.scores else '-' for name in _HEADS]
    return (run.config.stem, str(run.rows[-1]['step']), f'{parameters:.2f} M', *scores)


def _section(run: Run, out: Path) -> str:
    loss = report.Line('training loss', points(run.rows, 'loss'))
    scores = [
        report.Line(f'{KINDS[kind]}, mAP50', points(run.rows, f'coco/{kind}_mAP_50', 100))
        for kind in KINDS
    ]
    drawn = [report.curves('Loss by iteration', [loss], 'iteration', 0.0)] if loss.points else []
    drawn.append(report.curves('mAP50 on unseen pictures', scores, 'iteration', 0.0))
    parts = [_pictures(run, out), f'<div class="curves">{"".join(drawn)}</div>']
    if run.evaluation:
        parts.append(evaluation_section(run.evaluation))
    return '<p></p>'.join(parts)


def _pictures(run: Run, out: Path) -> str:
    """Each validation picture: as it is, its labels, what the network finds in it."""
    from ..detection.prepare import write_sample

    data = write_sample(run.sample, out / 'detection' / 'data' / run.sample)
    truth = json.loads((data / 'annotations' / 'val.json').read_text())
    model = init_model(run.config, run.checkpoint)
    rows = []
    for entry in truth['images']:
        image = read_image(data / 'images' / 'val' / entry['file_name'])
        own = [item for item in truth['annotations'] if item['image_id'] == entry['id']]
        labelled = _labelled(own, image.shape[:2])
        result = infer(model, image).above(SCORE)
        shown = stretch(np.atleast_3d(image))
        items = [
            (painted(shown, labelled), f'{entry["file_name"]}: {len(own)} labelled objects'),
            (
                painted(shown, result),
                f'{len(result.labels)} found with a score of at least {SCORE:g}',
            ),
        ]
        place = (out / 'detection' / run.config.stem / entry['file_name']).with_suffix('.png')
        write_png(place, items[-1][0])
        rows.append(report.pictures(items))
    return '<p></p>'.join(rows)


def painted(image: np.ndarray, found: Instances) -> np.ndarray:
    """A picture under its objects, each of its own colour, enlarged where it is small."""
    numbers = np.arange(len(found.labels))
    single = Instances(found.boxes, numbers, found.scores, found.masks, found.size)
    drawn = draw(image, single, class_colours(max(3, len(numbers))))
    factor = max(1, _SHOWN_SIDE // max(drawn.shape[:2]))
    return drawn.repeat(factor, axis=0).repeat(factor, axis=1)


def _labelled(annotations: Sequence[dict], size: tuple[int, int]) -> Instances:
    from pycocotools import mask as coco_masks

    boxes = np.array([item['bbox'] for item in annotations], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    masks = None
    if annotations and isinstance(annotations[0].get('segmentation'), dict):
        # run lengths, as prepare writes them
        masks = [coco_masks.decode(item['segmentation']).astype(bool) for item in annotations]
    count = len(annotations)
    stacked = None if masks is None else np.stack(masks)
    return Instances(boxes, np.zeros(count, np.int64), np.ones(count, np.float32), stacked, size)
