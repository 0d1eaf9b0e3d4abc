# T at several image sizes: ours, the published recipe stays at 640
_base_ = ['./mamba-yolo-t_8xb64-300e_coco.py']
model = dict(
    data_preprocessor=dict(
        batch_augments=[
            dict(type='mamba_dense.SteppedResize', random_size_range=(480, 800), interval=10),
        ],
    ),
)
