"""The networks: sizes, modes, any backbone, sliding windows, the authors' files."""

import pytest
import torch

pytest.importorskip('mmseg', reason='needs the extra change')

from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mamba_dense.backbones import VMamba
from mamba_dense.change import MambaBCD, MambaBDA, MambaSCD
from mamba_dense.reference.fill import fill
from mamba_dense.reference.record import read_record
from mamba_dense.registry import MODELS
from mamba_dense.weights import load_weights

NETWORKS = {'MambaBCD': MambaBCD, 'MambaSCD': MambaSCD, 'MambaBDA': MambaBDA}
VMAMBA = dict(type='mamba_dense.VMamba', arch='nano')
CLASSES = {'change': 2, 'pre': 7, 'post': 7, 'building': 2, 'damage': 5}
OUTPUTS = {
    'MambaBCD': ('change',),
    'MambaSCD': ('change', 'pre', 'post'),
    'MambaBDA': ('building', 'damage'),
}


def build(name, backbone=VMAMBA, **more):
    torch.manual_seed(0)
    cfg = dict(type=f'mamba_dense.{name}', backbone=backbone, decode_head=dict(channels=16))
    return MODELS.build({**cfg, **more})


def samples(name, size, count=2):
    found = []
    for _ in range(count):
        sample = SegDataSample()
        for output in OUTPUTS[name]:
            label = torch.randint(CLASSES[output], (1, *size))
            sample.set_data({f'gt_{output}': PixelData(data=label)})
        found.append(sample)
    return found


# M, of the released code: change, semantic change, damage, encoder
PUBLISHED = {
    'mini': (20.228, 23.946, 22.087, 16.799),
    'tiny': (32.614, 37.126, 34.870, 27.994),
    'small': (54.000, 58.512, 56.256, 49.380),
    'base': (92.400, 97.035, 94.718, 87.535),
}


@pytest.mark.parametrize('size', PUBLISHED)
@pytest.mark.parametrize('position', range(3), ids=NETWORKS)
def test_parameters(root, size, position):
    from mmengine.config import Config

    cfg = Config.fromfile(root / f'configs/_base_/models/changemamba_{size}.py').model
    with torch.device('meta'):
        model = MODELS.build({**cfg, 'type': f'mamba_dense.{list(NETWORKS)[position]}'})
    counts = [
        sum(p.numel() for p in module.parameters()) / 1e6 for module in (model, model.backbone)
    ]
    expected = PUBLISHED[size][position], PUBLISHED[size][3]
    assert [f'{count:.3f}' for count in counts] == [f'{count:.3f}' for count in expected]


@pytest.mark.parametrize(
    ('name', 'work'), [('MambaBCD', 20.39), ('MambaSCD', 28.64), ('MambaBDA', 24.51)]
)
def test_work_of_the_tiny_networks(root, name, work):
    """G multiply-adds at 256x256: the sheet counts convolutions, products and scans, no norms."""
    from mmengine.config import Config

    from mamba_dense.apis.analysis import measure

    cfg = Config.fromfile(root / 'configs/_base_/models/changemamba_tiny.py').model
    with torch.device('meta'):
        model = MODELS.build({**cfg, 'type': f'mamba_dense.{name}'})
    found = measure(model, (model.in_channels, 256, 256)).total.flops / 1e9
    assert work < found < 1.01 * work


@pytest.mark.parametrize('name', NETWORKS)
def test_mixed_precision(name):
    model = build(name)
    with torch.autocast('cpu', torch.bfloat16):
        losses = model(torch.randn(2, 6, 64, 64), samples(name, (64, 64)), mode='loss')
    total = sum(losses.values())
    total.backward()
    assert total.dtype == torch.float32 and total.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('name', NETWORKS)
@pytest.mark.parametrize('size', [(64, 64), (50, 71)], ids=str)
def test_modes(name, size):
    model = build(name)
    inputs = torch.randn(2, 6, *size)
    losses = model(inputs, samples(name, size), mode='loss')
    assert all(key.startswith('loss_') for key in losses)
    sum(losses.values()).backward()
    assert not [n for n, p in model.named_parameters() if p.grad is None]
    model.eval()
    with torch.no_grad():
        logits = model(inputs)
        found = model(inputs, mode='predict')
    assert {key: tuple(x.shape) for key, x in logits.items()} == {
        key: (2, CLASSES[key], *size) for key in OUTPUTS[name]
    }
    for output in OUTPUTS[name]:
        said = found[1].get(f'pred_{output}').data
        assert torch.equal(said, logits[output][1].argmax(0, keepdim=True))
        assert torch.equal(found[1].get(f'{output}_logits').data, logits[output][1])


# one line of a config each: what stands in the place of VMamba
BACKBONES = {
    'vssd': dict(backbone=dict(type='mamba_dense.VSSD', arch='nano')),
    'efficientvim-three-stages': dict(
        backbone=dict(type='mamba_dense.EfficientViM', arch='nano', out_indices=(0, 1, 2))
    ),
    'mambaout': dict(backbone=dict(type='mamba_dense.MambaOut', arch='nano')),
    'vim-pyramid': dict(backbone=dict(type='mamba_dense.Vim', arch='nano', pyramid=True)),
    'vim-neck': dict(
        backbone=dict(type='mamba_dense.Vim', arch='nano', out_indices=(3,)),
        neck=dict(
            type='mamba_dense.SimpleFeaturePyramid', in_channels=64, out_channels=32, num_outs=4
        ),
    ),
    'resnet': dict(
        backbone=dict(type='mmseg.ResNet', depth=18),
        decode_head=dict(channels=16, in_channels=[64, 128, 256, 512]),
    ),
}


@pytest.mark.parametrize('swap', BACKBONES.values(), ids=BACKBONES)
def test_any_backbone(swap):
    model = build('MambaBCD', **swap)
    losses = model(torch.randn(2, 6, 64, 96), samples('MambaBCD', (64, 96)), mode='loss')
    sum(losses.values()).backward()
    used = [p.grad is not None for p in model.decode_head.parameters()]
    assert all(used)
    assert model.eval().predict(torch.randn(1, 6, 64, 96))[0].pred_change.data.shape[1:] == (64, 96)


def test_a_backbone_that_does_not_say_its_widths():
    with pytest.raises(ValueError, match=r'in_channels=\[\.\.\.\]'):
        build('MambaBCD', dict(type='mmseg.ResNet', depth=18))


def test_inputs_are_two_dates():
    with pytest.raises(ValueError, match=r'two dates .* \(1, 3, 32, 32\)'):
        build('MambaBCD')(torch.zeros(1, 3, 32, 32))


def test_dates_share_the_encoder_and_do_not_see_each_other_there():
    model = build('MambaSCD').eval()
    x = torch.randn(1, 6, 64, 64)
    with torch.no_grad():
        pre, post = model.extract_feat(x)
        alone = model.backbone(x[:, :3])
        swapped, _ = model.extract_feat(x.roll(3, dims=1))
    for i in range(4):
        torch.testing.assert_close(pre[i], alone[i])
        torch.testing.assert_close(post[i], swapped[i])


@pytest.mark.parametrize('name', NETWORKS)
def test_sliding_windows(name):
    """A window as large as the image is the whole test; smaller ones cover every pixel."""
    x = torch.randn(1, 6, 64, 96)
    whole = build(name).eval()
    slide = dict(mode='slide', crop_size=(64, 96), stride=(64, 96))
    windows = build(name, test_cfg=slide).eval()
    windows.load_state_dict(whole.state_dict())
    with torch.no_grad():
        for output in OUTPUTS[name]:
            a, b = (m.predict(x)[0].get(f'{output}_logits').data for m in (whole, windows))
            torch.testing.assert_close(a, b)
        windows.test_cfg.update(crop_size=(32, 32), stride=(24, 24))
        found = windows.predict(x)[0]
    for output in OUTPUTS[name]:
        logits = found.get(f'{output}_logits').data
        assert logits.shape == (CLASSES[output], 64, 96) and logits.isfinite().all()


def test_padding_is_cut_off_and_the_size_restored():
    model = build('MambaBCD').eval()
    sample = SegDataSample()
    sample.set_metainfo(dict(padding_size=(0, 14, 0, 4), ori_shape=(60, 50), img_shape=(60, 50)))
    with torch.no_grad():
        found = model.predict(torch.randn(1, 6, 64, 64), [sample])[0]
    assert found.pred_change.data.shape == (1, 60, 50)


def test_land_covers_by_number():
    model = build('MambaSCD', decode_head=dict(channels=16, num_classes=4))
    logits = model.eval()(torch.zeros(1, 6, 32, 32))
    assert [x.shape[1] for x in logits.values()] == [2, 4, 4]
    assert (model.num_classes, model.out_channels) == (2, 10)


def test_the_authors_file_loads(root, tmp_path):
    """A whole task checkpoint: a bare state dict of the authors' names."""
    record = read_record(root / 'tests/golden/changemamba/bcd_tiny.json')
    source = {
        name: torch.from_numpy(fill(name, shape)).float() for name, shape, _ in record.state_rows
    }
    torch.save(source, tmp_path / 'bcd.pth')
    arch = dict(base='tiny_s2l5', depths=(2, 2, 4, 2))
    backbone = dict(type='mamba_dense.VMamba', arch=arch)
    checkpoint = dict(type='Pretrained', checkpoint=str(tmp_path / 'bcd.pth'))
    model = MambaBCD(backbone, init_cfg=checkpoint)
    model.init_weights()
    ours = model.decode_head.decoder.levels[3].relations['interleaved'].proj.weight
    assert torch.equal(ours, source['decoder.st_block_42.0.weight'][..., 0, 0])
    ours = model.backbone.stages[2].blocks[3].mixer.D
    assert torch.equal(ours.flatten(), source['encoder.layers.2.blocks.3.op.Ds'])
    del source['decoder.fuse_layer_2.0.bias']
    torch.save(source, tmp_path / 'bcd.pth')
    with pytest.raises(ValueError, match=r'1 missing .*levels\.1\.fuse\.conv\.bias'):
        load_weights(model, tmp_path / 'bcd.pth', keymap=MambaBCD.AUTHOR_KEYS)


def test_a_deeper_imagenet_file_needs_its_block_named(tmp_path):
    """The tiny encoder has four blocks where VMamba's published file has five."""
    deep = VMamba(dict(base='nano', depths=(1, 1, 3, 1)))
    rename = (('stages.', 'layers.'), ('.mixer.', '.op.'), ('.norm1.', '.norm.'))
    rename += (('.op.conv.', '.op.conv2d.'), ('dt_proj_', 'dt_projs_'), ('.A_log', '.A_logs'))
    source = {}
    for key, value in deep.state_dict().items():
        if key.startswith('stages.') and '.blocks.' in key:
            for ours, theirs in rename:
                key = key.replace(ours, theirs)
            key = key[:-1] + 'Ds' if key.endswith('.D') else key
        source[key] = value
    torch.save({'model': source}, tmp_path / 'deep.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'deep.pth'))
    with pytest.raises(ValueError, match=r'stages\.2\.blocks\.2'):
        VMamba('nano', init_cfg=init).init_weights()
    model = VMamba('nano', init_cfg={**init, 'drop': (r'^layers\.2\.blocks\.2\.',)})
    model.init_weights()
    assert torch.equal(
        model.stages[2].blocks[1].mlp.fc1.weight, deep.stages[2].blocks[1].mlp.fc1.weight
    )
