"""Change detection over mmseg: networks over two dates, their losses, scores, data and scenes."""

from mamba_dense.change.albumentation import PairedAlbumentations
from mamba_dense.change.datasets import ChangeFolder, ChangeScenes
from mamba_dense.change.degrade import Degrade
from mamba_dense.change.detector import MambaBCD, MambaBDA, MambaSCD
from mamba_dense.change.fc_siam_diff import FCSiamDiff, FCSiamEncoder, SiamDiffHead
from mamba_dense.change.heads import BinaryChangeHead, DamageHead, SemanticChangeHead
from mamba_dense.change.metrics import BinaryChangeMetric, DamageMetric, SemanticChangeMetric
from mamba_dense.change.preprocessor import ChangePreprocessor
from mamba_dense.change.transforms import (
    ChangeCrop,
    DatesApart,
    ExchangeDates,
    LoadChangeLabels,
    LoadDates,
    PackChange,
    QuarterTurn,
)

__all__ = [
    'BinaryChangeHead',
    'BinaryChangeMetric',
    'ChangeCrop',
    'ChangeFolder',
    'ChangePreprocessor',
    'ChangeScenes',
    'DamageHead',
    'DamageMetric',
    'DatesApart',
    'Degrade',
    'ExchangeDates',
    'FCSiamDiff',
    'FCSiamEncoder',
    'LoadChangeLabels',
    'LoadDates',
    'MambaBCD',
    'MambaBDA',
    'MambaSCD',
    'PackChange',
    'PairedAlbumentations',
    'QuarterTurn',
    'SemanticChangeHead',
    'SemanticChangeMetric',
    'SiamDiffHead',
]
