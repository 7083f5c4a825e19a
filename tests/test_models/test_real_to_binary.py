"""Real-to-Binary against a plain reference, its layer table and its plan."""
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import fx, nn

from mmreact.analysis import count_ops
from mmreact.engine.stages import Options, check_plan, make_plan, train_plan
from mmreact.layers import (BinaryConv2d, ChannelGate, HalvingPool,
                            LearnedScale, RSign)
from mmreact.models import RealToBinaryNet
from mmreact.models.backbones.real_to_binary import SCALES, RealToBinaryBlock

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/real2binary'
FASHION = CONFIGS / 'real2binary-resnet18-w16_1xb128_fashion-mnist.py'
#: Activations and weights of the three stages.
STAGES = [('tanh', 'real'), ('sign', 'real'), ('sign', 'scaled_sign')]


def randomize(module):
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor.normal_(generator=generator)
            if name.endswith('running_var'):
                tensor.abs_().add_(0.1)
    return module


def bn(x, p, name):
    """Batch normalisation in eval mode, written out."""
    mean, var, weight, bias = (
        p[f'{name}.{key}'].view(-1, 1, 1)
        for key in ('running_mean', 'running_var', 'weight', 'bias'))
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def reference_block(x, p, stride, scale, activations, weights):
    """A block from its formula, with plain torch operations."""
    u = bn(x, p, 'bn')
    a = torch.tanh(u) if activations == 'tanh' else (u > 0).double() * 2 - 1
    w = p['conv.weight']
    if weights == 'scaled_sign':
        w = ((w > 0).double() * 2 - 1) * w.abs().mean((1, 2, 3), keepdim=True)
    y = F.conv2d(a, w, None, stride, 1)
    if scale == 'gate':
        w1, w2 = p['gate.reduce.weight'], p['gate.expand.weight']
        hidden = (u.sum((2, 3)) / u[0, 0].numel()) @ w1[:, :, 0, 0].t()
        z = hidden.clamp(min=0) @ w2[:, :, 0, 0].t()
        y = y / (1 + (-z).exp())[:, :, None, None]
    elif scale == 'learned':
        y = torch.einsum('nchw,c,h,w->nchw', y, p['scale.alpha'],
                         p['scale.beta'], p['scale.gamma'])
    y = torch.where(y > 0, y, p['act.weight'].view(-1, 1, 1) * y)
    if stride == 2:  # pooled, then a real convolution
        pooled = torch.stack(
            [x[:, :, i::2, j::2] for i in range(2) for j in range(2)]).mean(0)
        x = torch.einsum('oc,nchw->nohw', p['shortcut.1.weight'][:, :, 0, 0],
                         pooled)
        x = bn(x, p, 'shortcut.2')
    return y + x


@pytest.mark.parametrize('width,stride', [(8, 1), (16, 2)])
@pytest.mark.parametrize('scale', SCALES)
@pytest.mark.parametrize('activations,weights', STAGES)
def test_block(width, stride, scale, activations, weights):
    block = RealToBinaryBlock(8, width, stride, scale,
                              (6 // stride, 10 // stride), activations,
                              weights)
    randomize(block.double().eval())
    x = torch.randn(2, 8, 6, 10, dtype=torch.float64)
    with torch.no_grad():
        expected = reference_block(x, block.state_dict(), stride, scale,
                                   activations, weights)
        torch.testing.assert_close(block(x), expected, rtol=1e-12, atol=1e-12)


class Classifier(nn.Module):

    def __init__(self, **kwargs):
        super().__init__()
        self.backbone = RealToBinaryNet(**kwargs)
        self.fc = nn.Linear(512, 1000)

    def forward(self, x):
        return self.fc(self.backbone(x)[-1].mean((2, 3)))


def layer_table(blocks):
    """Yield ``(input channels, output channels, size of the output)``."""
    channels = 64
    for i, number in enumerate(blocks):
        for _ in range(number):
            yield channels, 64 * 2**i, 56 // 2**i
            channels = 64 * 2**i


@pytest.mark.parametrize('scale', SCALES)
@pytest.mark.parametrize('depth,blocks', [(18, (4, 4, 4, 4)),
                                          (34, (6, 8, 12, 6))])
def test_counts(depth, blocks, scale):
    """From the layer table at 224x224; the stages before have no BOPs."""
    flops = 112**2 * 64 * 3 * 49 + 512 * 1000
    params = 64 * 3 * 49 + 3 * 64 + 512 * 1000 + 1000  # stem, fc
    bops = weights = gates = scales = 0
    for cin, cout, size in layer_table(blocks):
        bops += size**2 * cin * cout * 9
        weights += cin * cout * 9
        gates += cin * (cin // 8) + (cin // 8) * cout
        scales += cout + size + size
        params += 2 * cin + cout  # BN, PReLU
        if cin != cout:
            flops += size**2 * cin * cout
            params += cin * cout + 2 * cout
    flops += gates if scale == 'gate' else 0
    params += weights + dict(gate=gates, learned=scales, none=0)[scale]
    for activations, kind in STAGES:
        net = Classifier(
            depth=depth,
            scale=scale,
            activation_binarizer=activations,
            weight_binarizer=kind)
        report = count_ops(net, (3, 224, 224))
        real = kind == 'real'
        assert report.bops == (0 if real else bops)
        assert report.flops == flops + (bops if real else 0)
        assert report.params == params
        assert report.one_bit_params == (0 if real else weights)
    if depth == 18:
        assert bops == pytest.approx(1.68e9, rel=0.005)  # as printed
    if depth == 18 and scale == 'gate':
        # larq zoo prints what Keras counts, statistics of BN included.
        running = [v for k, v in net.state_dict().items() if 'running' in k]
        assert params + sum(v.numel() for v in running) == 11_995_624


@pytest.mark.parametrize('scale', SCALES)
def test_stages_hand_over(scale):
    """Names and shapes are those of the last stage; all parameters learn."""
    options = dict(
        base_channels=8, scale=scale, input_size=(70, 96), out_indices=(0, -1))
    state = randomize(RealToBinaryNet(**options)).state_dict()
    for activations, weights in [*STAGES, ('real', 'real')]:
        net = RealToBinaryNet(
            activation_binarizer=activations,
            weight_binarizer=weights,
            **options)
        net.load_state_dict(state, strict=True)
        assert list(net.state_dict()) == list(state)
        first, last = net(torch.randn(2, 3, 70, 96))
        # 70 halves to 35, 18, 9, 5 and 3.
        assert first.shape == (2, 8, 18, 24)
        assert last.shape == (2, 64, 3, 3)
        (first.sum() + last.square().sum()).backward()
        assert all(p.grad is not None for p in net.parameters())


def test_all_stages_are_returned():
    net = RealToBinaryNet(34, base_channels=8, out_indices=range(4)).eval()
    x = torch.randn(1, 3, 64, 64)
    outs = net(x)
    assert [tuple(out.shape[1:]) for out in outs] == [(8, 16, 16), (16, 8, 8),
                                                      (32, 4, 4), (64, 2, 2)]
    for number, stage, out in zip((6, 8, 12, 6), net.stages, outs):
        assert len(stage) == number
    y = net.stem(x)
    for stage, out in zip(net.stages, outs):
        y = stage(y)
        assert torch.equal(y, out)


def test_defaults():
    """A gate per convolution; clipped identity; plain signs."""
    net = RealToBinaryNet(base_channels=8)
    signs = [m for m in net.modules() if isinstance(m, RSign)]
    assert len(signs) == 16
    assert all(s.estimator == 'clip' and s.alpha is None for s in signs)
    assert len([m for m in net.modules() if isinstance(m, ChannelGate)]) == 16
    assert [type(m).__name__ for m in net.stem
            ] == ['Conv2d', 'BatchNorm2d', 'PReLU', 'MaxPool2d']


class Tracer(fx.Tracer):

    def is_leaf_module(self, module, name):
        leaves = (BinaryConv2d, ChannelGate, HalvingPool, LearnedScale, RSign)
        return isinstance(module, leaves) or super().is_leaf_module(
            module, name)


@pytest.mark.parametrize('scale', SCALES)
def test_traced_with_the_layers_as_leaves(scale):
    net = RealToBinaryNet(base_channels=8, scale=scale, input_size=32).eval()
    graph = Tracer().trace(net)
    called = [
        type(net.get_submodule(node.target)) for node in graph.nodes
        if node.op == 'call_module'
    ]
    assert called.count(BinaryConv2d) == called.count(RSign) == 16
    assert called.count(ChannelGate) == (16 if scale == 'gate' else 0)
    assert called.count(LearnedScale) == (16 if scale == 'learned' else 0)
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(fx.GraphModule(net, graph)(x)[0], net(x)[0])


@pytest.mark.parametrize('options,words', [
    (dict(depth=50), 'Unknown depth 50. Known: 18, 34'),
    (dict(scale='alpha'), "Unknown scale 'alpha'. Known: 'gate', 'learned'"),
    (dict(base_channels=12), '8 and 12 channels'),
    (dict(activation_binarizer='relu'), 'relu'),
    (dict(weight_binarizer='ternary'), 'ternary'),
    (dict(estimator='step'), 'step'),
    (dict(out_indices=(4, )), 'out_indices'),
    (dict(frozen_stages=5), 'frozen_stages'),
])
def test_bad_options(options, words):
    with pytest.raises(ValueError, match=words):
        RealToBinaryNet(**options)


@pytest.mark.parametrize('scale,size,words', [
    ('gate', (31, 64), 'RealToBinaryNet divides.*by 32'),
    ('learned', (64, 64), r'8 rows and 8 columns.*got.* 16x16.*input_size'),
])
def test_bad_images(scale, size, words):
    net = RealToBinaryNet(base_channels=8, scale=scale, input_size=32)
    with pytest.raises(ValueError, match=words):
        net(torch.randn(1, 3, *size))


# binarizers, lr, weight decay, losses -> a stage of the ImageNet configs
RECIPE = {
    'real2binary-resnet18-stage1':
    ('tanh', 'real', 1e-3, 1e-5, dict(kd=3, at=30)),
    'real2binary-resnet18-stage2':
    ('sign', 'real', 1e-3, 1e-5, dict(kd=3, at=30)),
    'real2binary-resnet18': ('sign', 'scaled_sign', 2e-4, 0, dict(kd=0.8)),
    'real2binary-baseline-resnet18-stage1': ('sign', 'real', 1e-3, 1e-5, None),
    'real2binary-baseline-resnet18': ('sign', 'scaled_sign', 2e-4, 0, None),
}


@pytest.mark.parametrize('name', RECIPE)
def test_recipe(name):
    init_default_scope('mmpretrain')
    activations, weights, lr, decay, losses = RECIPE[name]
    cfg = Config.fromfile(CONFIGS / f'{name}_8xb32_in1k.py')
    assert cfg.optim_wrapper.optimizer == dict(
        type='Adam', lr=lr, weight_decay=decay)
    steps = cfg.param_scheduler[1]
    assert steps.milestones == [40, 60, 70] and cfg.train_cfg.max_epochs == 75
    assert steps.gamma == (0.1 if 'baseline' in name else 0.3)
    model = MODELS.build(cfg.model)
    blocks = [m for m in model.modules() if isinstance(m, RealToBinaryBlock)]
    assert len(blocks) == 16
    assert all(b.sign.binarizer == activations for b in blocks)
    assert all(b.conv.weight_binarizer == weights for b in blocks)
    if losses is None:
        assert type(model).__name__ == 'ImageClassifier'
        assert isinstance(blocks[0].scale, LearnedScale)
        return
    assert model.head.loss_module.loss_weight == 1
    assert model.head.distillation.loss_weight == losses['kd']
    assert model.head.distillation.temperature == 1
    ours, theirs = model.feature_layers, model.teacher.feature_layers
    if 'at' not in losses:
        assert model.head.attention is None and not ours and not theirs
        return
    assert model.head.attention.loss_weight == losses['at']
    assert len(ours) == len(theirs) == 8


def test_plan(tmp_path):
    """Each stage starts from the one before and is taught by it."""
    real, stage1, stage2, last = make_plan(FASHION, tmp_path)
    assert real.name.startswith('resnet18-w16') and real.teacher is None
    assert stage1.teacher is real and stage1.start_from is None
    assert stage2.teacher is stage2.start_from is stage1
    assert last.teacher is last.start_from is stage2
    stage1, stage2, last = make_plan(
        CONFIGS / 'real2binary-resnet18_8xb32_in1k.py', tmp_path)
    assert 'resnet18_8xb32_in1k_20210831-fbbb1da6' in stage1.teacher
    assert stage2.teacher is stage2.start_from is stage1
    assert last.teacher is last.start_from is stage2
    # One's own real teacher takes the place of the real teacher only.
    stage1, stage2, last = make_plan(FASHION, tmp_path, teacher='t.pth')
    assert stage1.teacher == str(Path('t.pth').resolve())
    assert stage2.teacher is stage1 and last.teacher is stage2


@pytest.mark.parametrize('option,words', [
    ({
        'model.teacher.feature_layers': ['backbone.layer1.0'] * 7
    }, 'The student has 8 feature_layers, its teacher 7'),
    ({
        'model.teacher.feature_layers': ['backbone.layer5'] * 8
    }, "no layer 'backbone.layer5'. Those of backbone: conv1, "),
    ({
        'model.feature_layers': ['neck.pool'] * 8
    },
     "DistilledImageClassifier has no layer 'neck.pool'. Those of neck: gap"),
])
def test_wrong_layers_are_found_before_training(tmp_path, option, words):
    init_default_scope('mmpretrain')
    first = CONFIGS / 'real2binary-resnet18-w16-stage1_1xb128_fashion-mnist.py'
    plan = make_plan(first, tmp_path)
    for run in plan:
        run.cfg.train_dataloader.dataset.data_root = str(tmp_path)
        run.cfg.val_dataloader.dataset.data_root = str(tmp_path)
    check_plan(plan)
    plan[-1].cfg.merge_from_dict(option)
    with pytest.raises(ValueError, match=words):
        check_plan(plan)


@pytest.mark.slow
def test_the_stages_start_from_one_another(tiny_data, tmp_path):
    """With learning rate 0 the later stages are the first, weight by weight.
    """
    options = Options.from_flags(
        cfg_options={
            'train_cfg.max_epochs':
            1,
            'param_scheduler.end':
            1,
            'train_dataloader.num_workers':
            0,
            'train_dataloader.persistent_workers':
            False,
            'default_hooks.logger.interval':
            1,
            'log_level':
            'WARNING',
            f'{FASHION.stem}:optim_wrapper.optimizer.lr':
            0.,
            f'{FASHION.stem.replace("_", "-stage2_", 1)}:'
            'optim_wrapper.optimizer.lr':
            0.,
        },
        seed=0,
        data_root=str(tiny_data))
    plan = make_plan(FASHION, tmp_path, options)
    train_plan(plan)
    states, losses = [], []
    for run in plan[1:]:
        states.append(
            torch.load(run.final_checkpoint, weights_only=True)['state_dict'])
        log, = run.work_dir.glob('*/vis_data/scalars.json')
        row = json.loads(log.read_text().splitlines()[0])
        losses.append({key for key in row if key.startswith('loss_')})
    fresh = MODELS.build(plan[1].cfg.model).state_dict()
    for key, value in states[0].items():
        if 'running_' in key or 'num_batches' in key:
            continue  # BN statistics move although the learning rate is 0
        assert torch.equal(value, states[1][key]), key
        assert torch.equal(value, states[2][key]), key
        assert not torch.equal(value, fresh[key]), key
    assert losses == [{'loss_cls', 'loss_distillation', 'loss_attention'}
                      ] * 2 + [{'loss_cls', 'loss_distillation'}]
