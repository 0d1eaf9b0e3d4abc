"""A detector's forward pass with a fixed number of proposals, to be counted on the meta device."""

from torch import Tensor, nn

# mmdetection's convention: as many boxes are classified and as many masks drawn at test time
PROPOSALS = 1000
MASKS = 100


class DetectorPass(nn.Module):
    """All layers of a detector once: backbone, neck, dense head, box head, mask head.

    What a detector really does depends on the picture (which proposals survive), and selecting them
    computes; here every box head sees `PROPOSALS` regions and every mask head `MASKS`. Cutting the
    regions out, sorting and suppressing count nothing. The children are the detector's own, by the
    same names.

    Args:
        model: a one-stage or two-stage detector of mmdet.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        for name, child in model.named_children():
            self.add_module(name, child)

    def forward(self, x: Tensor) -> None:
        """Run all layers on pictures `x` (B, C, H, W)."""
        features = self.backbone(x)
        if hasattr(self, 'neck'):
            features = self.neck(features)
        dense = self.rpn_head if hasattr(self, 'rpn_head') else self.bbox_head
        dense(features)
        if not hasattr(self, 'roi_head'):
            return
        for head, extractor, count in (
            ('bbox_head', 'bbox_roi_extractor', PROPOSALS),
            ('mask_head', 'mask_roi_extractor', MASKS),
        ):
            stages = _listed(getattr(self.roi_head, head, None))
            for stage, cutter in zip(stages, _listed(getattr(self.roi_head, extractor, None))):
                height, width = cutter.roi_layers[0].output_size
                stage(x.new_empty(len(x) * count, cutter.out_channels, height, width))


def _listed(part: nn.Module | None) -> list[nn.Module]:
    """The stages of a cascade, or the one head there is."""
    if part is None:
        return []
    return list(part) if isinstance(part, nn.ModuleList) else [part]
