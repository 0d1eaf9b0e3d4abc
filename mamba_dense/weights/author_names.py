"""What key maps share: names that VMamba's code has given to much of the field."""

import re

from .keymap import KeyMap

# the selective scan of a mixer
SCAN_NAMES = (
    (r'\.mixer\.conv2d\.', '.mixer.conv.'),
    (r'\.mixer\.dt_projs_(weight|bias)$', r'.mixer.dt_proj_\1'),
    (r'\.mixer\.A_logs$', '.mixer.A_log'),
    (r'\.mixer\.Ds$', '.mixer.D'),
)
# stem, stages, blocks of a norm and a mixer, downsampling of a convolution; files of January 2024
# call some parts by older names, and both are read
TRUNK_NAMES = (
    (r'^patch_embed\.(0|proj)\.', 'stem.conv.'),
    (r'^patch_embed\.(2|norm)\.', 'stem.norm.'),
    (r'^patch_embed\.5\.', 'stem.conv2.'),
    (r'^patch_embed\.7\.', 'stem.norm2.'),
    (r'^layers\.', 'stages.'),
    (r'(\.blocks\.\d+)\.(norm|ln_1)\.', r'\1.norm1.'),
    (r'(\.blocks\.\d+)\.(op|self_attention)\.', r'\1.mixer.'),
    *SCAN_NAMES,
    (r'\.downsample\.1\.', '.downsample.conv.'),
    (r'\.downsample\.3\.', '.downsample.norm.'),
)


def staged_key_maps(
    trunk: tuple[tuple[str, str], ...],
    *,
    reshape: tuple[str, ...] = (),
    zero: tuple[str, ...] = (),
    wrapper: str = '',
    first_conv: str = 'stem.conv',
) -> tuple[KeyMap, KeyMap]:
    """The maps of a dense network, whose outputs have norms of their own, and of its classifier.

    Args:
        trunk: renames of what both have.
        reshape, zero: see `KeyMap`.
        wrapper: pattern of what stands before every name of a file, and goes.
        first_conv: our name of the convolution that reads the image.
    """
    unwrap = ((rf'^{wrapper}', ''),) if wrapper else ()
    first = rf'{re.escape(first_conv)}\.weight$'
    dense = KeyMap(
        rename=(*unwrap, *trunk, (r'^outnorm(\d+)\.', r'out_norms.\1.')),
        drop=(rf'^{wrapper}(classifier|norm|head)\.',),
        reshape=reshape,
        fresh=(r'^out_norms\.',),
        zero=zero,
        inputs=(rf'^{first}',),
    )
    classifier = KeyMap(
        rename=(
            *unwrap,
            *trunk,
            (r'^(stem|stages)\.', r'backbone.\1.'),
            (r'^(classifier\.)?norm\.', 'head.norm.'),
            (r'^(classifier\.)?head\.(?=(weight|bias)$)', 'head.fc.'),
        ),
        reshape=reshape,
        zero=zero,
        inputs=(rf'^backbone\.{first}',),
    )
    return dense, classifier
