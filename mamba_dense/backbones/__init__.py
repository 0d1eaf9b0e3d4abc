"""Registered backbones, one file a family."""

from .efficientvim import EfficientViM
from .efficientvmamba import EfficientVMamba
from .lightm_unet import LightMEncoder
from .mamba_yolo import MambaYOLO
from .mambaout import MambaOut
from .mhs_vm import MHSVM
from .mobilemamba import MobileMamba
from .msvmamba import MSVMamba
from .res_vmamba import ResVMamba
from .vim import Vim
from .vmamba import VMamba
from .vssd import VSSD
from .xlstm_unet import XLSTMEncoder

__all__ = [
    'EfficientVMamba',
    'EfficientViM',
    'LightMEncoder',
    'MHSVM',
    'MSVMamba',
    'MambaOut',
    'MambaYOLO',
    'MobileMamba',
    'ResVMamba',
    'VMamba',
    'VSSD',
    'Vim',
    'XLSTMEncoder',
]
