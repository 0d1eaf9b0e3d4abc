"""Scan kernels for Vision Mamba: one signature an op, several backends; needs torch alone."""

from .dispatch import available_backends, explain, use_backend
from .flops import mlstm_flops, register, route_scan_flops, selective_scan_flops
from .mlstm.op import mlstm
from .route_scan.op import route_scan
from .selective_scan.op import selective_scan

register()

__all__ = [
    'available_backends',
    'explain',
    'mlstm',
    'mlstm_flops',
    'route_scan',
    'route_scan_flops',
    'selective_scan',
    'selective_scan_flops',
    'use_backend',
]
