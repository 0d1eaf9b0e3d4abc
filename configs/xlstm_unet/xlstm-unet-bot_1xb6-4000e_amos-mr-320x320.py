# slice by slice; the authors' figures are in the paper's tables; not repeated by us
_base_ = [
    '../_base_/models/xlstm_unet_volumes.py',
    '../_base_/datasets/amos_mr.py',
    '../_base_/schedules/sgd_poly_4000e.py',
    '../_base_/default_runtime_cases.py',
]
arch = 'bot_mr_2d'
widths = [32, 64, 128, 256, 512, 512, 512]
patch_size = [320, 320]
model = dict(
    backbone=dict(arch=arch, spatial_dims=2),
    decoder=dict(arch=arch, spatial_dims=2, in_channels=widths, num_classes=14),
    num_classes=14,
    supervision=[16 / 31, 8 / 31, 4 / 31, 2 / 31, 1 / 31, 0.0],
    loss=dict(batch_dice=True),
    patch_size=patch_size,
)
train_dataloader = dict(batch_size=6, dataset=dict(patch_size=patch_size, samples=1500))
log_processor = dict(by_epoch=True)
