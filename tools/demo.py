"""The demo: from the bundled pictures to a trained network and a report, in about two minutes.

    python tools/demo.py [--out DIR]          (or: make demo)

Trains configs/vmamba/vmamba-nano_upernet_nuclei-128x128.py from scratch on three quadrants of one
microscope picture, scores it on the fourth, predicts all bundled pictures and writes report.html.
"""

import argparse
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
# what each step takes on two cores of 2020's kind, measured; printed before it starts
EXPECTED = {
    'data': 'a second',
    'train': '2 to 4 minutes on 2 cores',
    'test': 'about 10 seconds',
    'predict': 'about 10 seconds',
    'report': 'a second',
}


class Steps:
    """Runs the steps, says what each does and how long it takes, remembers the times."""

    def __init__(self, total: int):
        self.total = total
        self.times: list[tuple[str, float]] = []

    def run(self, name: str, what: str, work: Callable[[], object]) -> object:
        """Run one step."""
        number = len(self.times) + 1
        print(f'\n[{number}/{self.total}] {what} ({EXPECTED[name]})', flush=True)
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


def train(work: Path, data: Path, iterations: int | None) -> Path:
    """Train from the beginning; the last checkpoint."""
    options = [f'{part}.dataset.data_root={data}' for part in loaders()]
    if iterations is not None:
        options += [f'train_cfg.max_iters={iterations}', f'train_cfg.val_interval={iterations}']
        options += [f'default_hooks.checkpoint.interval={iterations}']
    command(ROOT / 'tools/train.py', CONFIG, '--work-dir', work, '--cfg-options', *options)
    return Path((work / 'last_checkpoint').read_text().strip())


def loaders() -> tuple[str, ...]:
    """The config's data loaders."""
    return ('train_dataloader', 'val_dataloader', 'test_dataloader')


def test(work: Path, data: Path, checkpoint: Path) -> dict[str, float]:
    """Scores of the checkpoint, as tools/test.py gives them."""
    out = work / 'scores.json'
    root = f'test_dataloader.dataset.data_root={data}'
    words = ('--work-dir', work / 'test', '--out', out, '--cfg-options', root)
    command(ROOT / 'tools/test.py', CONFIG, checkpoint, *words)
    return json.loads(out.read_text())


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, default=ROOT / 'work_dirs/demo', help='for all results')
    parser.add_argument('--iterations', type=int, help='train shorter or longer than the config')
    return parser.parse_args()


def run(out: Path, iterations: int | None) -> Path:
    """All steps; the report."""
    from mamba_dense.apis.demo_report import predict_samples, write_report
    from mamba_dense.segmentation.prepare import write_sample

    steps = Steps(len(EXPECTED))
    data, work = out / 'data', out / f'run-{time.strftime("%Y%m%d-%H%M%S")}'
    steps.run(
        'data', 'write the bundled nuclei as training data', lambda: write_sample('nuclei', data)
    )
    checkpoint = steps.run(
        'train',
        'train VMamba-nano with UPerNet from scratch',
        lambda: train(work, data, iterations),
    )
    scores = steps.run(
        'test', 'score it on the quadrant it has not seen', lambda: test(work, data, checkpoint)
    )
    shown = steps.run(
        'predict', 'predict every bundled picture', lambda: predict_samples(CONFIG, checkpoint, out)
    )
    report = steps.run(
        'report',
        'write the report',
        lambda: write_report(out, CONFIG, work, scores, shown, steps.times),
    )
    return report


def main() -> int:
    """0, or 1 with the reason why the demo stopped."""
    args = parse_args()
    logging.basicConfig(level=logging.ERROR)
    warnings.filterwarnings('ignore', module='mmseg')
    print(f'mamba_dense demo on {platform.machine()}, {os.cpu_count()} cores')
    try:
        report = run(args.out.resolve(), args.iterations)
    except (ValueError, OSError, RuntimeError) as error:
        print(f'demo stopped: {error}', file=sys.stderr)
        return 1
    print(f'\nOpen this file in a browser: {report}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
