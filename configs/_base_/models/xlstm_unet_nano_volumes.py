# xLSTM-UNet Bot, small, over volumes: 0.4 M parameters
_base_ = './xlstm_unet_volumes.py'
model = dict(
    patch_size=[32, 16, 32],
    overlap=0.75,
    window_batch=8,
    mirror_axes=[0, 1, 2],
)
