"""Vim: the published counts, features, tokens, and images and files of any size."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from mamba_dense.apis.analysis import measure
from mamba_dense.backbones import Vim
from mamba_dense.backbones.isotropic import KEPT_TABLES
from mamba_dense.classification import ImageClassifier
from mamba_dense.engine.param_groups import no_decay_names
from mamba_dense.reference.fill import fill
from mamba_dense.weights import load_weights, resize_table
from tests import contracts

# the released code's counts with the classification head, at 224
RELEASED = {
    'tiny': 7_148_008,
    'small': 25_796_584,
    'base': 97_598_440,
    'tiny_stride8': 7_250_344,
    'small_stride8': 26_001_256,
}
# multiply-adds in thousands of millions at 224, with the scans and without
GFLOPS = {'tiny': (1.8, 1.3), 'small': (5.9, 4.9), 'base': (20.9, 18.8)}


SHORT = dict(base='nano', depth=4)


def classifier(arch, **options):
    width = Vim.ARCHS[arch].dim if isinstance(arch, str) else arch['dim']
    return ImageClassifier(
        dict(type='mamba_dense.Vim', arch=arch, feature='class_token', **options),
        dict(type='mamba_dense.TokenLinear', in_channels=width, num_classes=1000),
    )


def test_every_published_variant_is_counted():
    assert set(RELEASED) | {'nano'} == set(Vim.ARCHS)


@pytest.mark.parametrize('arch', RELEASED)
def test_parameters_equal_the_released_code(arch):
    with torch.device('meta'):
        model = classifier(arch)
    assert sum(p.numel() for p in model.parameters()) == RELEASED[arch]


@pytest.mark.parametrize('arch', GFLOPS)
def test_flops_are_the_sheets(arch):
    """The sheet counts 9 L E N + 2 L E for a scan, we 9 L E N + L E."""
    with torch.device('meta'):
        model = classifier(arch).eval()
    total = measure(model, (3, 224, 224)).total
    whole, rest = GFLOPS[arch]
    assert abs(total.flops / 1e9 - whole) < 0.06
    assert abs((total.flops - total.scan_flops) / 1e9 - rest) < 0.06


@pytest.fixture
def nano():
    return Vim('nano', drop_path_rate=0.0)


@pytest.mark.parametrize(
    'options',
    [
        dict(feature='hidden'),
        dict(rotary=True),
        dict(class_token=True),
        dict(pyramid=True, norm_cfg=dict(type='GN', num_groups=8)),
        dict(pyramid=True, rotary=True, feature='hidden'),
        dict(feature='class_token'),
    ],
    ids=str,
)
def test_contracts_of_every_option(options, tmp_path):
    model = Vim(SHORT, drop_path_rate=0.0, **options)
    x = contracts.image(model, 40, 64, batch=2)
    contracts.check_finite(model, x)
    if model.strides:
        contracts.check_declared(model, x)
    contracts.check_state_dict(lambda: Vim(SHORT, **options), x, tmp_path)
    contracts.check_checkpointing(Vim(SHORT, drop_path_rate=0.3, **options), x)
    if options.get('pyramid') and 'norm_cfg' not in options:
        return  # a bias before BatchNorm has no gradient but noise
    contracts.check_every_gradient(model, x)
    if not options.get('pyramid'):
        contracts.check_compile(model, 40, 64, 'aot_eager')


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize('rotary', [False, True])
def test_a_network_in_half_precision(dtype, rotary):
    model = Vim('nano', rotary=rotary, drop_path_rate=0.0).eval()
    x = contracts.image(model, 32, 48)
    want = contracts.features(model, x)
    got = contracts.features(model.to(dtype), x.to(dtype))
    for a, b in zip(got, want, strict=True):
        assert a.dtype == dtype
        assert (a.float() - b).norm() <= 0.05 * b.norm()


def test_features_are_one_another_s_sums():
    """What is carried after block i is what was carried before it and what the block adds."""
    indices = tuple(range(8))
    hidden = Vim('nano', feature='hidden', out_indices=indices).eval()
    residual = Vim('nano', feature='residual', out_indices=indices).eval()
    residual.load_state_dict(hidden.state_dict())
    x = contracts.image(hidden, 48, 32)
    adds, sums = contracts.features(hidden, x), contracts.features(residual, x)
    for i in range(1, 8):
        torch.testing.assert_close(sums[i], sums[i - 1] + adds[i])


def test_a_shorter_network_gives_the_same_features():
    for options in (dict(feature='hidden'), dict(), dict(rotary=True)):
        whole = Vim('nano', out_indices=(2, 7), **options).eval()
        part = Vim('nano', out_indices=(2,), **options).eval()
        assert len(part.blocks) == 3
        kept = {k: v for k, v in whole.state_dict().items() if k in part.state_dict()}
        part.load_state_dict(kept)
        x = contracts.image(whole, 32, 48)
        torch.testing.assert_close(contracts.features(part, x)[0], contracts.features(whole, x)[0])


@pytest.mark.parametrize('size', [(24, 24), (24, 40), (8, 8), (16, 24)], ids=str)
def test_the_class_token_stands_in_the_middle(size):
    """On odd and even grids: its own place, and left out of the map."""
    model = Vim('nano', class_token=True, feature='hidden', out_indices=(0,)).eval()
    seen = []
    model.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.blocks[0].mixer = nn.Identity()
    x = contracts.image(model, *size)
    (y,) = contracts.features(model, x)
    count = size[0] * size[1] // 64
    token = model.stem.cls_token + model.stem.cls_pos_embed
    torch.testing.assert_close(seen[0][:, count // 2], token[0])
    rest = torch.cat([seen[0][:, : count // 2], seen[0][:, count // 2 + 1 :]], dim=1)
    normed = model.blocks[0].norm(rest)
    torch.testing.assert_close(y.flatten(2).transpose(1, 2), normed)


@pytest.mark.parametrize(
    ('size', 'grid'), [((224, 224), (28, 28)), ((1, 9), (1, 2)), ((33, 64), (5, 8))], ids=str
)
def test_images_are_padded_to_whole_patches(nano, size, grid):
    x = contracts.image(nano, *size)
    padded = nn.functional.pad(x, (0, -size[1] % 8, 0, -size[0] % 8))
    for a, b in zip(contracts.features(nano, x), contracts.features(nano, padded), strict=True):
        assert tuple(a.shape[2:]) == grid
        assert torch.equal(a, b)


@pytest.mark.parametrize(('side', 'cells'), [(224, 27), (223, 27), (225, 28), (10, 1)])
def test_overlapping_patches(side, cells):
    with torch.device('meta'):
        model = Vim('tiny_stride8', out_indices=(0,))
    (y,) = model(torch.empty(1, 3, side, 232, device='meta'))
    assert tuple(y.shape) == (1, 192, cells, 28)


def test_positions_follow_the_image(nano):
    """The table of the image's grid is what the network would have if it were built for it."""
    other = Vim('nano', img_size=(64, 96))
    state = nano.state_dict()
    state['stem.pos_embed'] = resize_table(state['stem.pos_embed'], (8, 12))
    other.load_state_dict(state)
    x = contracts.image(nano, 64, 96)
    for a, b in zip(contracts.features(nano, x), contracts.features(other, x), strict=True):
        torch.testing.assert_close(a, b)


def test_resized_positions_are_kept_and_renewed(nano):
    x = contracts.image(nano, 32, 48)
    first = contracts.features(nano, x)
    kept = nano.stem.positions((4, 6))
    with torch.no_grad():
        assert nano.stem.positions((4, 6)) is nano.stem.positions((4, 6))
        assert not nano.stem.positions((4, 6)).requires_grad
        nano.stem.pos_embed.mul_(-3)  # such as an optimiser's step
    assert not torch.equal(contracts.features(nano, x)[0], first[0])
    with torch.no_grad():
        nano.stem.pos_embed.div_(-3)
    torch.testing.assert_close(contracts.features(nano, x), first)
    nano.stem.pos_embed.data.mul_(2.0)  # such as the swap of averaged weights, before eval()
    torch.testing.assert_close(nano.eval().stem.positions((4, 6)), 2 * kept)
    with torch.inference_mode():
        nano(x)
    nano.requires_grad_(False)
    x.requires_grad_()
    nano(x)[-1].sum().backward()
    assert torch.isfinite(x.grad).all()
    copied = copy.deepcopy(nano)
    with torch.no_grad():
        for side in range(1, KEPT_TABLES + 9):
            copied.stem.positions((side, 2))
    assert len(copied.stem._resized) == KEPT_TABLES


def test_resized_positions_learn(nano):
    nano.train()(contracts.image(nano, 32, 48))[-1].square().sum().backward()
    assert nano.stem.pos_embed.grad.abs().sum() > 0


SMALL = dict(dim=32, depth=2, patch=16)


def authors(model):
    """The authors' classifier of this one, under their names, as far as the key map tells them."""
    backs = {'blocks': 'layers', 'stem.conv': 'patch_embed.proj', 'head.fc': 'head'}
    state = {}
    for name, value in model.state_dict().items():
        name = name.removeprefix('backbone.')
        for ours, theirs in backs.items():
            name = name.replace(ours, theirs)
        name = name.replace('norm.weight', 'norm_f.weight') if name == 'norm.weight' else name
        for part, end in (('ahead', ''), ('back', '_b')):
            for leaf in ('x_proj', 'dt_proj'):
                for kind in ('weight', 'bias'):
                    name = name.replace(f'{part}.{leaf}_{kind}', f'{leaf}{end}.{kind}')
            name = name.replace(f'{part}.conv.', f'conv1d{end}.')
            name = name.replace(f'{part}.A_log', f'A{end}_log').replace(f'{part}.D', f'D{end}')
        if not name.startswith('stem.'):
            state[name] = torch.from_numpy(fill(name, value.shape)).float()
    side = model.backbone.stem.pos_embed.shape[1]
    for name, shape in (('cls_token', (1, 1, 32)), ('pos_embed', (1, side**2 + 1, 32))):
        state[name] = torch.from_numpy(fill(name, shape)).float()
    return state


@pytest.fixture
def file(tmp_path):
    state = authors(classifier(SMALL, img_size=64))
    path = tmp_path / 'authors.pth'
    torch.save({'model': state, 'rope.freqs_cos': 0}, path)
    return path, state


def test_a_classifier_s_file_loads_into_a_classifier(file):
    path, state = file
    model = classifier(SMALL, img_size=64)
    report = load_weights(model, path, keymap=model.AUTHOR_KEYS)
    assert not report.fresh and not report.dropped and not report.adapted
    stem = model.backbone.stem
    table = state['pos_embed']
    assert torch.equal(stem.cls_pos_embed, table[:, 8:9])
    assert torch.equal(stem.pos_embed.flatten(1, 2), table[:, [*range(8), *range(9, 17)]])
    assert torch.equal(model.backbone.blocks[1].mixer.back.D, state['layers.1.mixer.D_b'])


def test_a_classifier_s_file_starts_a_dense_network(file):
    path, state = file
    model = Vim(SMALL, img_size=(96, 64), out_indices=(0,), pyramid=True, in_channels=4)
    report = load_weights(model, path, keymap=model.AUTHOR_KEYS)
    left = {name.split('.')[0] for name in report.dropped}
    assert left == {'cls_token', 'norm_f', 'head', 'layers'}
    assert all(name.startswith('pyramid.') for name in report.fresh)
    table = state['pos_embed'][:, [*range(8), *range(9, 17)]].reshape(1, 4, 4, 32)
    torch.testing.assert_close(model.stem.pos_embed.data, resize_table(table, (6, 4)))
    again = Vim(SMALL, img_size=64, out_indices=(0,))
    torch.save(model.state_dict(), path)
    with pytest.raises(ValueError, match='another shape'):
        load_weights(again, path, keymap=replace(again.AUTHOR_KEYS, tables=()))
    assert load_weights(again, path, keymap=Vim(SMALL, in_channels=4).AUTHOR_KEYS).adapted


def test_a_dense_file_does_not_make_a_class_token(file):
    path, state = file
    torch.save({k: v for k, v in state.items() if k != 'cls_token'}, path)
    model = classifier(SMALL, img_size=64)
    with pytest.raises(ValueError, match='cls_token'):
        load_weights(model, path, keymap=model.AUTHOR_KEYS)


def test_decay_is_the_published_one():
    """One-dimensional tensors, biases and the class token are exempt; A_log and the table not."""
    model = classifier('nano')
    exempt = set(no_decay_names(model))
    for name, p in model.backbone.named_parameters(prefix='backbone'):
        assert (name in exempt) == (p.ndim == 1 or name.endswith('.cls_token')), name


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(feature='tokens'), "feature='tokens' must be one of residual"),
        (dict(feature='class_token', pyramid=True), 'gives no map'),
        (dict(feature='class_token', class_token=False), 'needs the class token'),
        (dict(feature='class_token', out_indices=(0,)), 'out_indices'),
        (dict(rotary=True, class_token=True), 'rotary=True'),
        (dict(pyramid=True, out_indices=(0, 1, 2, 3, 4)), 'more than the 4 levels'),
        (dict(pyramid=True, norm_cfg=dict(type='LN')), "type='LN'; known: BN"),
        (dict(img_size=(1, 2, 3)), r'img_size=\(1, 2, 3\)'),
        (dict(img_size=0), 'img_size=0'),
    ],
    ids=str,
)
def test_bad_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        Vim('nano', **options)
