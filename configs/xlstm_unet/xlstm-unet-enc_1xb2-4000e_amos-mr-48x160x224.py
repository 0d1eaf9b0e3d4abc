# the authors' figures are in the paper's tables; not repeated by us
_base_ = [
    '../_base_/models/xlstm_unet_volumes.py',
    '../_base_/datasets/amos_mr.py',
    '../_base_/schedules/sgd_poly_4000e.py',
    '../_base_/default_runtime_cases.py',
]
arch = 'enc_mr_3d'
widths = [32, 64, 128, 256, 320, 320]
patch_size = [48, 160, 224]
model = dict(
    backbone=dict(arch=arch),
    decoder=dict(arch=arch, in_channels=widths, num_classes=14),
    num_classes=14,
    supervision=[8 / 15, 4 / 15, 2 / 15, 1 / 15, 0.0],
    patch_size=patch_size,
    window_batch=1,
)
train_dataloader = dict(batch_size=2, dataset=dict(patch_size=patch_size))
log_processor = dict(by_epoch=True)
