"""The published classifiers, so that the authors' ImageNet weights can be checked end to end."""

from .classifier import ImageClassifier
from .heads import NormPoolLinear, PoolNormLinear, PoolNormMlp, TokenLinear

__all__ = [
    'ImageClassifier',
    'NormPoolLinear',
    'PoolNormLinear',
    'PoolNormMlp',
    'TokenLinear',
]
