"""No layout copy between blocks: what a profiler sees of a network without gradients on a CPU."""

import torch
from torch.profiler import ProfilerActivity, profile

from mamba_dense.backbones import VMamba


def copied_maps(model, x):
    """Shapes of the maps and convolution weights that one pass copies."""
    with torch.inference_mode():
        model(x)  # what is done once, at the first call, does not count
        with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiled:
            model(x)
    events = [event for event in profiled.events() if event.name == 'aten::copy_']
    return [tuple(event.input_shapes[0]) for event in events if len(event.input_shapes[0]) == 4]


def test_vmamba_copies_its_image_and_its_features_alone():
    model = VMamba('nano').eval()
    x = torch.randn(2, 3, 64, 96)
    features = [tuple(feature.shape) for feature in model(x)]
    assert sorted(copied_maps(model, x)) == sorted([tuple(x.shape), *features])


def test_a_weight_that_is_turned_at_every_call_would_be_seen():
    model = VMamba('nano').eval()
    conv = model.stages[0].downsample.conv
    conv.weight = torch.nn.Parameter(conv.weight.detach().contiguous())
    assert tuple(conv.weight.shape) in copied_maps(model, torch.randn(2, 3, 64, 96))


def test_weights_stay_in_their_layout_through_a_checkpoint(tmp_path):
    model = VMamba('nano').eval()
    plain = {key: value.contiguous() for key, value in model.state_dict().items()}
    torch.save(plain, tmp_path / 'file.pth')
    model.load_state_dict(torch.load(tmp_path / 'file.pth'))
    assert model.stem.conv.weight.is_contiguous(memory_format=torch.channels_last)
