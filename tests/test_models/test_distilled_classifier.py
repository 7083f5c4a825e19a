"""The frozen teacher: built late, never trained, never saved, fed its own."""
import copy
import os

import numpy as np
import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import OptimWrapper
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

from mmreact.functional import distributional_loss
from mmreact.models import FrozenTeacher
from mmreact.utils.checkpoint import CheckpointError

IMAGENET = dict(
    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
OTHER = dict(mean=[100., 120., 140.], std=[50., 60., 70.], to_rgb=False)


def classifier(num_classes=5, in_channels=3, width=4, **kwargs):
    """A teacher without signs, so that rounding cannot change it much."""
    return dict(
        type='ImageClassifier',
        backbone=dict(
            type='ResNet',
            depth=18,
            in_channels=in_channels,
            stem_channels=width,
            base_channels=width),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead',
            num_classes=num_classes,
            in_channels=8 * width),
        **kwargs)


@pytest.fixture
def save(tmp_path):
    """Save the weights of a new model and return the file."""

    def save(model, name='teacher.pth'):
        torch.manual_seed(1)
        net = MODELS.build(model)
        for buffer_name, buffer in net.named_buffers():
            if 'running' in buffer_name:
                buffer.uniform_(0.5, 2)
        torch.save(dict(state_dict=net.state_dict()), tmp_path / name)
        return str(tmp_path / name)

    return save


def student(teacher, preprocessor=IMAGENET, in_channels=3):
    if isinstance(teacher, str):
        teacher = dict(model=classifier(), checkpoint=teacher)
    torch.manual_seed(2)
    return MODELS.build(
        dict(
            type='DistilledImageClassifier',
            backbone=dict(
                type='ReActNet',
                arch=[(8, 2)],
                in_channels=in_channels,
                stem_channels=4),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(
                type='DistributionalLossHead', num_classes=5, in_channels=8),
            teacher=teacher,
            data_preprocessor=dict(preprocessor or {})))


def raw_batch(channels=3, n=4, seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (n, channels, 8, 8))
    samples = [DataSample().set_gt_label(i % 5) for i in range(n)]
    return dict(
        inputs=torch.from_numpy(images.astype(np.uint8)), data_samples=samples)


def train_step(model, wrapper=None, seed=0):
    wrapper = wrapper or OptimWrapper(
        torch.optim.SGD(model.parameters(), lr=0.1))
    return model.train_step(raw_batch(seed=seed), wrapper)


def snapshot(module):
    return {k: v.clone() for k, v in module.state_dict().items()}


def test_built_on_first_loss_only(save):
    model = student(save(classifier()))
    batch = model.data_preprocessor(raw_batch())
    model.eval()
    for mode in ('tensor', 'predict'):
        model(**batch, mode=mode)
        assert not model.teacher.is_built
    model(**batch, mode='loss')
    assert model.teacher.is_built
    built = model.teacher._module
    model(**batch, mode='loss')
    assert model.teacher._module is built


def test_belongs_to_no_one(save):
    model = student(save(classifier()))
    before = list(model.state_dict())
    ema = ExponentialMovingAverage(model)
    train_step(model)
    teacher = model.teacher._module
    assert list(model.state_dict()) == before
    assert not any('teacher' in name for name, _ in model.named_modules())
    owned = {id(p) for p in teacher.parameters()}
    assert len(owned) > 5
    later = [ExponentialMovingAverage(model), ema, copy.deepcopy(model), model]
    for other in later:
        assert not owned & {id(p) for p in other.parameters()}
        assert not any('teacher' in key for key in other.state_dict())
    assert copy.deepcopy(model).teacher._module is teacher
    assert ema.module.teacher._module is teacher  # copied before it was built


def test_never_changes(save):
    model = student(save(classifier()))
    train_step(model)
    teacher, student_before = model.teacher._module, snapshot(model)
    before = snapshot(teacher)
    saved = torch.load(model.teacher.checkpoint, weights_only=True)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    for step in range(3):
        model.train()
        train_step(model, wrapper, seed=step)
        assert not any(m.training for m in teacher.modules())
    after = teacher.state_dict()
    assert any('running' in key for key in after)
    for key, value in after.items():
        assert torch.equal(value, before[key])
        assert torch.equal(value, saved['state_dict'][key])
    for parameter in teacher.parameters():
        assert parameter.grad is None and not parameter.requires_grad
    changed = model.head.fc.weight
    assert not torch.equal(changed, student_before['head.fc.weight'])


def alone(path, in_channels=3, preprocessor=None):
    """The teacher as one who tests it would run it, in float64."""
    net = MODELS.build(
        classifier(
            in_channels=in_channels,
            data_preprocessor=dict(preprocessor or {})))
    net.load_state_dict(torch.load(path, weights_only=True)['state_dict'])
    return net.eval().double()


def test_loss_is_the_formula(save):
    path = save(classifier())
    model = student(path).double().eval()
    batch = model.data_preprocessor(raw_batch())
    batch['inputs'] = batch['inputs'].double()
    expected = distributional_loss(
        model(**batch, mode='tensor'),
        alone(path)(batch['inputs']))
    losses = model(**batch, mode='loss')
    assert list(losses) == ['loss']
    torch.testing.assert_close(losses['loss'], expected)
    for sample in batch['data_samples']:
        sample.set_gt_label(0)  # labels play no part
    assert torch.equal(model(**batch, mode='loss')['loss'], losses['loss'])


GREY = dict(mean=[72.94], std=[90.02])
NORMALISATIONS = [
    # channels, the student's, the teacher's (None: the student's)
    (3, IMAGENET, IMAGENET),
    (3, IMAGENET, None),
    (3, OTHER, None),
    (3, IMAGENET, OTHER),
    (3, OTHER, IMAGENET),
    (3, dict(IMAGENET, to_rgb=False), IMAGENET),
    (3, dict(OTHER, to_rgb=True), OTHER),
    (3, None, IMAGENET),
    (3, None, OTHER),
    (3, dict(to_rgb=True), OTHER),
    (3, IMAGENET, dict(to_rgb=True)),
    (3, IMAGENET, {}),
    (1, GREY, dict(mean=[10.], std=[3.])),
    (1, None, GREY),
    (1, GREY, None),
]


@pytest.mark.parametrize('given', ['teacher', 'model', 'config'])
@pytest.mark.parametrize('channels,ours,theirs', NORMALISATIONS)
def test_sees_images_as_it_was_trained(save, tmp_path, channels, ours, theirs,
                                       given):
    net = classifier(in_channels=channels)
    path = save(net)
    if given == 'teacher':
        teacher = dict(model=net, data_preprocessor=theirs)
    elif given == 'model':  # within the model, as in a config of a Runner
        teacher = dict(model=dict(net, data_preprocessor=copy.copy(theirs)))
    else:
        (tmp_path / 'teacher.py'
         ).write_text(f'model = {net}\ndata_preprocessor = {theirs}\n')
        teacher = dict(config=str(tmp_path / 'teacher.py'))
    model = student(dict(teacher, checkpoint=path), ours, channels).double()
    raw = raw_batch(channels)
    judge = alone(path, channels, ours if theirs is None else theirs)
    expected = judge(judge.data_preprocessor(raw)['inputs'].double())
    x = model.data_preprocessor(raw)['inputs'].double()
    logits, _ = model.teacher.outputs(x, model.data_preprocessor, 5)
    # The means and stds of both sides are float32.
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
def test_follows_the_dtype(save, dtype):
    model = student(save(classifier()))
    for kind in (torch.float32, dtype):
        model.to(kind)
        x = torch.randn(2, 3, 8, 8, dtype=kind, requires_grad=True)
        logits, _ = model.teacher.outputs(x, model.data_preprocessor, 5)
        assert logits.dtype == kind and not logits.requires_grad


class Evil:
    """Unpickled, it would make a directory."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path), )


def bad_checkpoint(kind, save, path):
    if kind == 'truncated':
        save(classifier(), path.name)
        path.write_bytes(path.read_bytes()[:-500])
    elif kind == 'evil':
        torch.save(dict(state_dict=Evil(path.parent / 'hacked')), path)
    elif kind == 'wrong':
        save(classifier(width=8), path.name)
    elif kind == 'wrapped':
        torch.save(dict(epoch=3, model=nn.Linear(1, 1).state_dict()), path)
    elif kind == 'list':
        torch.save([1, 2], path)
    elif kind != 'missing':
        path.write_bytes(dict(empty=b'', garbage=b'garbage' * 99)[kind])


@pytest.mark.parametrize('kind,words', [
    ('missing', ['no checkpoint']),
    ('empty', ['truncated', '(0 bytes)']),
    ('truncated', ['truncated']),
    ('garbage', ["text that begins with 'garbagegarbage"]),
    ('evil', ['posix.mkdir', 'Only tensors and plain values are read']),
    ('list', ['list', 'not a dict']),
    ('wrapped', ['holds: epoch, model', 'missing: head.fc.bias']),
    ('wrong', [
        'shape: backbone.conv1.weight is (8, 3, 7, 7), the model has (4',
        'shape: head.fc.weight is (5, 64), the model has (5, 32)',
        'It holds: state_dict'
    ]),
])
def test_bad_checkpoints(save, tmp_path, kind, words):
    path = tmp_path / 'bad.pth'
    bad_checkpoint(kind, save, path)
    model = student(str(path))
    with pytest.raises(CheckpointError) as error:
        train_step(model)
    for word in ['bad.pth', *words]:
        assert word in str(error.value)
    assert not (tmp_path / 'hacked').exists()
    assert not model.teacher.is_built


@pytest.mark.parametrize('teacher,error,words', [
    (None, ValueError, ['model.teacher', 'configs/_base_/teachers']),
    (dict(model=classifier()), ValueError, ['no weights', 'checkpoint']),
    ('six classes', ValueError, ['6 classes', '5']),
])
def test_cannot_train(save, teacher, error, words):
    if teacher == 'six classes':
        net = classifier(6)
        teacher = dict(model=net, checkpoint=save(net))
    with pytest.raises(error) as info:
        train_step(student(teacher))
    for word in words:
        assert word in str(info.value)


@pytest.mark.parametrize('kwargs', [{}, dict(model={}, config='a.py')])
def test_model_or_config(kwargs):
    with pytest.raises(ValueError, match='either `model`.*or `config`'):
        FrozenTeacher(**kwargs)


def test_prediction_needs_no_teacher():
    for teacher in (None, dict(model=classifier(), checkpoint='missing.pth')):
        model = student(teacher).eval()
        samples = model.test_step(raw_batch())
        assert all(s.pred_score.shape == (5, ) for s in samples)


def test_head_without_a_teacher():
    head = student(None).head
    with pytest.raises(ValueError, match='DistilledImageClassifier'):
        head.loss((torch.zeros(1, 8), ), raw_batch(n=1)['data_samples'])
