"""Convert an authors' weight file into ours: convert_checkpoint.py SRC DST.safetensors --model M.

SRC is a path, an address or the name of a published file. M is a variant of a backbone
(vmamba/tiny_s1l8, or tiny_s1l8 where one family alone has it), which converts the backbone of the
file, or a config file or the name of a published file, which converts the whole network. Loading is
strict: what the file lacks, or has too much, is an error and nothing is written.
"""

import argparse
import logging
import sys
from pathlib import Path

from torch import Tensor, nn

from mamba_dense import backbones
from mamba_dense.apis import init_model
from mamba_dense.weights import load_weights, zoo
from mamba_dense.weights.save import save_tensors


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    parser.add_argument('source', metavar='SRC', help='path, address or name of a published file')
    parser.add_argument('target', metavar='DST.safetensors', type=Path, help='file to write')
    parser.add_argument(
        '--model',
        metavar='CONFIG_OR_ARCH',
        help='FAMILY/ARCH, a config file or a published name; needed unless SRC is such a name',
    )
    parser.add_argument(
        '--trusted',
        action='store_true',
        help='load a file that holds more than weights, which runs the code inside it',
    )
    return parser.parse_args(argv)


def find_backbone(model: str) -> nn.Module | None:
    """The backbone of a variant's name, or None if no family has it."""
    family, _, arch = model.rpartition('/')
    families = {name.lower(): getattr(backbones, name) for name in backbones.__all__}
    if family and family in families and arch not in families[family].ARCHS:
        known = ', '.join(families[family].ARCHS)
        raise ValueError(f'--model {model}: {arch!r} is no variant of {family}; known: {known}')
    having = [n for n, one in families.items() if arch in one.ARCHS and family in ('', n)]
    if len(having) > 1:
        ways = ', '.join(f'{name}/{arch}' for name in having)
        raise ValueError(f'--model {model} is a variant of several families; give one of {ways}')
    return families[having[0]](arch) if having else None


def convert(args: argparse.Namespace) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Our tensors of the file, and the notes to write with them."""
    published = zoo.WEIGHTS.get(args.source)
    source = published.url if published else args.source
    model = args.model or (args.source if published else None)
    if model is None:
        raise ValueError(
            f'--model is missing; {args.source} is not the name of a published file, so say what '
            'it holds: FAMILY/ARCH, a config file or a published name'
        )
    # a file's name tells where it came from; its folder is nobody's business
    notes = {'layout': 'mamba_dense', 'model': Path(model).name, 'source': Path(source).name}
    backbone = find_backbone(model)
    if backbone is None:
        network = init_model(model, source, 'cpu', trusted=args.trusted)
        return network.state_dict(), notes
    report = load_weights(backbone, source, keymap=backbone.AUTHOR_KEYS, trusted=args.trusted)
    state = backbone.state_dict()
    return {key: state[key] for key in report.loaded}, notes


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    try:
        if args.target.suffix != '.safetensors':
            raise ValueError(f'{args.target}: converted weights are safetensors; end it so')
        tensors, notes = convert(args)
        path = save_tensors(tensors, args.target, metadata=notes)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f'{path}: {len(tensors)} tensors, {path.stat().st_size / 1e6:.1f} MB')
    return 0


if __name__ == '__main__':
    sys.exit(main())
