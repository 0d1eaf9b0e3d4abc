"""Semantic segmentation over mmseg: data preparation, checks and scores that mmseg lacks."""

from mamba_dense.segmentation.guard import CheckSample
from mamba_dense.segmentation.metrics import ClassIoUMetric

__all__ = ['CheckSample', 'ClassIoUMetric']
