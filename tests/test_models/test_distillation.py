"""Learning from labels, a teacher's logits and its feature maps."""
import copy

import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import OptimWrapper
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

from mmreact.functional import attention_transfer_loss, distillation_loss
from mmreact.utils.recording import find_layers, record_outputs

STUDENT_LAYERS = [f'backbone.stages.{i}' for i in range(4)]
TEACHER_LAYERS = [f'backbone.layer{i}' for i in range(1, 5)]
HEAD = dict(
    type='DistillationHead',
    num_classes=5,
    in_channels=64,
    distillation=dict(type='DistillationLoss', temperature=2., loss_weight=3.),
    attention=dict(type='AttentionTransferLoss', loss_weight=30.))


def real(**kwargs):
    """A real ResNet-18 with half the student's channels."""
    return dict(
        type='ImageClassifier',
        backbone=dict(
            type='ResNet', depth=18, stem_channels=4, base_channels=4),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=5, in_channels=32),
        **kwargs)


def distilled(teacher, head=HEAD, layers=STUDENT_LAYERS, **kwargs):
    return dict(
        type='DistilledImageClassifier',
        backbone=dict(type='RealToBinaryNet', base_channels=8, **kwargs),
        neck=dict(type='GlobalAveragePooling'),
        head=head,
        feature_layers=layers,
        teacher=teacher)


@pytest.fixture
def save(tmp_path):
    """Save the weights of a new model and return the file."""

    def save(model, name='teacher.pth'):
        torch.manual_seed(1)
        torch.save(MODELS.build(model).state_dict(), tmp_path / name)
        return str(tmp_path / name)

    return save


@pytest.fixture
def teacher(save):
    return dict(
        model=real(), checkpoint=save(real()), feature_layers=TEACHER_LAYERS)


def build(model):
    torch.manual_seed(2)
    return MODELS.build(model)


def batch(size=32, n=3):
    torch.manual_seed(3)
    samples = [DataSample().set_gt_label(i) for i in range(n)]
    return dict(inputs=torch.randn(n, 3, size, size), data_samples=samples)


def hooks(model):
    return [h for m in model.modules() for h in m._forward_hooks]


def test_losses_are_the_formulas(teacher):
    """Each from outputs that the two networks give when run alone."""
    model = build(distilled(teacher)).double()
    data = batch()
    x = data['inputs'] = data['inputs'].double()
    losses = model(**data, mode='loss')
    judge = MODELS.build(real())
    judge.load_state_dict(torch.load(teacher['checkpoint']))
    judge.double().eval()
    theirs = [x]
    for name in ('conv1', 'bn1', 'relu', 'maxpool'):
        theirs[0] = getattr(judge.backbone, name)(theirs[0])
    for i in range(1, 5):
        theirs.append(getattr(judge.backbone, f'layer{i}')(theirs[-1]))
    model.backbone.out_indices = range(4)  # in training mode as above
    ours = model.extract_feat(x, stage='backbone')
    logits = model.head.fc(ours[-1].mean((2, 3)))
    expected = dict(
        loss_cls=nn.functional.cross_entropy(logits, torch.arange(3)),
        loss_distillation=3 * distillation_loss(logits, judge(x), 2.),
        loss_attention=30 * attention_transfer_loss(ours, theirs[1:]))
    assert list(losses) == list(expected)
    for key, value in expected.items():
        assert losses[key] > 0
        torch.testing.assert_close(losses[key], value)
    total, log = model.parse_losses(losses)
    torch.testing.assert_close(total, sum(expected.values()))
    assert log['loss'] is total


def test_accuracies_and_soft_labels(teacher):
    head = dict(HEAD, cal_acc=True)
    losses = build(distilled(teacher, head))(**batch(), mode='loss')
    assert 'accuracy_top-1' in losses and len(losses) == 4
    data = batch()
    for sample in data['data_samples']:
        sample.set_gt_score(torch.full((5, ), 0.2))
    losses = build(distilled(teacher))(**data, mode='loss')
    assert losses['loss_cls'] > 0


def test_gradients_reach_the_student_only(teacher):
    model = build(distilled(teacher))
    losses = model(**batch(), mode='loss')
    losses['loss_attention'].backward()
    grads = {k: p.grad for k, p in model.named_parameters()}
    for key, grad in grads.items():
        # Maps are compared before pooling and classifier.
        assert (grad is None) == key.startswith('head.'), key
    assert grads['backbone.stem.0.weight'].abs().max() > 0
    frozen = model.teacher._module
    assert not any(m.training for m in frozen.modules())
    assert all(p.grad is None and not p.requires_grad
               for p in frozen.parameters())
    _, feats = model.teacher.outputs(batch()['inputs'],
                                     model.data_preprocessor, 5)
    assert len(feats) == 4
    assert not any(feat.requires_grad for feat in feats)


def test_nothing_is_kept_but_in_training(teacher, monkeypatch):
    """No hook outside of loss, no teacher at test time."""
    model = build(distilled(teacher)).eval()
    kinds = []
    monkeypatch.setattr(
        'mmreact.models.classifiers.distilled.record_outputs',
        lambda *args: kinds.append(args) or record_outputs(*args))
    data = batch()
    model(**data, mode='tensor')
    assert len(model(**data, mode='predict')) == 3
    assert not kinds and not model.teacher.is_built and not hooks(model)
    model(**data, mode='loss')
    assert len(kinds) == 1 and model.teacher.is_built
    assert not hooks(model) and not hooks(model.teacher._module)
    assert not any('teacher' in key for key in model.state_dict())


def test_copies_share_the_teacher(teacher):
    model = build(distilled(teacher))
    ema = ExponentialMovingAverage(model)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    data = batch()
    data['inputs'] = list(data['inputs'])
    model.train_step(data, wrapper)
    other = copy.deepcopy(model)
    assert other.teacher is model.teacher is ema.module.teacher
    # A copy looks into its own layers.
    for p in other.backbone.parameters():
        p.data.zero_()
    ours, theirs = (
        net(**batch(), mode='loss')['loss_attention']
        for net in (model, other))
    assert ours.isfinite() and theirs.isfinite() and ours != theirs


def test_a_student_teaches_the_next_stage(save, teacher):
    """A teacher's own teacher and attention play no part."""
    first = distilled(
        dict(teacher, checkpoint='gone.pth'),
        activation_binarizer='tanh',
        weight_binarizer='real')
    second = build(
        distilled(
            dict(
                model=first,
                checkpoint=save(first, 'first.pth'),
                feature_layers=STUDENT_LAYERS)))
    losses = second(**batch(), mode='loss')
    assert all(v.isfinite() for v in losses.values())
    assert not second.teacher._module.teacher.is_built
    # With its teacher's weights in its teacher's network nothing differs.
    same = build(
        distilled(
            dict(
                model=first,
                checkpoint=save(first, 'first.pth'),
                feature_layers=STUDENT_LAYERS),
            activation_binarizer='tanh',
            weight_binarizer='real')).eval()
    same.load_state_dict(torch.load(second.teacher.checkpoint))
    losses = same(**batch(), mode='loss')
    assert losses['loss_attention'] == 0
    assert losses['loss_distillation'].abs() < 1e-6 < losses['loss_cls']


def test_without_attention(save):
    """The last stage: no layers are named, none are looked into."""
    model = build(
        distilled(
            dict(model=real(), checkpoint=save(real())),
            dict(HEAD, attention=None), ()))
    assert list(model(**batch(),
                      mode='loss')) == ['loss_cls', 'loss_distillation']


@pytest.mark.parametrize('change,words', [
    (dict(layers=STUDENT_LAYERS[:3]), 'student has 3 .*its teacher 4'),
    (dict(layers=()), 'student has 0 .*its teacher 4'),
    (dict(layers=['backbone.stages.4', *STUDENT_LAYERS[:3]]),
     r"no layer 'backbone.stages.4'. Those of backbone.stages: 0, 1, 2, 3"),
    (dict(layers=['body', *STUDENT_LAYERS[:3]]),
     "no layer 'body'. Its layers: .*backbone, neck, head"),
])
def test_wrong_layers_fail_at_construction(teacher, change, words):
    with pytest.raises(ValueError, match=words):
        build(distilled(teacher, **change))


@pytest.mark.parametrize('layers,words', [
    (['backbone.layer1.2', *TEACHER_LAYERS[:3]
      ], "ImageClassifier has no layer 'backbone.layer1.2'.*layer1: 0, 1"),
    (TEACHER_LAYERS[::-1], r'pair 0 .*\(3, 8, 8, 8\).*\(3, 32, 1, 1\)'),
    (['backbone', *TEACHER_LAYERS[:3]], 'backbone was to .* gave tuple'),
    (['head.fc', *TEACHER_LAYERS[:3]], r'pair 0 has.*\(3, 5\)'),
    (['head.loss_module', *TEACHER_LAYERS[:3]], 'loss_module .* NoneType'),
])
def test_wrong_layers_of_the_teacher(teacher, layers, words):
    model = build(distilled(dict(teacher, feature_layers=layers)))
    with pytest.raises(ValueError, match=words):
        model(**batch(), mode='loss')
    assert not hooks(model) and not hooks(model.teacher._module)


def test_head_without_what_it_needs(save):
    model = build(
        distilled(dict(model=real(), checkpoint=save(real())), layers=()))
    with pytest.raises(ValueError, match='model.teacher.feature_layers'):
        model(**batch(), mode='loss')
    with pytest.raises(ValueError, match='DistilledImageClassifier'):
        model.head.loss((torch.zeros(3, 64), ), batch()['data_samples'])
    for kind, words in (('DistillationLoss', 'above 0'),
                        ('AttentionTransferLoss', 'max, l2')):
        option = dict(temperature=0) if 'Dist' in kind else dict(norm='l1')
        with pytest.raises(ValueError, match=words):
            loss = MODELS.build(dict(type=kind, **option))
            loss(torch.zeros(1, 2), torch.zeros(1, 2))


def test_recording_is_in_the_order_of_the_names():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4))
    with record_outputs(net, ['2', '0']) as outputs:
        y = net(torch.ones(1, 2))
    assert outputs[0] is y and outputs[1].shape == (1, 3)
    assert find_layers(net, ['1', '']) == [net[1], net]
    with pytest.raises(RuntimeError), record_outputs(net, ['0']):
        net(torch.ones(1, 5))
    assert not hooks(net)
