"""The read-me's table of models: what we measure beside what the authors publish."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import yaml

from ..engine.shipped import configs
from ..weights import zoo
from .analysis import analyze
from .models import (
    DETECTORS,
    detector_configs,
    detector_key,
    list_models,
    segmentation_configs,
)

BEGIN = '<!-- models: written by tools/model_table.py, do not edit -->'
END = '<!-- end of models -->'
CLASSIFIER_SIZE = (224, 224)
SEGMENTOR_SIZE = (512, 2048)
DETECTOR_SIZE = (800, 1280)
# GFLOPs as the authors print them: ImageNet classifiers at 224x224, UPerNet at 512x2048, Mask R-CNN
# at 800x1280
PUBLISHED_GFLOPS = {
    'mambaout-femto_in1k-224x224': 1.16,
    'mambaout-kobe_in1k-224x224': 1.52,
    'mambaout-tiny_in1k-224x224': 4.49,
    'mambaout-small_in1k-224x224': 8.96,
    'mambaout-base_in1k-224x224': 15.83,
    'vmamba-vanilla_tiny_in1k-224x224': 5.63,
    'vmamba-vanilla_small_in1k-224x224': 11.23,
    'vmamba-vanilla_base_in1k-224x224': 18.02,
    'vmamba-tiny_s2l5_in1k-224x224': 4.86,
    'vmamba-small_s2l15_in1k-224x224': 8.72,
    'vmamba-base_s2l15_in1k-224x224': 15.36,
    'vmamba-tiny_s1l8_in1k-224x224': 4.91,
    'vmamba-small_s1l20_in1k-224x224': 8.61,
    'vmamba-base_s1l20_in1k-224x224': 15.22,
    'vmamba-vanilla_tiny_upernet_ade20k-512x512': 964,
    'vmamba-vanilla_small_upernet_ade20k-512x512': 1081,
    'vmamba-vanilla_base_upernet_ade20k-512x512': 1226,
    'vmamba-tiny_s2l5_upernet_ade20k-512x512': 948,
    'vmamba-tiny_s1l8_upernet_ade20k-512x512': 949,
    'vmamba-small_s2l15_upernet_ade20k-512x512': 1028,
    'vmamba-base_s2l15_upernet_ade20k-512x512': 1170,
    'vssd-micro_in1k-224x224': 2.31,
    'vssd-tiny_in1k-224x224': 4.48,
    'vssd-small_in1k-224x224': 7.37,
    'vssd-base_in1k-224x224': 16.07,
    'vssd-tiny-mesa_in1k-224x224': 4.48,
    'vssd-small-mesa_in1k-224x224': 7.37,
    'vssd-base-mesa_in1k-224x224': 16.07,
    'vssd-micro_upernet_ade20k-512x512': 893,
    'vssd-tiny_upernet_ade20k-512x512': 941,
    'vssd-micro_mask-rcnn-1x_coco': 220,
    'vssd-micro_mask-rcnn-3x_coco': 220,
    'vssd-tiny_mask-rcnn-1x_coco': 265,
    'vssd-tiny_mask-rcnn-3x_coco': 265,
    'vssd-small_mask-rcnn-1x_coco': 325,
}
_MASK_RCNN_GFLOPS = {
    'vanilla_tiny': 286,
    'vanilla_small': 400,
    'vanilla_base': 540,
    'tiny_s2l5': 270,
    'tiny_s1l8': 271,
    'small_s2l15': 384,
    'base_s2l15': 485,
}
PUBLISHED_GFLOPS |= {
    record.name: _MASK_RCNN_GFLOPS[record.arch]
    for record in zoo.list_weights(family='vmamba', task='detection')
}

# networks whose file the zoo has no address of: millions of parameters, GFLOPs
PUBLISHED_WITHOUT_FILE = {
    'msvmamba-m_upernet_8xb2-160k_ade20k-512x512': (42, 875),
    'msvmamba-t_upernet_8xb2-160k_ade20k-512x512': (65, 942),
    'vim-s_upernet_4xb8-60k_ade20k-512x512': (46, None),
    'vim-t_upernet_4xb8-60k_ade20k-512x512': (13, None),
}
# scores of the metafiles, by data set
SCORES = {'ADE20K': ('mIoU', 'mIoU(ms+flip)'), 'COCO 2017': ('box AP', 'mask AP')}
_NOTE = (
    'Detectors are counted with 1000 proposals and 100 masks. The 384 of small_s2l15 is taken for '
    "a slip in the authors' table: the same sum agrees with all of their others."
)


def model_table() -> str:
    """The tables of classifiers, segmentors and detectors as Markdown, measured now."""
    classifiers = [_row(name, CLASSIFIER_SIZE, 2) for name in list_models('classification')]
    names = (*list_models('segmentation'), *unpublished())
    networks = [_row(name, SEGMENTOR_SIZE, 0) for name in names]
    names = (*list_models('detection'), *unpublished_detectors())
    detectors = [_row(name, DETECTOR_SIZE, 0) for name in names]
    return '\n'.join(
        [
            'ImageNet-1K classifiers, FLOPs at 224x224:',
            '',
            *_markdown('top-1, authors', classifiers),
            '',
            'Segmentation networks on ADE20K, FLOPs at 512x2048:',
            '',
            *_markdown('mIoU single / multi-scale, authors', networks),
            '',
            'Detectors on COCO 2017, FLOPs at 800x1280:',
            '',
            *_markdown('box / mask AP, authors', detectors),
            '',
            _NOTE,
        ]
    )


def unpublished() -> list[str]:
    """Configs like those of the published segmentors, of variants without a file in the zoo."""
    published = {(r.backbone, r.arch, r.num_classes) for r in zoo.list_weights(task='segmentation')}
    classes = {number for _, _, number in published}
    return [
        path.stem
        for key, path in segmentation_configs()
        if key not in published and key[2] in classes
    ]


def unpublished_detectors() -> list[str]:
    """Configs of two-stage detectors on COCO, of variants or schedules without a file."""
    records = zoo.list_weights(task='detection')
    published = {detector_key(record) for record in records}
    classes = {record.num_classes for record in records}
    others = [(key, path) for key, path in detector_configs() if key not in published]
    return [path.stem for key, path in others if key[0] in DETECTORS.values() and key[3] in classes]


@cache
def _reported() -> dict[str, str]:
    """The authors' scores by config, as the families' metafiles hold them."""
    found: dict[str, list[str]] = {}
    for path in sorted(configs().glob('*/metafile.yml')):
        for model in yaml.safe_load(path.read_text())['Models']:
            results = model.get('Results') or []
            for result in results if isinstance(results, list) else [results]:
                if result['Reported By'] == 'the authors':
                    metrics = result['Metrics']
                    wanted = SCORES.get(result['Dataset'], ())
                    scores = [f'{metrics[score]:.1f}' for score in wanted if score in metrics]
                    found.setdefault(model['Name'], []).extend(scores)
    return {name: ' / '.join(scores) for name, scores in found.items() if scores}


def _row(name: str, size: tuple[int, int], digits: int) -> tuple[str, ...]:
    record = zoo.WEIGHTS.get(name)
    total = analyze(name, size).total
    if record is None:
        parameters, flops = PUBLISHED_WITHOUT_FILE.get(name, (None, None))
        scores = _reported().get(name, 'none published')
    else:
        parameters, scores = record.parameters, _scores(record)
        flops = PUBLISHED_GFLOPS.get(name)
    return (
        f'`{name}`',
        f'{total.parameters / 1e6:.3f}',
        '-' if parameters is None else f'{parameters:g}',
        f'{total.flops / 1e9:.{digits}f}',
        '-' if flops is None else f'{flops:.{digits}f}',
        f'{total.scan_flops / 1e9:.2f}',
        scores,
    )


def _scores(record: zoo.WeightFile) -> str:
    return ' / '.join(f'{metric.value:.1f}' for metric in record.metrics)


def _markdown(score: str, rows: Sequence[tuple[str, ...]]) -> list[str]:
    heads = (
        'name',
        'params M, ours',
        'authors',
        'GFLOPs, ours',
        'authors',
        'scans, ours',
        score,
    )
    return [
        f'| {" | ".join(heads)} |',
        f'| --- |{" ---: |" * (len(heads) - 1)}',
        *(f'| {" | ".join(row)} |' for row in rows),
    ]


def insert(text: str, table: str) -> str:
    """A read-me's text with the table between its two markers.

    Raises:
        ValueError: a marker is missing, or they are in the wrong order.
    """
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < begin:
        raise ValueError(f'the text has no lines {BEGIN!r} and {END!r}, in this order.')
    return f'{text[: begin + len(BEGIN)]}\n\n{table}\n\n{text[end:]}'


def updated(path: Path) -> str:
    """What the file would be with the table measured now.

    Raises:
        FileNotFoundError, ValueError: no such file, or it has no place for the table.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file; it needs the lines {BEGIN!r} and {END!r}.')
    try:
        return insert(path.read_text(), model_table())
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
