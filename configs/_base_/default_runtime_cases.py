_base_ = './default_runtime_change.py'
