"""Whose keys and prefixes a checkpoint may have."""
from collections import OrderedDict

import pytest
import torch
from torch import nn

from mmreact.utils.checkpoint import (CONFIG_HINT, RESET_HINT, CheckpointError,
                                      find_weights, with_batch_counters,
                                      with_head_of)


class Net(nn.Module):

    def __init__(self, classes=3, width=2, depth=1):
        super().__init__()
        self.backbone = nn.Sequential(*[
            layer for _ in range(depth)
            for layer in (nn.Conv2d(width, width, 1), nn.BatchNorm2d(width))
        ])
        self.head = nn.ModuleDict(dict(fc=nn.Linear(width, classes)))


def prefixed(prefix, weights=None):
    weights = weights or Net().state_dict()
    return {prefix + key: value for key, value in weights.items()}


def inner(part, weights=None):
    """With a part of a name within the others, as of a wrapped backbone."""
    weights = weights or Net().state_dict()
    return {
        key.replace('backbone.', f'backbone.{part}.'): value
        for key, value in weights.items()
    }


def nested(*keys):
    result = Net().state_dict()
    for key in reversed(keys):
        result = {key: result, 'epoch': 3}
    return result


ADAM = dict(state={i: dict(exp_avg=torch.zeros(2)) for i in range(9)})
#: Checkpoint -> words of the line about it; none where nothing is said.
READ = [
    (lambda: Net().state_dict(), ()),
    (lambda: nested('state_dict'), ()),
    (lambda: prefixed('module.'), ()),
    (lambda: dict(state_dict=prefixed('module.'), optimizer=ADAM), ()),
    (lambda: prefixed('_orig_mod.'), ()),
    (lambda: prefixed('module._orig_mod.'), ()),
    (lambda: prefixed('_orig_mod.module.'), ()),
    (lambda: inner('_orig_mod'), ()),
    (lambda: inner('_fsdp_wrapped_module._checkpoint_wrapped_module'), ()),
    (lambda: prefixed('model.'), ('at its top', "without 'model.'")),
    (lambda: prefixed('student.'), ("'student.'", )),
    (lambda: prefixed('net.'), ("'net.'", )),
    (lambda: prefixed('model.module.'), ("'model.module.'", )),
    (lambda: prefixed('module.model._orig_mod.'), ("'module.model.'", )),
    (lambda: dict(state_dict=prefixed('model.'), callbacks={}, loops=ADAM),
     ("under 'state_dict'", "without 'model.'")),
    (lambda: dict(state_dict={
        **prefixed('student.'),
        **prefixed('teacher.', Net(width=4).state_dict()),
        'criterion.weight': torch.ones(3)
    }), ("'student.'", '10 other keys are left out: criterion, teacher')),
    (lambda: nested('model'), ("under 'model'", )),
    (lambda: nested('model_state_dict'), ("under 'model_state_dict'", )),
    (lambda: nested('net'), ("under 'net'", )),
    (lambda: nested('ema'), ("under 'ema'", )),
    (lambda: nested('state_dict_ema'), ("'state_dict_ema'", )),
    (lambda: nested('params'), ("'params'", )),
    (lambda: nested('checkpoint', 'model'), ("'checkpoint.model'", )),
    (lambda: nested('state', 'nets', 'student'), ("'state.nets.student'", )),
    (lambda: dict(ema=dict(module=prefixed('module.')), optimizer=ADAM),
     ("'ema.module'", "without 'module.'")),
    (lambda: dict(model=OrderedDict(prefixed('_orig_mod.'))), ("'model'", )),
    (lambda: dict(model=Net().state_dict(), ema=Net(width=4).state_dict()),
     ("'model'", )),
    # MMEngine's averages lie beside what is used.
    (lambda: dict(state_dict=Net().state_dict(), ema_state_dict=dict(
        prefixed('module.'), steps=torch.tensor(1))), ()),
    (lambda: dict(state_dict=Net().state_dict(),
                  state_dict_ema=Net().state_dict()),
     ("under 'state_dict'", "'state_dict_ema' fit, too, and are not used")),
]  # yapf: disable


@pytest.mark.parametrize('make,words', READ)
def test_the_one_reading_that_fits(make, words, capsys):
    torch.manual_seed(0)
    checkpoint = make()
    torch.manual_seed(0)
    expected = Net().state_dict()
    model = Net()
    found = find_weights(model, checkpoint, 'a.pth').weights
    model.load_state_dict(found)
    for key, value in expected.items():
        assert torch.equal(model.state_dict()[key], value)
    line = capsys.readouterr().err
    assert line.count('\n') == (1 if words else 0)
    for word in words:
        assert word in line


def test_the_same_weights_twice_are_one_reading(capsys):
    weights = Net().state_dict()
    found = find_weights(Net(), dict(model=weights, net=dict(weights)), 'a')
    assert found.weights == weights
    assert "under 'model'" in capsys.readouterr().err


@pytest.mark.parametrize('checkpoint,words', [
    (dict(model=Net().state_dict(),
          ema=Net().state_dict()), ["under 'model'", "under 'ema'"]),
    (dict(model=prefixed('module.'), model_ema=Net().state_dict()),
     ["under 'model', without 'module.'", "under 'model_ema'"]),
    (dict(state_dict={
        **prefixed('student.'),
        **prefixed('teacher.')
    }), ["without 'student.'", "without 'teacher.'"]),
    ({
        **prefixed('online.'),
        **prefixed('target.')
    }, ["'online.'", "target"]),
    ({
        str(i): Net().state_dict()
        for i in range(9)
    }, ["9 sets", "under '0'"]),
])
def test_several_readings(checkpoint, words):
    with pytest.raises(CheckpointError) as error:
        find_weights(Net(), checkpoint, 'a.pth')
    message = str(error.value)
    for word in [
            'sets of weights that fit', "torch.save({'state_dict'", *words
    ]:
        assert word in message
    assert message.count('\n') < 10


@pytest.mark.parametrize('checkpoint,words', [
    ({}, ['missing: backbone.0.weight (2, 2, 1, 1)', '9 keys']),
    (dict(epoch=1), ['It holds: epoch.']),
    (dict(model=dict(a=1)), ['missing']),
    (dict(model=prefixed('net.', Net(width=4).state_dict())),
     ["read under 'model', without 'net.'", 'shape: backbone.0.weight is (4']),
    (dict(state_dict=dict(Net().state_dict(), more=torch.ones(2))),
     ['unexpected: more (2,)', '1 keys']),
    (Net(depth=50).state_dict(), ['unexpected: backbone.99.', '343 keys',
                                  'and 337 more (343 unexpected)']),
    (Net(width=3, depth=2).state_dict(),
     ['unexpected: backbone.2.weight', 'shape: head.fc.weight is (3, 3)',
      '(7 unexpected, 7 shape)']),
    ({f'layer{i}': torch.ones(i) for i in range(500)},
     ['509 keys', '(9 missing, 500 unexpected)', 'It holds: layer0', ', ...']),
    (dict(state_dict=prefixed('a.', {
        k: v.to_sparse() if v.ndim == 4 else v
        for k, v in Net().state_dict().items()})),
     ['shape: backbone.0.weight is (), the model has (2, 2, 1, 1)']),
])  # yapf: disable
def test_no_reading_fits(checkpoint, words):
    with pytest.raises(CheckpointError) as error:
        find_weights(Net(), checkpoint, 'a.pth', hint=RESET_HINT)
    message = str(error.value)
    for word in ['a.pth', 'does not fit the model', *words]:
        assert word in message
    assert message.count('\n') < 10 and len(message) < 1500


@pytest.mark.parametrize('prepare', [lambda m, w: w, with_batch_counters])
@pytest.mark.parametrize('hint,words', [
    (RESET_HINT, '--reset-head'),
    (CONFIG_HINT, 'model.head.num_classes=7'),
])
def test_another_number_of_classes(hint, words, prepare):
    for checkpoint in (Net(7).state_dict(),
                       dict(
                           model=prefixed('module.model.',
                                          Net(7).state_dict()))):
        with pytest.raises(CheckpointError) as error:
            find_weights(Net(3), checkpoint, 'a.pth', prepare, hint)
        assert 'It has 7 classes' in str(error.value)
        assert words in str(error.value)


def test_no_classifier_at_all():
    weights = {k: v for k, v in Net().state_dict().items() if 'head' not in k}
    with pytest.raises(CheckpointError, match='no classifier.*--reset-head'):
        find_weights(Net(), weights, 'a.pth', hint=RESET_HINT)
    model = Net()
    found = find_weights(model, weights, 'a.pth', with_head_of).weights
    assert torch.equal(found['head.fc.weight'], model.head.fc.weight)


@pytest.mark.parametrize('wrap', [
    lambda weights: weights,
    lambda weights: dict(model=prefixed('module.', weights)),
    lambda weights: dict(state_dict=prefixed('student.', weights)),
])
def test_the_classifier_starts_anew(wrap):
    source, model = Net(7), Net(3)
    found = find_weights(model, wrap(source.state_dict()), 'a', with_head_of)
    model.load_state_dict(found.weights)
    assert torch.equal(model.backbone[0].weight, source.backbone[0].weight)


def test_a_network_without_a_head():
    """The last linear layer is the classifier, as in torchvision's."""

    def net(classes):
        return nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(1, 2, 1),
                fc1=nn.Linear(2, 2),
                fc=nn.Linear(2, classes)))

    with pytest.raises(CheckpointError, match='7 classes.*--reset-head'):
        find_weights(net(3), net(7).state_dict(), 'a', hint=RESET_HINT)
    find_weights(net(3), net(7).state_dict(), 'a', with_head_of)


def test_dicts_that_hold_each_other():
    """A small file may describe very many paths, or a circle."""
    checkpoint = leaf = dict(x=torch.ones(1))
    for _ in range(40):
        checkpoint = {str(i): checkpoint for i in range(10)}
    leaf['circle'] = checkpoint
    with pytest.raises(CheckpointError, match='does not fit'):
        find_weights(Net(), checkpoint, 'a.pth')
