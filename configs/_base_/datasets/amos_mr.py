# AMOS22's abdomen in MR as U-Mamba has it (Dataset702_AbdomenMR, nnU-Net's raw layout): background
# and 13 organs; the spacing is that of the files: put in what tools/plan.py measures on yours
_base_ = './cases_nnunet_planes.py'
data_root = 'data/amos-mr'
preparation = dict(spacing=None, axes=[2, 1, 0], channels=[dict(kind='zscore')], crop_nonzero=True)
train_dataloader = dict(
    num_workers=8,
    # the authors train on all cases; those of `val` only show that the training goes on
    dataset=dict(data_root=data_root, split='all', preparation=preparation),
)
val_dataloader = dict(dataset=dict(data_root=data_root, preparation=preparation))
test_dataloader = dict(dataset=dict(data_root=data_root, split='test', preparation=preparation))
# millimetres for each organ, as the benchmark has them
val_evaluator = dict(scores=('dice', 'nsd'), tolerance=[5, 3, 3, 5, 2, 2, 2, 2, 2, 3, 5, 7, 3])
test_evaluator = val_evaluator
