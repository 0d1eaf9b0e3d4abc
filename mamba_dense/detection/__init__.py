"""Detection and instance segmentation over mmdet: data preparation and what mmdet lacks."""
