"""FER-YOLO-Mamba's neck: a path aggregation pyramid whose merges scan one half of the channels.

Paper: FER-YOLO-Mamba: Facial Expression Detection and Classification Based on Selective State
Space, arXiv 2405.01828. Authors' repository: SwjtuMa/FER-YOLO-Mamba.

The rest of the detector is YOLOX-s and comes from mmdet: `CSPDarknet`, `YOLOXHead`, SimOTA and the
losses. What differs here: the stems of the authors' head, which their released forward leaves out
(and then stops), are this neck's output convolutions, as in mmdet's `YOLOXPAFPN`; the finest output
has stride 16, and the head is told so (the authors train it with 8 and test it with 16); and the
scans' own parameters are trained, which the authors' optimizer overlooks.
"""

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmdet.models.backbones.csp_darknet import CSPLayer, Focus, SPPBottleneck
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mamba_dense.mixers import SS2D
from mamba_dense.registry import MODELS
from mamba_dense.weights import KeyMap

# parts of the backbone that mmdet does not register
DARKNET_PARTS = {part.__name__: part for part in (CSPLayer, Focus, SPPBottleneck)}
_CSP = r'^(darknet\.stage(?:[123]\.1|4\.2))'
AUTHOR_KEYS = KeyMap(
    rename=(
        (r'^backbone\.backbone\.', 'darknet.'),
        (r'^darknet\.dark2\.', 'darknet.stage1.'),
        (r'^darknet\.dark3\.', 'darknet.stage2.'),
        (r'^darknet\.dark4\.', 'darknet.stage3.'),
        (r'^darknet\.dark5\.', 'darknet.stage4.'),
        (rf'{_CSP}\.conv1\.', r'\1.main_conv.'),
        (rf'{_CSP}\.conv2\.', r'\1.short_conv.'),
        (rf'{_CSP}\.conv3\.', r'\1.final_conv.'),
        (rf'{_CSP}\.m\.', r'\1.blocks.'),
        (r'^backbone\.', 'neck.'),
        (r'^neck\.lateral_conv0\.', 'neck.lateral.'),
        (r'^neck\.C3_p4\.0\.', 'neck.merge_p4.'),
        (r'^neck\.reduce_conv1\.', 'neck.reduce.'),
        (r'^neck\.C3_p3\.0\.', 'neck.merge_p3.'),
        (r'^neck\.reduce_conv111\.', 'neck.out_p3.'),
        (r'^neck\.bu_conv2\.', 'neck.down_p3.'),
        (r'^neck\.C3_n3\.0\.', 'neck.merge_n4.'),
        (r'^neck\.bu_conv1\.', 'neck.down_p4.'),
        (r'^neck\.C3_n4\.0\.', 'neck.merge_n5.'),
        (r'\.ln_1\.', '.norm.'),
        (r'\.self_attention\.', '.mixer.'),
        (r'\.mixer\.conv2d\.', '.mixer.conv.'),
        (r'\.mixer\.dt_projs_(weight|bias)$', r'.mixer.dt_proj_\1'),
        (r'\.mixer\.A_logs$', '.mixer.A_log'),
        (r'\.mixer\.Ds$', '.mixer.D'),
        (r'\.frm\.', '.local.'),
        (r'\.finalconv11\.', '.project.'),
        (r'^darknet\.', 'backbone.'),
        (r'^head\.stems\.', 'neck.out_convs.'),
        (r'^head\.(cls|reg)_convs\.', r'bbox_head.multi_level_\1_convs.'),
        (r'^head\.(cls|reg|obj)_preds\.', r'bbox_head.multi_level_conv_\1.'),
    ),
    reshape=(r'\.mixer\.(A_log|D)$',),
)


class ThreeLayerGate(nn.Module):
    """Channel attention: mean over the map, three linear layers without bias, sigmoid, product.

    Args:
        channels: width C.
        reduction: C over the hidden width.
    """

    def __init__(self, channels: int, *, reduction: int = 16):
        super().__init__()
        hidden = channels // reduction
        if hidden < 1:
            raise ValueError(
                f'channels={channels} leave no hidden channel at reduction={reduction}; use at '
                f'least {reduction} channels.'
            )
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden, bias=False),
            nn.ReLU(),
            nn.Linear(hidden, hidden, bias=False),
            nn.ReLU(),
            nn.Linear(hidden, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W); same shape."""
        gate = self.fc(x.mean(dim=(2, 3)))  # (B, C)
        return x * gate[:, :, None, None]


class DualBranchBlock(nn.Module):
    """One half of the channels through a convolution branch, the other through a routed scan.

    The scan walks eight routes: rows, columns, two wrapped diagonals, and their reverses.

    Args:
        channels: width C of the map, a multiple of 4 and at least 64.
        state: state size of the scans.

    Raises:
        ValueError: `channels` cannot be split so.
    """

    NO_DECAY = ('norm',)

    def __init__(self, channels: int, *, state: int = 16):
        super().__init__()
        if channels % 4 or channels < 64:
            raise ValueError(f'channels={channels} must be a multiple of 4 and at least 64.')
        half, quarter = channels // 2, channels // 4
        self.norm = nn.LayerNorm(half)
        self.mixer = SS2D(
            half, ratio=2.0, state=state, conv_bias=True, gated=True, routes='omnidirectional'
        )
        self.local = nn.Sequential(
            nn.Conv2d(half, quarter, 1, bias=False),
            nn.BatchNorm2d(quarter),
            nn.ReLU(),
            ThreeLayerGate(quarter),
            nn.Conv2d(quarter, half, 1, bias=False),
            nn.BatchNorm2d(half),
        )
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W); same shape."""
        left, right = x.chunk(2, dim=1)  # 2 x (B, C / 2, H, W)
        right = right.movedim(1, -1)  # (B, H, W, C / 2)
        right = (right + self.mixer(self.norm(right))).movedim(-1, 1)
        return x + self.project(torch.cat([self.local(left), right], dim=1))


@MODELS.register_module()
class FERYOLOPAFPN(BaseModule):
    """FER-YOLO-Mamba's neck (arXiv 2405.01828) between `CSPDarknet` and `YOLOXHead`.

    Args:
        in_channels: widths of the input maps, strides 8, 16 and 32; each twice the one before.
        out_channels: width of the three output maps, strides 16, 16 and 32: the head's
            `strides=(16, 16, 32)`.
        norm_cfg: norm of the convolutions.
        act_cfg: their activation.
        init_cfg: of mmengine.

    Raises:
        ValueError: `in_channels` are not three widths that double.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (128, 256, 512),
        out_channels: int = 128,
        *,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        init_cfg: dict | list | None = None,
    ):
        super().__init__(init_cfg=init_cfg)
        first = in_channels[0]
        if tuple(in_channels) != (first, 2 * first, 4 * first):
            raise ValueError(
                f'in_channels={tuple(in_channels)} must be three widths that double, such as '
                '(128, 256, 512).'
            )
        style = {
            'norm_cfg': norm_cfg or {'type': 'BN', 'momentum': 0.03, 'eps': 1e-3},
            'act_cfg': act_cfg or {'type': 'Swish'},
        }
        self.lateral = ConvModule(4 * first, 2 * first, 1, **style)
        self.merge_p4 = DualBranchBlock(4 * first)
        self.reduce = ConvModule(4 * first, first, 1, **style)
        self.merge_p3 = DualBranchBlock(2 * first)
        self.out_p3 = ConvModule(2 * first, first, 3, stride=2, padding=1, **style)
        self.down_p3 = ConvModule(2 * first, first, 3, stride=2, padding=1, **style)
        self.merge_n4 = DualBranchBlock(2 * first)
        self.down_p4 = ConvModule(2 * first, 2 * first, 3, stride=2, padding=1, **style)
        self.merge_n5 = DualBranchBlock(4 * first)
        widths = (first, 2 * first, 4 * first)
        self.out_convs = nn.ModuleList(
            ConvModule(width, out_channels, 1, **style) for width in widths
        )

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps of strides 8, 16, 32 to (B, out_channels, H, W) of strides 16, 16, 32.

        Raises:
            ValueError: a map is not half as large as the one before.
        """
        f3, f4, f5 = maps
        _check_halves(maps)
        p5 = self.lateral(f5)
        t4 = self.merge_p4(torch.cat([_twice(p5), f4], dim=1))
        p4 = self.reduce(t4)
        t3 = self.merge_p3(torch.cat([_twice(p4), f3], dim=1))
        n4 = self.merge_n4(torch.cat([self.down_p3(t3), p4], dim=1))
        n5 = self.merge_n5(torch.cat([self.down_p4(n4), p5], dim=1))
        levels = zip(self.out_convs, (self.out_p3(t3), n4, n5), strict=True)
        return tuple(conv(level) for conv, level in levels)


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode='nearest')


def _check_halves(maps: Sequence[Tensor]) -> None:
    sizes = [tuple(x.shape[2:]) for x in maps]
    height, width = sizes[-1]
    if sizes != [(4 * height, 4 * width), (2 * height, 2 * width), (height, width)]:
        raise ValueError(
            f'maps of {sizes} do not double: the image must be a multiple of 32 on each side; set '
            'pad_size_divisor=32 in the data preprocessor.'
        )
