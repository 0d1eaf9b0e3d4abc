"""Scan kernels for Vision Mamba: one signature an op, several backends; needs torch alone."""

from .dispatch import available_backends, explain, use_backend
from .flops import register, route_scan_flops, selective_scan_flops
from .route_scan.op import route_scan
from .selective_scan.op import selective_scan

register()

__all__ = [
    'available_backends',
    'explain',
    'route_scan',
    'route_scan_flops',
    'selective_scan',
    'selective_scan_flops',
    'use_backend',
]
