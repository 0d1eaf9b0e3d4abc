"""The names in the files of ChangeMamba's authors as ours: one map for each of the networks."""

import re
from collections.abc import Mapping

from mamba_dense.backbones import VMamba
from mamba_dense.change.decoder import RELATIONS
from mamba_dense.weights import KeyMap

LEVELS = 4


def _change_decoder() -> list[tuple[str, str]]:
    """The parts of a change decoder, whatever it is called."""
    rows = []
    for n in range(1, LEVELS + 1):
        level = f'.levels.{n - 1}'
        for k, name in enumerate(RELATIONS, start=1):
            part = rf'\.st_block_{n}{k}'
            rows.append((rf'{part}\.0\.', f'{level}.relations.{name}.proj.'))
            rows.append((rf'{part}\.2\.', f'{level}.relations.{name}.block.'))
        rows.append((rf'\.fuse_layer_{n}\.0\.', f'{level}.fuse.conv.'))
        rows.append((rf'\.fuse_layer_{n}\.1\.', f'{level}.fuse.norm.'))
        rows.append((rf'\.smooth_layer_{n}\.', f'{level}.smooth.'))
    return rows


def _semantic_decoder() -> list[tuple[str, str]]:
    rows = [(r'\.smooth_layer_0_semantic\.', '.smooth.')]
    for n in range(1, LEVELS + 1):
        level = f'.levels.{n - 1}'
        if n == LEVELS:
            rows.append((rf'\.st_block_{n}_semantic\.0\.', f'{level}.proj.'))
            rows.append((rf'\.st_block_{n}_semantic\.2\.', f'{level}.block.'))
        else:
            rows.append((rf'\.st_block_{n}_semantic\.1\.', f'{level}.block.'))
            rows.append((rf'\.trans_layer_{n}\.0\.', f'{level}.proj.conv.'))
            rows.append((rf'\.trans_layer_{n}\.1\.', f'{level}.proj.norm.'))
        rows.append((rf'\.smooth_layer_{n}_semantic\.', f'{level}.smooth.'))
    return rows


# the parts of a block and of its mixer are named by the backbone's own map
_PARTS = (
    *_change_decoder(),
    *_semantic_decoder(),
    (r'(\.block)\.norm\.', r'\1.norm1.'),
    (r'(\.block)\.op\.', r'\1.mixer.'),
    (r'\.smooth\.conv(\d)\.', r'.smooth.conv\1.conv.'),
    (r'\.smooth\.bn(\d)\.', r'.smooth.conv\1.norm.'),
)
# rows that begin a key of the encoder begin here after its prefix
_ENCODER = tuple(
    (re.sub(r'^\^', r'(?<=^backbone\.)', pattern), ours)
    for pattern, ours in VMamba.AUTHOR_KEYS.rename
)


def _network(parts: Mapping[str, str]) -> KeyMap:
    """The map of a network: the authors' names of its parts, and ours in the head."""
    heads = tuple((rf'^{theirs}\.', f'decode_head.{ours}.') for theirs, ours in parts.items())
    return KeyMap(
        rename=((r'^encoder\.', 'backbone.'), *heads, *_PARTS, *_ENCODER),
        reshape=(*VMamba.AUTHOR_KEYS.reshape, r'\.proj\.weight$'),
        inputs=(r'^backbone\.stem\.conv\.weight$',),
    )


BCD_KEYS = _network({'decoder': 'decoder', 'main_clf': 'classifier'})
SCD_KEYS = _network(
    {
        'decoder_bcd': 'decoder',
        'decoder_T1': 'pre_decoder',
        'decoder_T2': 'post_decoder',
        'main_clf_cd': 'classifier',
        'aux_clf': 'cover_classifier',
    }
)
BDA_KEYS = _network(
    {
        'decoder_damage': 'decoder',
        'decoder_building': 'building_decoder',
        'main_clf': 'classifier',
        'aux_clf': 'building_classifier',
    }
)
