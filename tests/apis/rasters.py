"""Rasters and a network of next to no size, for the tests of change detection."""

import numpy as np
import torch

CONFIG = """
default_scope = 'mamba_dense'
model = dict(
    type='mamba_dense.FCSiamDiff',
    data_preprocessor=dict(type='mamba_dense.ChangePreprocessor'),
    backbone=dict(type='mamba_dense.FCSiamEncoder', channels=(2, 2, 2, 2)),
)
"""


def tiny_network(folder):
    """Config and checkpoint of a network that calls about half of all pixels changed."""
    from mamba_dense.apis import init_model

    config, checkpoint = folder / 'tiny.py', folder / 'tiny.pth'
    config.write_text(CONFIG)
    model = init_model(config, device='cpu')
    torch.manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim > 1:
                value.normal_(0, 0.3)
        x = torch.randn(1, 6, 96, 96)
        logits = model.encode_decode(x, [{}])
        head = [v for n, v in model.named_parameters() if n.endswith('bias') and v.numel() == 2]
        head[-1] -= logits.mean((0, 2, 3))
    torch.save(model.state_dict(), checkpoint)
    return config, checkpoint


def write_pair(folder, height, width, names=('a.tif', 'b.tif'), *, seed=0, **profile):
    """Two GeoTIFF of fields of colour, written strip by strip; their paths."""
    import rasterio
    from rasterio.transform import from_origin
    from rasterio.windows import Window

    rng = np.random.default_rng(seed)
    piece = rng.integers(0, 255, (2, 3, 8, 8)).repeat(32, 2).repeat(32, 3).astype(np.uint8)
    options = {
        'driver': 'GTiff',
        'height': height,
        'width': width,
        'count': 3,
        'dtype': 'uint8',
        'crs': 'EPSG:32633',
        'transform': from_origin(500000, 5000000, 0.5, 0.5),
        'tiled': True,
        'blockxsize': 256,
        'blockysize': 256,
        'compress': 'deflate',
        'zlevel': 1,
    } | profile
    paths = [folder / name for name in names]
    for path, fields in zip(paths, piece, strict=True):
        with rasterio.open(path, 'w', **options) as file:
            row = np.tile(fields, (1, 1, -(-width // 256)))[:, :, :width]
            for top in range(0, height, 256):
                rows = min(256, height - top)
                # no two strips are alike
                part = np.roll(row, 31 * (top // 256), axis=2)[:, :rows]
                file.write(part, (1, 2, 3), window=Window(0, top, width, rows))
    return paths
