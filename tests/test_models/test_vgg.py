"""MMPretrain's VGG through our configs: counts, recipes, use as a teacher."""
from pathlib import Path

import pytest
import torch
from mmcv.cnn import get_model_complexity_info as mmcv_count
from mmengine.analysis import get_model_complexity_info as mmengine_count
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmreact.analysis import count_ops
from mmreact.engine.stages import make_plan
from mmreact.engine.stages.checks import check_teacher, get_num_classes
from mmreact.models import DistilledImageClassifier  # noqa: F401, registers
from mmreact.utils.checkpoint import CheckpointError, with_head_of

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
SHAPE = (3, 224, 224)
#: Convolutions of each width, 64 to 512, between the poolings.
CONVOLUTIONS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
#: Printed by MMPretrain: (depth, BN) -> parameters in M, FLOPs in G.
PRINTED = {
    (11, False): (132.86, 7.63),
    (13, False): (133.05, 11.34),
    (16, False): (138.36, 15.5),
    (19, False): (143.67, 19.67),
    (11, True): (132.87, 7.64),
    (13, True): (133.05, 11.36),
    (16, True): (138.37, 15.53),
    (19, True): (143.68, 19.7),
}

every_vgg = pytest.mark.parametrize('depth,bn', PRINTED)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


def load(depth, bn):
    return Config.fromfile(CONFIGS /
                           f'vgg/vgg{depth}{"bn" * bn}_8xb32_in1k.py')


def count_by_hand(depth, bn):
    """MACs, parameters, elements out of convolutions, ReLU, into pooling."""
    macs = params = pooled = convolved = 0
    channels, size = 3, 224
    for i, number in enumerate(CONVOLUTIONS[depth]):
        width = min(64 * 2**i, 512)
        for _ in range(number):
            macs += 9 * channels * width * size**2
            params += 9 * channels * width + width + 2 * width * bn
            convolved += width * size**2
            channels = width
        pooled += width * size**2
        size //= 2
    linear = [(512 * 7 * 7, 4096), (4096, 4096), (4096, 1000)]
    macs += sum(i * o for i, o in linear)
    params += sum(i * o + o for i, o in linear)
    rectified = convolved + 4096 + 4096
    return macs, params, convolved, rectified, pooled


@every_vgg
def test_counts(depth, bn):
    """From the layer table; and what is printed, with what makes it more."""
    with torch.device('meta'):
        model = MODELS.build(load(depth, bn).model).eval()
    model = model.to_empty(device='cpu')  # 130 million weights take a while
    macs, params, convolved, rectified, pooled = count_by_hand(depth, bn)
    normed = 2 * convolved * bn  # a scale and a shift
    report = count_ops(model, SHAPE)
    assert (report.bops, report.flops, report.params) == (0, macs, params)
    assert report.packed_bytes == 4 * params
    printed_params, printed_flops = PRINTED[depth, bn]
    assert round(params / 1e6, 2) == printed_params
    # MMCV's adds the convolutions' biases, ReLU, pooling, BN: as is printed.
    flops, _ = mmcv_count(
        model, SHAPE, print_per_layer_stat=False, as_strings=False)
    assert flops == macs + convolved + rectified + pooled + normed
    assert round(flops / 1e9, 2) == printed_flops


@pytest.mark.parametrize('depth,bn', [
    pytest.param(depth, bn, marks=() if depth == 11 else pytest.mark.slow)
    for depth, bn in PRINTED
])
def test_mmengine_counts(depth, bn):
    """Convolutions, linear layers and BN: less than what is printed."""
    with torch.device('meta'):
        model = MODELS.build(load(depth, bn).model).eval()
    model.to_empty(device='cpu')  # it runs the model
    macs, params, convolved, _, _ = count_by_hand(depth, bn)
    theirs = mmengine_count(model, SHAPE, show_table=False, show_arch=False)
    assert theirs['flops'] == macs + 2 * convolved * bn
    assert theirs['params'] == params
    assert 0.01 < PRINTED[depth, bn][1] - theirs['flops'] / 1e9 < 0.04


@every_vgg
def test_model_and_recipe_are_mmpretrains(depth, bn):
    ours = load(depth, bn)
    name = f'vgg{depth}{"bn" * bn}_8xb32_in1k.py'
    theirs = Config.fromfile(f'{_mmpretrain_configs()}/vgg/{name}')
    for key in ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg',
                'auto_scale_lr', 'data_preprocessor'):
        assert _plain(ours[key]) == _plain(theirs[key])
    assert ours.optim_wrapper.optimizer.lr == (0.1 if bn else 0.01)
    assert ours.train_dataloader.batch_size == 32
    assert theirs.train_dataloader.batch_size == 32


def _mmpretrain_configs():
    import mmpretrain
    return Path(mmpretrain.__file__).parent / '.mim/configs'


def _plain(value):
    """Without the scope that a config of another package carries."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if k != '_scope_'}
    return value


@pytest.mark.parametrize('model,number', [
    (dict(backbone=dict(num_classes=10), head=dict(type='ClsHead')), 10),
    (dict(backbone=dict(num_classes=-1), head=dict(num_classes=7)), 7),
    (dict(backbone=dict(), head=dict(num_classes=7)), 7),
    (dict(backbone=dict(num_classes=3), head=None), 3),
    (dict(backbone=dict(), head=None), None),
])
def test_number_of_classes(model, number):
    assert get_num_classes(model) == number


def student_run(folder, classes, checkpoint=None):
    """A small student of VGG-16-BN, from our bases, as a run."""
    path = folder / 'student.py'
    path.write_text(f'''
_base_ = [
    {str(CONFIGS / '_base_/models/reactnet_fashion_mnist.py')!r},
    {str(CONFIGS / '_base_/teachers/vgg16bn_in1k.py')!r}]
model = dict(backbone=dict(in_channels=3), head=dict(num_classes={classes}),
             teacher=_base_.teacher)
''')
    run, = make_plan(path, folder / 'work', teacher=checkpoint)
    return run


def test_published_weights_are_the_teachers(tmp_path):
    run = student_run(tmp_path, 1000)
    assert run.teacher.startswith('https://download.openmmlab.com/')
    assert '/vgg16_bn_' in run.teacher


def test_teacher_with_other_classes(tmp_path):
    """Found in the backbone; before anything is downloaded."""
    with pytest.raises(ValueError, match='has 10 classes, its teacher 1000'):
        check_teacher(student_run(tmp_path, 10))


@pytest.mark.slow
def test_teacher(tmp_path):
    """VGG-16-BN with weights from a file teaches a small network."""
    torch.manual_seed(0)
    teacher = MODELS.build(load(16, True).model)
    torch.save(teacher.state_dict(), tmp_path / 'vgg.pth')
    run = student_run(tmp_path, 1000, tmp_path / 'vgg.pth')
    check_teacher(run)
    preprocessor = load(16, True).data_preprocessor
    run.cfg.model.teacher.checkpoint = run.teacher
    model = MODELS.build(dict(run.cfg.model, data_preprocessor=preprocessor))
    images = torch.rand(1, *SHAPE)
    losses = model.loss(images, [DataSample().set_gt_label(0)])
    losses['loss'].backward()
    assert losses['loss'].isfinite()
    expected = teacher.eval()(images, mode='tensor')
    logits, _ = model.teacher.outputs(images, model.data_preprocessor, 1000)
    torch.testing.assert_close(
        logits, expected[-1] if isinstance(expected, tuple) else expected)
    torch.save({'a': torch.zeros(1)}, tmp_path / 'vgg.pth')
    with pytest.raises(CheckpointError, match='does not fit'):
        check_teacher(run)


def test_reset_head_takes_the_last_layer():
    cfg = Config.fromfile(CONFIGS / 'vgg/vgg11_8xb32_in1k.py')
    with torch.device('meta'):
        trained = MODELS.build(cfg.model).state_dict()
        cfg.model.backbone.num_classes = 7
        weights = with_head_of(MODELS.build(cfg.model), trained)
    assert weights.keys() == trained.keys()
    changed = {
        key: tuple(value.shape)
        for key, value in weights.items() if value.shape != trained[key].shape
    }
    assert changed == {
        'backbone.classifier.6.weight': (7, 4096),
        'backbone.classifier.6.bias': (7, )
    }
