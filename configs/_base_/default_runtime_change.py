_base_ = './default_runtime.py'
default_scope = 'mamba_dense'
visualizer = dict(_delete_=True, type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
tta_model = None
