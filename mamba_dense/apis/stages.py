"""Where a one-stage detector spends its time: a picture in, boxes out, stage by stage."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose

from ..bricks import batch_norms
from .inferencer import init_model

STAGES = ('preprocessing', 'backbone', 'neck', 'head', 'decoding and NMS')
# thresholds are searched until about so many boxes come out
BOXES = 100


@dataclass(frozen=True)
class StageTimes:
    """Median seconds of each of `STAGES`, and of the whole, of one detector.

    fastest: the least seconds of each stage, then of the whole, over the rounds; boxes: how many
    came out; parameters: of the network.
    """

    name: str
    seconds: tuple[float, ...]
    total: float
    fastest: tuple[float, ...]
    boxes: int
    parameters: int


class StagedDetector:
    """A one-stage detector of mmdet, untrained, run stage by stage on one picture.

    Args:
        name: for the table.
        cfg: a config with `model`, whose detector has `backbone`, `neck` and `bbox_head`.
        size: (height, width) of the network's input.
        device: as torch names it.

    Raises:
        ValueError: the detector has another make.
    """

    def __init__(self, name: str, cfg: Config, size: tuple[int, int], device: str = 'cpu'):
        cfg.model.backbone.pop('init_cfg', None)  # weights do not matter to time
        torch.manual_seed(0)
        self.name = name
        self.device = torch.device(device)
        self.model = init_model(cfg, device=device).eval()
        missing = [p for p in ('backbone', 'neck', 'bbox_head') if not hasattr(self.model, p)]
        if missing:
            raise ValueError(
                f'{name}: {type(self.model).__name__} has no {", ".join(missing)}; stages are '
                'timed of one-stage detectors with a neck.'
            )
        self.prepare = Compose(
            [
                {'type': 'mmdet.Resize', 'scale': size[::-1], 'keep_ratio': True},
                {'type': 'mmdet.Pad', 'size': size[::-1], 'pad_val': {'img': (114, 114, 114)}},
                {
                    'type': 'mmdet.PackDetInputs',
                    'meta_keys': ('ori_shape', 'img_shape', 'scale_factor'),
                },
            ]
        )

    @property
    def parameters(self) -> int:
        """How many parameters the network has."""
        return sum(p.numel() for p in self.model.parameters())

    @torch.inference_mode()
    def run(self, picture: np.ndarray) -> tuple[list[float], int]:
        """One pass over a picture (H, W, 3) of bytes, BGR: seconds of each stage, boxes found."""
        marks = [self._now()]
        data = self._prepared(picture)
        marks.append(self._now())
        features = self.model.backbone(data['inputs'])
        marks.append(self._now())
        features = self.model.neck(features)
        marks.append(self._now())
        maps = self.model.bbox_head(features)
        marks.append(self._now())
        count = self._found(maps, data)
        marks.append(self._now())
        return [late - early for early, late in zip(marks, marks[1:], strict=False)], count

    def _prepared(self, picture: np.ndarray) -> dict[str, Any]:
        height, width = picture.shape[:2]
        packed = self.prepare(
            {'img': picture, 'img_shape': (height, width), 'ori_shape': (height, width)}
        )
        data = {'inputs': [packed['inputs']], 'data_samples': [packed['data_samples']]}
        return self.model.data_preprocessor(data, False)

    def _found(self, maps: tuple[Any, ...], data: dict[str, Any]) -> int:
        metas = [sample.metainfo for sample in data['data_samples']]
        found = self.model.bbox_head.predict_by_feat(*maps, batch_img_metas=metas, rescale=True)
        return len(found[0])

    @torch.inference_mode()
    def settle(self, picture: np.ndarray, boxes: int = BOXES) -> int:
        """Choose the score threshold so that about `boxes` come out; how many do.

        Untrained networks score all points alike, each at a level of its own: without this one
        would sort hundreds of thousands of candidates and another none. The batch norms take the
        picture's statistics first, without which signals fade from layer to layer.
        """
        options = self.model.bbox_head.test_cfg
        options['max_per_img'] = 3 * boxes
        data = self._prepared(picture)
        norms = [(norm, norm.momentum) for norm in batch_norms(self.model)]
        for norm, _ in norms:
            norm.momentum = 1.0
        self.model.train()(data['inputs'])
        self.model.eval()
        for norm, momentum in norms:
            norm.momentum = momentum
        maps = self.model(data['inputs'])
        low, high = 1e-8, 1.0
        for _ in range(40):
            options['score_thr'] = (low * high) ** 0.5
            count = self._found(maps, data)
            if abs(count - boxes) <= boxes // 20:
                return count
            low, high = (options['score_thr'], high) if count > boxes else (low, options.score_thr)
        return count

    def _now(self) -> float:
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def time_stages(
    detectors: Sequence[tuple[str, Config]],
    size: tuple[int, int] = (640, 640),
    *,
    rounds: int = 10,
    device: str = 'cpu',
    on_round: Callable[[], None] | None = None,
) -> list[StageTimes]:
    """Time detectors against each other; every round times each of them once, in turn.

    Args:
        detectors: name and config of each.
        size: (height, width) of the picture and of the networks' input.
        rounds: timed rounds, after two that are not.
        device: as torch names it.
        on_round: called after each timed round.

    Raises:
        ValueError: a number is below one, or a detector cannot be staged.
    """
    if min(*size, rounds) < 1:
        raise ValueError(f'size={size} and rounds={rounds} must be at least 1.')
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    staged = [StagedDetector(name, cfg, size, device) for name, cfg in detectors]
    counts = [detector.settle(picture) for detector in staged]
    times: list[list[list[float]]] = [[] for _ in staged]
    for number in range(rounds + 2):
        for detector, rows in zip(staged, times, strict=True):
            spans, _ = detector.run(picture)
            if number >= 2:
                rows.append(spans)
        if number >= 2 and on_round is not None:
            on_round()
    return [
        StageTimes(
            detector.name,
            tuple(median(column) for column in zip(*rows, strict=True)),
            median(sum(row) for row in rows),
            (*(min(column) for column in zip(*rows, strict=True)), min(sum(row) for row in rows)),
            count,
            detector.parameters,
        )
        for detector, rows, count in zip(staged, times, counts, strict=True)
    ]


def table(results: Sequence[StageTimes]) -> str:
    """Milliseconds as a table in Markdown: medians, and the fastest rounds in brackets."""
    head = ('detector', 'parameters', *STAGES, 'whole', 'boxes')
    lines = [_line(head), _line(['---'] * len(head))]
    for result in results:
        cells: list[Any] = [result.name, f'{result.parameters / 1e6:.2f} M']
        pairs = zip((*result.seconds, result.total), result.fastest, strict=True)
        cells += [f'{1e3 * middle:.1f} ({1e3 * least:.1f})' for middle, least in pairs]
        lines.append(_line([*cells, result.boxes]))
    return '\n'.join(lines)


def _line(cells: Sequence[Any]) -> str:
    return f'| {" | ".join(str(cell) for cell in cells)} |'
