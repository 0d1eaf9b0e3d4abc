"""VM-UNet and MHS-UNet: counts of the released code, sizes, weights of both kinds, any backbone."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.classification import ImageClassifier
from mamba_dense.medical import VMUNet
from mamba_dense.medical.unet import AUTHOR_KEYS, imagenet_keys
from mamba_dense.registry import MODELS
from mamba_dense.weights import KeyMismatchError

SMALL = dict(base='vanilla_tiny', dims=(8, 16, 24, 32), depths=(2, 1, 2, 1), drop_path_rate=0.0)


def network(arch, up, classes=2, dims=(96, 192, 384, 768), multi_head=False, **backbone):
    init_default_scope('mmseg')
    one = classes == 2
    family, head = ('MHSVM', 'MHSUNetHead') if multi_head else ('VMamba', 'VMUNetHead')
    return VMUNet(
        {'type': f'mamba_dense.{family}', 'arch': arch, 'output_norm': False, **backbone},
        {
            'type': f'mamba_dense.{head}',
            'in_channels': dims,
            'arch': arch,
            'depths': up,
            'num_classes': classes,
            'out_channels': 1 if one else classes,
            'threshold': 0.5 if one else None,
            'loss_decode': {'type': f'mamba_dense.{"Bce" if one else "Ce"}DiceLoss'},
        },
        test_cfg=ConfigDict(mode='whole'),
    )


def small(**options):
    return network(SMALL, (1, 2, 1, 1), dims=SMALL['dims'], **options)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def vanilla(*depths):
    return dict(base='vanilla_tiny', depths=depths)


@pytest.mark.parametrize(
    ('arch', 'up', 'classes', 'multi_head', 'parameters'),
    [
        (vanilla(2, 2, 2, 2), (2, 2, 2, 1), 2, False, 27_427_561),
        (vanilla(2, 2, 2, 2), (2, 2, 2, 1), 9, False, 27_427_761),
        (vanilla(2, 2, 9, 2), (2, 9, 2, 2), 2, False, 44_273_833),
        ('four_heads', (2, 2, 2, 1), 2, True, 17_257_129),
        ('three_heads', (2, 2, 2, 1), 2, True, 17_386_153),
        (dict(base='four_heads', project=False), (2, 2, 2, 1), 2, True, 14_121_577),
    ],
    ids=['isic', 'synapse', 'class-default', 'four-heads', 'three-heads', 'no-projection'],
)
def test_parameters_equal_the_released_code(arch, up, classes, multi_head, parameters):
    with torch.device('meta'):
        assert count(network(arch, up, classes, multi_head=multi_head)) == parameters


@pytest.mark.parametrize('multi_head', [False, True], ids=['vm', 'mhs'])
@pytest.mark.parametrize('size', [(32, 64), (33, 47), (100, 70), (5, 4)], ids=str)
def test_any_size(multi_head, size):
    arch = dict(base='nano', dims=SMALL['dims']) if multi_head else SMALL
    up = (1, 1, 1, 1) if multi_head else (1, 2, 1, 1)
    model = network(arch, up, dims=SMALL['dims'], multi_head=multi_head).eval()
    with torch.no_grad():
        logits = model(torch.randn(2, 3, *size))
        samples = model.predict(torch.randn(1, 3, *size))
    assert tuple(logits.shape[2:]) == tuple(side // 4 * 4 for side in size)
    assert tuple(samples[0].pred_sem_seg.data.shape) == (1, *size)


def test_grey_images_are_repeated():
    model = small().eval()
    grey = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(grey), model(grey.repeat(1, 3, 1, 1)))
        own = small(in_channels=1).eval()
        assert own(grey).shape == (1, 1, 32, 32)
        with pytest.raises(ValueError, match=r'takes images \(B, 3, H, W\)'):
            model(torch.randn(1, 2, 32, 32))


def test_every_parameter_learns():
    model = small()
    logits = model(torch.randn(2, 3, 64, 32))
    model.decode_head.loss_decode(logits, torch.randint(2, (2, 64, 32))).backward()
    lacking = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not lacking


def test_every_staged_backbone_leads():
    init_default_scope('mmseg')
    for name in ('MSVMamba', 'VSSD', 'MambaOut'):
        backbone = MODELS.build({'type': f'mamba_dense.{name}', 'arch': 'nano'})
        arch = dict(base='vanilla_tiny', dims=(), depths=())
        model = VMUNet(
            {'type': f'mamba_dense.{name}', 'arch': 'nano', 'output_norm': False},
            {
                'type': 'mamba_dense.VMUNetHead',
                'in_channels': backbone.out_channels,
                'arch': arch,
                'depths': (1, 1, 1, 1),
                'num_classes': 3,
                'loss_decode': {'type': 'mamba_dense.CeDiceLoss'},
            },
        ).eval()
        with torch.no_grad():
            assert model(torch.randn(1, 3, 64, 32)).shape == (1, 3, 64, 32)


def test_refusals():
    with pytest.raises(ValueError, match=r'one entry for each stage'):
        network(SMALL, (1, 1, 1), dims=SMALL['dims'])
    with pytest.raises(ValueError, match='a multiple of 4'):
        network(SMALL, (1, 1, 1, 1), dims=(6, 16, 24, 32))
    head = {
        'type': 'mamba_dense.VMUNetHead',
        'in_channels': SMALL['dims'],
        'arch': SMALL,
        'depths': (1, 1, 1, 1),
        'num_classes': 3,
        'loss_decode': {'type': 'mamba_dense.CeDiceLoss'},
    }
    with pytest.raises(ValueError, match='Vim has no stages to walk through'):
        VMUNet({'type': 'mamba_dense.Vim', 'arch': 'nano', 'img_size': 64}, head)


def authors_names(state):
    """Our names turned into those of a file of the authors', by their own rules."""
    pairs = (
        ('backbone.stem.conv.', 'patch_embed.proj.'),
        ('backbone.stem.norm.', 'patch_embed.norm.'),
        ('backbone.stages.', 'layers.'),
        ('decode_head.stages.', 'layers_up.'),
        ('decode_head.final_up.', 'final_up.'),
        ('decode_head.conv_seg.', 'final_conv.'),
        ('.norm1.', '.ln_1.'),
        ('.mixer.', '.self_attention.'),
        ('.self_attention.conv.', '.self_attention.conv2d.'),
        ('.dt_proj_', '.dt_projs_'),
        ('.A_log', '.A_logs'),
    )
    renamed = {}
    for name, value in state.items():
        for ours, theirs in pairs:
            name = name.replace(ours, theirs)
        if name.endswith(('.A_logs', '.D')):
            value = value.flatten(0, 1)
        renamed['vmunet.' + (name + 's' if name.endswith('.D') else name)] = value
    return renamed


def test_loads_a_trained_file_of_the_authors(tmp_path):
    source, target = small(), small()
    state = authors_names(source.state_dict())
    state['vmunet.layers.0.total_ops'] = torch.zeros(1)
    torch.save(state, tmp_path / 'best.pth')
    target.init_cfg = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'best.pth')}
    target.init_weights()
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value), name
    state.pop('vmunet.final_up.norm.weight')
    torch.save(state, tmp_path / 'short.pth')
    broken = small()
    broken.init_cfg = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'short.pth')}
    with pytest.raises(ValueError, match=r'decode_head\.final_up\.norm\.weight'):
        broken.init_weights()


def test_multi_head_file_holds_every_scan_twice():
    arch = dict(base='nano', dims=SMALL['dims'])
    model = network(arch, (1, 1, 1, 1), dims=SMALL['dims'], multi_head=True)
    target = model.state_dict()
    theirs = {}
    block = 'layers.0.blocks.0.self_attention.mhs.'
    theirs[f'vmunet.{block}x_ssproj.weight'] = target[
        'backbone.stages.0.blocks.0.mixer.scan.project.weight'
    ]
    theirs[f'vmunet.{block}x_ssproj_W'] = theirs[f'vmunet.{block}x_ssproj.weight']
    engine = f'vmunet.{block}scanhead_X.'
    scan = target['backbone.stages.0.blocks.0.mixer.scan.heads.1.D']
    theirs[f'{engine}mambaeng.Ds'] = theirs[f'{engine}scanning.seq2seq_engine.Ds'] = scan.flatten()
    names = [
        'backbone.stages.0.blocks.0.mixer.scan.project.weight',
        'backbone.stages.0.blocks.0.mixer.scan.heads.1.D',
    ]
    found = AUTHOR_KEYS.convert(theirs, {name: target[name] for name in names})
    assert torch.equal(found[names[1]], scan)
    theirs['vmunet.layers.0.blocks.0.unknown'] = scan
    with pytest.raises(KeyMismatchError, match='unknown'):
        AUTHOR_KEYS.convert(theirs, {name: target[name] for name in names})


def test_starts_both_halves_from_a_classifier():
    """VMamba-S: 117 tensors for the encoder, 91 for the decoder, as the authors load them."""
    backbone = dict(
        type='mamba_dense.VMamba', arch='vanilla_small', out_indices=(3,), output_norm=False
    )
    head = dict(type='mamba_dense.NormPoolLinear', in_channels=768, num_classes=1000)
    with torch.device('meta'):
        classifier = ImageClassifier(backbone, head)
        model = network(vanilla(2, 2, 2, 2), (2, 2, 2, 1))
    source = {}
    for name, value in classifier.state_dict().items():
        if name.startswith('backbone.'):
            renamed = authors_names({name: value})
            source |= {key.removeprefix('vmunet.'): v for key, v in renamed.items()}
        else:
            source[name.replace('head.fc.', 'head.').replace('head.norm.', 'norm.')] = value
    keys = imagenet_keys((2, 2, 2, 2), (2, 2, 2, 1))
    plan = keys.plan(source, model.state_dict())
    filled = set(plan.tensors)
    assert sum(name.startswith('backbone.') for name in filled) == 117
    assert sum(name.startswith('decode_head.') for name in filled) == 91
    assert 'decode_head.stages.3.blocks.0.mixer.in_proj.weight' in filled
