# A folder of one's own images: data/custom/{train,val}/<class name>/<image>.
# Classes are the folder names; set num_classes to their number.
_base_ = './imagenet_bs32.py'

data_preprocessor = dict(num_classes=10)
_folder = dict(_delete_=True, type='CustomDataset', data_root='data/custom')
train_dataloader = dict(
    dataset=dict(
        **_folder, data_prefix='train', pipeline=_base_.train_pipeline))
val_dataloader = dict(
    dataset=dict(**_folder, data_prefix='val', pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
