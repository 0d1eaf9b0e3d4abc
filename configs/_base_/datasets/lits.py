# LiTS: liver and tumour in CT, the largest spacing first; write it first:
# python tools/prepare_data.py medical FOLDER --layout lits --out data/lits
# the intensities are those of the training cases' foreground: put in what tools/plan.py measures
_base_ = './cases_nnunet.py'
data_root = 'data/lits'
preparation = dict(
    spacing=[1.0, 0.77, 0.77],
    axes=[2, 1, 0],
    channels=[dict(kind='ct', low=-17.0, high=201.0, mean=99.4, std=39.4)],
    crop_nonzero=True,
)
train_dataloader = dict(
    batch_size=2,
    num_workers=8,
    # the authors train on all cases; those of `val` only show that the training goes on
    dataset=dict(
        data_root=data_root, split='all', preparation=preparation, patch_size=[128, 128, 128]
    ),
)
val_dataloader = dict(dataset=dict(data_root=data_root, preparation=preparation))
test_dataloader = val_dataloader
