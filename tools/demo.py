"""The demo: from the bundled pictures to a trained network and a report, in about two minutes.

    python tools/demo.py [--out DIR] [--detection]         (or: make demo)

Trains configs/vmamba/vmamba-nano_upernet_nuclei-128x128.py from scratch on three quadrants of one
microscope picture, scores it on the fourth, predicts all bundled pictures and writes report.html.
With --detection also configs/vmamba/vmamba-nano_mask-rcnn_nuclei.py, about three minutes more. The
report shows it, and detectors of bundled data that tools/train.py left in work_dirs.
"""

import argparse
import importlib.util
import json
import logging
import os
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs/vmamba/vmamba-nano_upernet_nuclei-128x128.py'
DETECTOR = ROOT / 'configs/vmamba/vmamba-nano_mask-rcnn_nuclei.py'
# what each step takes on two cores of 2020's kind, measured; printed before it starts
EXPECTED = {
    'data': 'a second',
    'train': '2 to 4 minutes on 2 cores',
    'test': 'about 10 seconds',
    'predict': 'about 10 seconds',
    'report': 'a second, and some for each detector',
}
DETECTION = {
    'detection data': 'a second',
    'detector': '3 to 5 minutes on 2 cores',
    'detection test': 'about 20 seconds',
}


class Steps:
    """Runs the steps, says what each does and how long it takes, remembers the times."""

    def __init__(self, total: int):
        self.total = total
        self.times: list[tuple[str, float]] = []

    def run(self, name: str, what: str, work: Callable[[], object]) -> object:
        """Run one step."""
        number = len(self.times) + 1
        print(f'\n[{number}/{self.total}] {what} ({(EXPECTED | DETECTION)[name]})', flush=True)
        start = time.monotonic()
        result = work()
        self.times.append((what, time.monotonic() - start))
        print(f'[{number}/{self.total}] done in {self.times[-1][1]:.1f} s', flush=True)
        return result


def command(*words: object) -> None:
    """Run one of the project's tools.

    Raises:
        RuntimeError: it failed; the reason stands above, where it was printed.
    """
    environment = {**os.environ, 'PYTHONWARNINGS': 'ignore'}
    done = subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, env=environment)
    if done.returncode:
        raise RuntimeError(f'{Path(str(words[0])).name} ended with status {done.returncode}.')


def train(config: Path, work: Path, data: Path, iterations: int | None) -> Path:
    """Train from the beginning; the last checkpoint."""
    options = places(config, data)
    if iterations is not None:
        options += [f'train_cfg.max_iters={iterations}', f'train_cfg.val_interval={iterations}']
        options += [f'default_hooks.checkpoint.interval={iterations}']
    command(ROOT / 'tools/train.py', config, '--work-dir', work, '--cfg-options', *options)
    return Path((work / 'last_checkpoint').read_text().strip())


def places(config: Path, data: Path) -> list[str]:
    """Options that let a config read its data from a folder."""
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    found = [f'{part}.dataset.data_root={data}' for part in loaders]
    if config == DETECTOR:
        labels = data / 'annotations' / 'val.json'
        found += [f'{part}.ann_file={labels}' for part in ('val_evaluator', 'test_evaluator')]
    return found


def test(config: Path, work: Path, data: Path, checkpoint: Path) -> dict[str, float]:
    """Scores of the checkpoint, as tools/test.py gives them."""
    out = work / 'scores.json'
    # what a detector's test leaves for the report belongs to the run itself
    where = work if config == DETECTOR else work / 'test'
    words = ('--work-dir', where, '--out', out, '--cfg-options', *places(config, data))
    command(ROOT / 'tools/test.py', config, checkpoint, *words)
    return json.loads(out.read_text())


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, default=ROOT / 'work_dirs/demo', help='for all results')
    parser.add_argument(
        '--detection', action='store_true', help='train a detector too, about three minutes more'
    )
    parser.add_argument('--iterations', type=int, help='train shorter or longer than the config')
    args = parser.parse_args()
    if args.detection and importlib.util.find_spec('mmdet') is None:
        parser.error('--detection needs mmdetection: make setup EXTRAS=seg,det,dev')
    return args


def detect(steps: Steps, out: Path, iterations: int | None) -> None:
    """The steps of --detection."""
    from mamba_dense.detection.prepare import write_sample

    data, work = out / 'detection' / 'data' / 'nuclei_instances', out / DETECTOR.stem
    if work.exists():
        # an earlier demo's
        work.rename(out / f'{DETECTOR.stem}-until-{time.strftime("%Y%m%d-%H%M%S")}')
    steps.run(
        'detection data',
        "write the nuclei's masks as training data",
        lambda: write_sample('nuclei_instances', data),
    )
    checkpoint = steps.run(
        'detector',
        'train VMamba-nano with Mask R-CNN from scratch',
        lambda: train(DETECTOR, work, data, iterations),
    )
    steps.run(
        'detection test',
        'score the detector on the same quadrant',
        lambda: test(DETECTOR, work, data, checkpoint),
    )


def run(out: Path, iterations: int | None, detection: bool) -> Path:
    """All steps; the report."""
    from mamba_dense.apis.demo_report import predict_samples, write_report
    from mamba_dense.apis.detection_demo import find_runs
    from mamba_dense.segmentation.prepare import write_sample

    steps = Steps(len(EXPECTED) + (len(DETECTION) if detection else 0))
    data, work = out / 'data', out / f'run-{time.strftime("%Y%m%d-%H%M%S")}'
    steps.run(
        'data', 'write the bundled nuclei as training data', lambda: write_sample('nuclei', data)
    )
    checkpoint = steps.run(
        'train',
        'train VMamba-nano with UPerNet from scratch',
        lambda: train(CONFIG, work, data, iterations),
    )
    scores = steps.run(
        'test',
        'score it on the quadrant it has not seen',
        lambda: test(CONFIG, work, data, checkpoint),
    )
    shown = steps.run(
        'predict', 'predict every bundled picture', lambda: predict_samples(CONFIG, checkpoint, out)
    )
    if detection:
        detect(steps, out, iterations)
    return steps.run(
        'report',
        'write the report',
        lambda: write_report(
            out,
            CONFIG,
            work,
            scores,
            shown,
            steps.times,
            find_runs((out, ROOT / 'work_dirs')),
        ),
    )


def main() -> int:
    """0, or 1 with the reason why the demo stopped."""
    args = parse_args()
    logging.basicConfig(level=logging.ERROR)
    warnings.filterwarnings('ignore', module='mmseg')
    print(f'mamba_dense demo on {platform.machine()}, {os.cpu_count()} cores')
    try:
        report = run(args.out.resolve(), args.iterations, args.detection)
    except (ValueError, OSError, RuntimeError) as error:
        print(f'demo stopped: {error}', file=sys.stderr)
        return 1
    print(f'\nOpen this file in a browser: {report}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
