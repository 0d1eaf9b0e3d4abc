"""Change detection over mmseg: networks over two dates, their losses, scores, data and scenes."""

from mamba_dense.change.detector import MambaBCD, MambaBDA, MambaSCD
from mamba_dense.change.heads import BinaryChangeHead, DamageHead, SemanticChangeHead
from mamba_dense.change.metrics import BinaryChangeMetric, DamageMetric, SemanticChangeMetric

__all__ = [
    'BinaryChangeHead',
    'BinaryChangeMetric',
    'DamageHead',
    'DamageMetric',
    'MambaBCD',
    'MambaBDA',
    'MambaSCD',
    'SemanticChangeHead',
    'SemanticChangeMetric',
]
