"""The bundled brain: its parts for training and validation, as it is and disturbed.

Axis 1 runs from the back of the head to the front. The front 70 % train and the rear 30 % validate:
left and right are mirror images in this template, so that a split between them would leak.
"""

import nibabel
import numpy as np
from scipy import ndimage

from mamba_dense import samples

BIAS = 0.055  # standard deviation of the logarithm of the bias field
NOISE = 0.015  # standard deviation of the noise, as a share of the brightest voxel
SMOOTHNESS = 20.0  # of the field, in voxels


def read_brain() -> tuple[np.ndarray, np.ndarray]:
    """Intensities (98, 116, 94), float32 in 0..255, and classes 0, 1 (grey), 2 (white), uint8."""
    split = samples.splits()['brain']
    image, labels = (nibabel.load(samples.path(split[key])) for key in ('image', 'labels'))
    return np.asarray(image.dataobj, np.float32), np.asarray(labels.dataobj).astype(np.uint8)


def slabs(depth: int) -> dict[str, slice]:
    """Slices of `depth` that train and validate, from samples/splits.json."""
    split = samples.splits()['brain']
    rear = round(split['val']['rear_fraction'] * depth)
    return {'train': slice(rear + split['gap_slices'], depth), 'val': slice(0, rear)}


def disturbed(
    image: np.ndarray, *, seed: int = 0, bias: float = BIAS, noise: float = NOISE
) -> np.ndarray:
    """The image under a smooth field of gain and with noise, as a real scanner's would be.

    Synthetic: the logarithm of the field is smoothed Gaussian noise (standard deviation `bias`,
    `SMOOTHNESS` voxels), the noise is Gaussian (`noise` of the brightest voxel) inside the head.
    With the defaults, in 8 bits, two thresholds fall from 0.964 to 0.845 mean Dice on the rear
    30 %. The noise is little beside the field, since it bounds every method: at 0.04, two
    thresholds reach 0.88 even where the gain is known.

    Args:
        image: (X, Y, Z), 0 outside the head.
        seed: of field and noise.
        bias, noise: see above.
    """
    random = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(random.standard_normal(image.shape), SMOOTHNESS)
    gain = np.exp(bias * field / field.std())
    grain = noise * image.max() * random.standard_normal(image.shape)
    return np.clip(np.where(image > 0, image * gain + grain, 0), 0, 255).astype(np.float32)


def two_thresholds(image: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """The thresholds of grey and white matter that fit best: mean Dice over a grid of intensities.

    Args:
        image, labels: the part to fit on, of one shape.
    """
    inside = image[labels > 0]
    low, high = np.percentile(inside, (0.5, 99.5))
    steps = np.linspace(low, high, 65)
    edges = np.concatenate([[-np.inf], steps, [np.inf]])
    counts = np.stack([np.histogram(image[labels == k], edges)[0] for k in range(3)])
    above = counts[:, ::-1].cumsum(1)[:, ::-1][:, 1:]  # (class, threshold): voxels at or above it
    size = [int((labels == k).sum()) for k in (1, 2)]
    best = (-1.0, low, high)
    for i in range(len(steps)):
        for j in range(i + 1, len(steps)):
            grey = 2 * (above[1, i] - above[1, j]) / ((above[:, i] - above[:, j]).sum() + size[0])
            white = 2 * above[2, j] / (above[:, j].sum() + size[1])
            best = max(best, ((grey + white) / 2, steps[i], steps[j]))
    return float(best[1]), float(best[2])
