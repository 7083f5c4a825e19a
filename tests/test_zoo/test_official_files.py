"""Checkpoint files of the authors' code: read, converted, written, refused."""
import hashlib
import pickle
from pathlib import Path

import authors
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmreact.utils.checkpoint import CheckpointError
from mmreact.zoo.converters import (NETWORKS, Conversion, ConversionError,
                                    convert_file, reverse_file)
from mmreact.zoo.converters.networks import build

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
WIDTH = 4


def random_state(arch, stage=2, **kwargs):
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator())
    return authors.random_state(
        arch, images, WIDTH, stage, classes=10, **kwargs)


def save(path, state, prefix='module.', **others):
    """A file as their training writes it."""
    checkpoint = dict(
        epoch=127,
        state_dict={
            f'{prefix}{k}': v
            for k, v in state.items()
        },
        best_top1_acc=torch.tensor(65.9),
        optimizer=dict(state={0: dict(exp_avg=torch.ones(3))}))
    torch.save({**checkpoint, **others}, path)
    return path


def load(path):
    return torch.load(path, weights_only=True)


def assert_same(state, expected):
    assert list(state) != [] and state.keys() == expected.keys()
    for key, value in expected.items():
        assert state[key].dtype == value.dtype, key
        assert torch.equal(state[key], value), key


@pytest.fixture
def state():
    return random_state('react-resnet18')


@pytest.mark.parametrize('prefix', ['module.', ''])
@pytest.mark.parametrize('stage', [1, 2])
@pytest.mark.parametrize('arch', NETWORKS)
def test_there_and_back(tmp_path, arch, stage, prefix):
    if stage not in NETWORKS[arch].configs:
        return
    theirs = random_state(arch, stage)
    source = save(tmp_path / 'a.pth.tar', theirs, prefix)
    tells = stage == 2 and NETWORKS[arch].flat
    found = convert_file(
        source, tmp_path / 'b.pth', stage=None if tells else stage)
    assert (found.arch, found.stage) == (arch, stage)
    assert found.dropped == ['best_top1_acc', 'epoch', 'optimizer']
    assert found.derived == [] and len(found.moved) == len(theirs)
    assert {name for name, _ in found.moved} == set(theirs)
    reverse_file(tmp_path / 'b.pth', tmp_path / 'c.pth.tar')
    back = load(tmp_path / 'c.pth.tar')
    assert_same(back['state_dict'], {
        f'module.{k}': v
        for k, v in theirs.items()
    })
    assert back['epoch'] == 127
    assert back['best_top1_acc'] == pytest.approx(65.9)


@pytest.mark.parametrize('arch,stage', [(arch, stage) for arch in NETWORKS
                                        for stage in NETWORKS[arch].configs])
def test_our_config_takes_it(arch, stage):
    """Names and shapes are those of the config that is named."""
    network = NETWORKS[arch]
    found = Conversion(arch, 'official', (network.width, 3, 1000), stage)
    assert found.config == network.configs[stage]
    model = Config.fromfile(CONFIGS / found.config).model
    init_default_scope('mmpretrain')
    with torch.device('meta'):
        theirs = MODELS.build(model).state_dict()
        ours = build(arch, found.sizes).state_dict()
    assert {
        k: v.shape
        for k, v in ours.items()
    } == {
        k: v.shape
        for k, v in theirs.items()
    }
    for key, value in found.backbone.items():
        default = 'scaled_sign' if key == 'weight_binarizer' else None
        assert model.backbone.get(key, default) == value


def test_meta(tmp_path, state):
    source = save(tmp_path / 'a.pth.tar', state)
    convert_file(source, tmp_path / 'b.pth', stage=2)
    meta = load(tmp_path / 'b.pth')['meta']
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    assert meta == dict(
        mmreact=meta['mmreact'],
        arch='react-resnet18',
        stage=2,
        config=None,  # it is narrower than that one's
        backbone=dict(
            type='ReActResNet',
            depth=18,
            base_channels=WIDTH,
            weight_binarizer='scaled_sign'),
        num_classes=10,
        converted_from=dict(
            layout='official',
            flat=False,
            module=True,
            sha256=sha256,
            epoch=127,
            best_top1_acc=pytest.approx(65.9)))
    first = (tmp_path / 'b.pth').read_bytes()
    convert_file(source, tmp_path / 'c.pth', stage=2)
    assert (tmp_path / 'c.pth').read_bytes() == first


def test_shifts_by_hand(tmp_path):
    theirs = random_state('reactnet-a')
    save(tmp_path / 'a', theirs)
    ours = convert_file(tmp_path / 'a', tmp_path / 'b').state_dict
    block, third = 'feature.3', 'backbone.stages.1.1'  # 1 + 2nd of two
    for their_name, name, sign in [('move11', 'sign1.alpha', -1),
                                   ('move12', 'act1.gamma', -1),
                                   ('move13', 'act1.zeta', 1),
                                   ('move21', 'sign2.alpha', -1),
                                   ('move22', 'act2.gamma', -1),
                                   ('move23', 'act2.zeta', 1)]:
        value = theirs[f'{block}.{their_name}.bias'].flatten()
        assert torch.equal(ours[f'{third}.{name}'], sign * value)
    assert torch.equal(ours[f'{third}.conv1.weight'].flatten(),
                       theirs[f'{block}.binary_3x3.weights'].flatten())


def test_oihw_in_stage_2_comes_back_so(tmp_path):
    """AdamBNN's code keeps ReActNet-A's weights in this form."""
    theirs = random_state('reactnet-a', flat=False)
    save(tmp_path / 'a', theirs)
    with pytest.raises(ConversionError, match='Give --stage 1 .* or --stage'):
        convert_file(tmp_path / 'a', tmp_path / 'b')
    convert_file(tmp_path / 'a', tmp_path / 'b', stage=2)
    reverse_file(tmp_path / 'b', tmp_path / 'c')
    keys = load(tmp_path / 'c')['state_dict'].keys()
    assert keys == {f'module.{k}' for k in theirs}


def test_ones_are_stage_2(tmp_path, state):
    for key, value in state.items():
        if 'binary_conv' in key:
            state[key] = value.sign()
    save(tmp_path / 'a', state)
    found = convert_file(tmp_path / 'a', tmp_path / 'b')
    assert found.ones and found.stage == 2 and not found.zeros


def test_missing_batch_counters_are_zero(tmp_path, state):
    """Files of PyTorch before 0.4.1 have none."""
    counters = [k for k in state if k.endswith('num_batches_tracked')]
    bare = {k: v for k, v in state.items() if k not in counters}
    save(tmp_path / 'a', bare)
    found = convert_file(tmp_path / 'a', tmp_path / 'b', stage=2)
    assert len(found.derived) == len(counters)
    assert all(found.state_dict[k] == 0 for k in found.derived)
    assert {k for k, _ in found.moved} == set(bare)


def test_a_bare_state_dict_and_the_old_file_format(tmp_path, state):
    torch.save(state, tmp_path / 'a', _use_new_zipfile_serialization=False)
    found = convert_file(tmp_path / 'a', tmp_path / 'b', stage=2)
    assert found.dropped == [] and len(found.moved) == len(state)


def test_exact_zeros(tmp_path):
    """They are counted; ours is the authors' result with -1 in their place."""
    theirs = random_state('bireal18')
    key = 'layer2.1.binary_conv.weights'
    for i, zero in ((3, 0.), (11, 0.), (40, -0.)):
        theirs[key][i] = zero
    save(tmp_path / 'a', theirs)
    found = convert_file(tmp_path / 'a', tmp_path / 'b')
    name = 'backbone.stages.1.1.conv.weight'
    assert found.zeros == {name: (3, theirs[key].numel())}

    model = MODELS.build(found.backbone).eval()
    weights = {
        k.removeprefix('backbone.'): v
        for k, v in found.state_dict.items() if k.startswith('backbone.')
    }
    model.load_state_dict(weights)
    block = model.stages[1][1]
    x = torch.randn(1, 8, 6, 6, generator=torch.Generator())
    with torch.no_grad():
        real = theirs[key].view(8, 8, 3, 3)
        scale = real.abs().mean((1, 2, 3), keepdim=True)
        w = authors.Weights(state=theirs, flat=True)
        before = authors.resnet_block(w, x, 'layer2.1', 8, 1, False)
        minus = torch.where(real == 0, -scale, scale * real.sign())
        y = torch.nn.functional.conv2d(x.sign(), minus, padding=1)
        expected = w.bn(y, 'layer2.1.bn1') + x
        torch.testing.assert_close(block(x), expected, rtol=1e-5, atol=1e-5)
        assert (block(x) - before).abs().max() > .1


@pytest.mark.parametrize('stage', [1, 2])
@pytest.mark.parametrize('arch', NETWORKS)
def test_mmcls(tmp_path, arch, stage):
    """The names of the reruns; their config says what the network is."""
    official = random_state(arch, flat=False)
    text = ("model = dict(\n    type='ImageClassifier',\n    backbone=dict(\n"
            f"        type='X',\n        arch='{NETWORKS[arch].mmcls}',\n"
            f'        binary_type=(True, {stage == 2}),\n'
            '        out_indices=(3, )))\nseed = 166\n')
    meta = dict(config=text, mmcls_version='0.11.1', CLASSES=['a', 'b'])
    source = save(
        tmp_path / 'a.pth',
        authors.mmcls_state(arch, official),
        prefix='',
        meta=meta)
    if stage not in NETWORKS[arch].configs:
        with pytest.raises(ConversionError, match='trained in one stage'):
            convert_file(source, tmp_path / 'b')
        return
    found = convert_file(source, tmp_path / 'b')
    assert (found.arch, found.stage, found.layout) == (arch, stage, 'mmcls')
    save(tmp_path / 'c', official)
    other = convert_file(tmp_path / 'c', tmp_path / 'd', arch, stage)
    assert_same(found.state_dict, other.state_dict)
    with pytest.raises(ConversionError, match='is given, but the config'):
        convert_file(source, tmp_path / 'b', stage=3 - stage)


@pytest.mark.parametrize('backbone,message', [
    ("arch='IRNet-18'", "is of 'IRNet-18'"),
    ("arch='BiRealNet-18', stem_act='relu'", "stem_act='relu'"),
    ("arch='BiRealNet-18', binary_type=(False, False)", 'binary_type='),
    ("arch=__import__('os').system('true')", 'has no config'),
    ("arch='BiRealNet-18', **x)", 'has no config'),
    ('(' * 5000, 'has no config'),
])
def test_mmcls_needs_more_than_names(tmp_path, backbone, message):
    official = random_state('bireal18', flat=False)
    weights = authors.mmcls_state('bireal18', official)
    meta = dict(config=f'model = dict(backbone=dict({backbone}))')
    source = save(tmp_path / 'a.pth', weights, prefix='', meta=meta)
    with pytest.raises(ConversionError) as error:
        convert_file(source, tmp_path / 'b')
    assert message in str(error.value)
    if message == 'has no config':
        assert convert_file(source, tmp_path / 'b', 'bireal18').stage == 2


class Evil:

    def __reduce__(self):
        return print, ('it runs', )


def renamed(state, old, new):
    return {k.replace(old, new): v for k, v in state.items()}


#: What is done to the weights, and what the error says.
WRONG = dict(
    missing=(lambda s: s.pop('fc.bias'), 'fc.bias: missing, expected (10,)'),
    unexpected=(lambda s: s.update(extra=torch.ones(2)),
                'extra: found (2,), expected no such key'),
    shape=(lambda s: s.update({'layer2.1.bn1.bias': torch.ones(3)}),
           'layer2.1.bn1.bias: found (3,), expected (8,)'),
    transposed=(lambda s: s.update({'layer1.0.move0.bias': torch.ones(4)}),
                'layer1.0.move0.bias: found (4,), expected (1, 4, 1, 1)'),
    twice=(
        lambda s: s.update(
            {'layer1.0.binary_conv.weights': torch.ones(144, 1)}),
        'layer1.0.binary_conv.weight: found (4, 4, 3, 3), expected no such'),
    half=(lambda s: s.update({'fc.bias': torch.ones(10).half()}),
          'fc.bias is torch.float16 (torch.strided), expected torch.float32'),
    integer=(lambda s: s.update({'fc.bias': torch.ones(10).long()}),
             'fc.bias is torch.int64'),
    counter=(lambda s: s.update({'bn1.num_batches_tracked': torch.tensor(1.)}),
             'bn1.num_batches_tracked is torch.float32'),
    sparse=(lambda s: s.update({'fc.bias': torch.ones(10).to_sparse()}),
            'holds an object of torch._utils._rebuild_sparse_tensor'),
    nan=(lambda s: s['bn1.weight'].__setitem__(1, float('nan')),
         'bn1.weight holds 1 values that are NaN or infinite'),
    infinite=(lambda s: s['fc.weight'][0].fill_(float('inf')),
              'fc.weight holds 32 values'),
    no_tensor=(lambda s: s.update({'fc.bias': 3}),
               "fc.bias: found ('no tensor',), expected (10,)"),
    huge=(lambda s: s.update(
        {'conv1.weight': torch.ones(1).expand(10**9, 10**6, 7, 7)}),
          'which repeat the values of a file'),
)


@pytest.mark.parametrize('case', WRONG)
def test_wrong_weights(tmp_path, state, case):
    change, message = WRONG[case]
    change(state)
    save(tmp_path / 'a', state)
    (tmp_path / 'b').write_text('the old one')
    with pytest.raises(CheckpointError) as error:
        convert_file(tmp_path / 'a', tmp_path / 'b', stage=2)
    assert message in str(error.value)
    assert (tmp_path / 'b').read_text() == 'the old one'
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a', 'b']


def test_another_architecture(tmp_path, state):
    source = save(tmp_path / 'a', state)
    with pytest.raises(ConversionError) as error:
        convert_file(source, tmp_path / 'b', 'reactnet-a', 2)
    text = str(error.value)
    assert 'not the weights of reactnet-a' in text
    assert 'feature.0.conv1.weight: missing, expected (32, 3, 3, 3)' in text
    assert 'and ' in text and len(text.splitlines()) == 11
    with pytest.raises(ConversionError, match='layer1.0.move0.bias: found'):
        convert_file(source, tmp_path / 'b', 'bireal18', 2)
    deeper = {**state, 'layer1.4.move0.bias': torch.ones(1, 4, 1, 1)}
    save(source, deeper)
    with pytest.raises(ConversionError, match='nearest is react-resnet18'):
        convert_file(source, tmp_path / 'b', stage=2)
    torch.save(dict(state_dict=torch.nn.Linear(3, 2).state_dict()), source)
    with pytest.raises(ConversionError, match='of a known network'):
        convert_file(source, tmp_path / 'b')
    assert not (tmp_path / 'b').exists()


def test_files_that_are_not_read(tmp_path, state, capfd):
    (tmp_path / 'pickle').write_bytes(pickle.dumps(Evil(), protocol=2))
    save(tmp_path / 'evil', state, best_top1_acc=Evil())
    whole = save(tmp_path / 'whole', state).read_bytes()
    (tmp_path / 'cut').write_bytes(whole[:len(whole) // 2])
    torch.save(state, tmp_path / 'old', _use_new_zipfile_serialization=False)
    old = (tmp_path / 'old').read_bytes()
    (tmp_path / 'old').write_bytes(old[:len(old) // 2])
    (tmp_path / 'empty').write_bytes(b'')
    (tmp_path / 'page').write_text('<!DOCTYPE html>')
    torch.save([1], tmp_path / 'list')
    save(tmp_path / 'inner', {}, state_dict=[1])
    save(tmp_path / 'none', {})
    messages = dict(
        pickle='a pickle that torch.save did not write',
        evil='an object of builtins.print',
        cut='is truncated',
        old='is damaged',
        empty='is empty',
        page='is a web page',
        list='holds a list, not a dict',
        inner='holds no weights',
        none='holds no weights',
        absent='There is no checkpoint')
    for name, message in messages.items():
        for function in (convert_file, reverse_file):
            with pytest.raises(CheckpointError, match=message):
                function(tmp_path / name, tmp_path / 'b', 'bireal18', 2)
    assert not (tmp_path / 'b').exists()
    assert 'it runs' not in ''.join(capfd.readouterr())


def test_arguments(tmp_path, state):
    source = save(tmp_path / 'a', state)
    before = source.read_bytes()
    with pytest.raises(ConversionError, match='is the source itself'):
        convert_file(source, tmp_path / '.' / 'a', stage=2)
    assert source.read_bytes() == before
    with pytest.raises(ConversionError, match="network 'resnet'. Known netw"):
        convert_file(source, tmp_path / 'b', 'resnet')
    with pytest.raises(ConversionError, match='stage is 1 or 2, got 3'):
        convert_file(source, tmp_path / 'b', stage=3)
    save(source, random_state('bireal18'))
    with pytest.raises(ConversionError, match='trained in one stage'):
        convert_file(source, tmp_path / 'b', stage=1)
    save(source, random_state('reactnet-a'))
    with pytest.raises(ConversionError, match='stage 2 only, but --stage 1'):
        convert_file(source, tmp_path / 'b', stage=1)
    weights = dict(state)
    weights['module.fc.bias'] = weights.pop('fc.bias')
    torch.save(weights, source)
    with pytest.raises(ConversionError, match='some do not: conv1.weight'):
        convert_file(source, tmp_path / 'b')


def trained_here(path, backbone, **meta):
    """A checkpoint as MMEngine writes it."""
    init_default_scope('mmpretrain')
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=backbone,
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=10, in_channels=32)))
    cfg = Config(dict(model=dict(backbone=backbone), a=dict(b=[(1, 2)])))
    meta = dict(dict(cfg=cfg.pretty_text, epoch=3, iter=30), **meta)
    torch.save(dict(meta=meta, state_dict=model.state_dict()), path)
    return model


@pytest.mark.parametrize('binarizer,stage', [('real', 1), ('scaled_sign', 2)])
def test_a_network_trained_here_runs_there(tmp_path, binarizer, stage):
    backbone = dict(
        type='ReActResNet',
        depth=18,
        base_channels=4,
        weight_binarizer=binarizer)
    model = trained_here(tmp_path / 'a', backbone).double().eval()
    found = reverse_file(tmp_path / 'a', tmp_path / 'b')
    assert (found.arch, found.stage) == ('react-resnet18', stage)
    checkpoint = load(tmp_path / 'b')
    assert checkpoint['epoch'] == 2 and checkpoint['best_top1_acc'] == 0
    state = {
        k.removeprefix('module.'): v.double()
        for k, v in checkpoint['state_dict'].items()
    }
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator()).double()
    w = authors.Weights(stage=stage, state=state)
    with torch.no_grad():
        expected, _ = authors.forward('react-resnet18', w, images, 4, 10)
        torch.testing.assert_close(model(images), expected)


def test_what_their_code_has_not(tmp_path):
    backbone = dict(type='ReActResNet', depth=18, base_channels=4)
    for option, value, text in [
        ('small_input', True, 'small_input=True'),
        ('activation_binarizer', 'real', "activation_binarizer='real'"),
        ('weight_binarizer', 'sign', "weight_binarizer='sign'")
    ]:
        trained_here(tmp_path / 'a', {**backbone, option: value})
        with pytest.raises(ConversionError, match=text):
            reverse_file(tmp_path / 'a', tmp_path / 'b')
    with pytest.raises(ConversionError, match="arch='c'"):
        # Its weights have the names and the shapes of A's.
        wide = dict(type='ReActNet', arch='c')
        meta = dict(cfg=Config(dict(model=dict(backbone=wide))).pretty_text)
        torch.save(dict(meta=meta, state_dict=dict(a=1)), tmp_path / 'a')
        reverse_file(tmp_path / 'a', tmp_path / 'b')
    trained_here(tmp_path / 'a', backbone, cfg=None)
    with pytest.raises(ConversionError, match='has our names already'):
        convert_file(tmp_path / 'a', tmp_path / 'b')
    with pytest.raises(ConversionError, match='give --arch and --stage'):
        reverse_file(tmp_path / 'a', tmp_path / 'b')
    reverse_file(tmp_path / 'a', tmp_path / 'b', 'react-resnet18', 2)
    (tmp_path / 'b').unlink()
    with pytest.raises(ConversionError, match='head.fc.bias: missing'):
        torch.save(
            dict(
                meta=load(tmp_path / 'a')['meta'],
                state_dict={
                    k: v
                    for k, v in load(tmp_path / 'a')['state_dict'].items()
                    if k != 'head.fc.bias'
                }), tmp_path / 'c')
        reverse_file(tmp_path / 'c', tmp_path / 'b', 'react-resnet18', 2)
    assert not (tmp_path / 'b').exists()
