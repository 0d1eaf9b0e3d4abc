"""The published classifiers, so that the authors' ImageNet weights can be checked end to end."""

from .classifier import ImageClassifier
from .heads import HiddenStateFusion, NormPoolLinear, PoolNormLinear, PoolNormMlp, TokenLinear

__all__ = [
    'HiddenStateFusion',
    'ImageClassifier',
    'NormPoolLinear',
    'PoolNormLinear',
    'PoolNormMlp',
    'TokenLinear',
]
