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
    model = VMamba('nano').eval().to(memory_format=torch.channels_last)
    x = torch.randn(2, 3, 64, 96)
    features = [tuple(feature.shape) for feature in model(x)]
    assert sorted(copied_maps(model, x)) == sorted([tuple(x.shape), *features])


def test_in_the_default_format_weights_are_turned_and_no_further_map():
    model = VMamba('nano').eval()
    x = torch.randn(2, 3, 64, 96)
    features = [tuple(feature.shape) for feature in model(x)]
    weights = [tuple(p.shape) for p in model.parameters() if p.dim() == 4 and p.shape[1] > 1]
    assert len(weights) == 5
    allowed = sorted([tuple(x.shape), *features, *weights])
    assert sorted(copied_maps(model, x)) == allowed
