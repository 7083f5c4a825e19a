"""Binarized foreign networks against the layers they were made of."""
import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torch.nn.utils import parametrizations

import mmreact
from mmreact.layers import BinaryConv2d, BinaryLinear, RSign, SignedLayer


def small():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1, groups=2),
        nn.Conv2d(4, 4, 1, groups=4), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 6), nn.Linear(6, 2))


def names(layers):
    return [layer.name for layer in layers]


# options -> names of the layers of small() that become 1-bit
CHOICES = [
    ({}, ['2', '6']),
    (dict(depthwise=True), ['2', '3', '6']),
    (dict(skip_first=False, skip_last=False), ['0', '2', '6', '7']),
    (dict(include=[nn.Conv2d]), ['2']),
    (dict(include=['2', '7'], skip_last=False), ['2', '7']),
    (dict(exclude=['2']), ['6']),
    (dict(exclude=[nn.Linear]), ['2']),
    (dict(include=['*'], exclude=[nn.Conv2d]), ['6']),
]


@pytest.mark.parametrize('options,expected', CHOICES)
def test_which_layers(options, expected):
    net = small()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    model, report = mmreact.binarize(net, **options)
    assert names(report.binarized) == expected
    kept = [n for n in ('0', '2', '3', '6', '7') if n not in expected]
    assert names(report.kept) == kept
    assert all(layer.reason for layer in report.kept)
    for name, module in model.named_children():
        assert isinstance(module, nn.Sequential) == (name in expected)
    # The given model is as it was, and nothing is shared with it.
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert not ({id(p)
                 for p in net.parameters()}
                & {id(p)
                   for p in model.parameters()})


def test_report():
    _, report = mmreact.binarize(small())
    reasons = {layer.name: layer.reason for layer in report.layers}
    assert reasons == {
        '0': 'the first layer',
        '2': '',
        '3': 'depthwise',
        '6': '',
        '7': 'the last layer'
    }
    assert [layer.weights for layer in report.layers] == [108, 72, 4, 24, 12]
    text = str(report)
    assert 'real: depthwise' in text
    assert text.endswith('2 of 5 layers and 96 of 220 weights became 1-bit.')


def test_layers_keep_their_settings():
    """A convolution and a linear layer against torch on +-1 data."""
    net = small().double()
    net[2].requires_grad_(False)
    model, _ = mmreact.binarize(
        net.eval(), weight_binarizer='sign', estimator='clip')
    x = torch.randn(2, 4, 6, 7, dtype=torch.float64)
    x[0, 0] = 0
    signs = torch.where(x > 0, 1., -1.).double()
    weight = torch.where(net[2].weight > 0, 1., -1.).double()
    expected = F.conv2d(signs, weight, net[2].bias, 2, 1, groups=2)
    torch.testing.assert_close(model[2](x), expected)
    assert not any(p.requires_grad for p in model[2].parameters())
    assert not any(m.training for m in model.modules())
    sign, conv = model[2]
    assert type(sign) is RSign and sign.estimator == 'clip'
    assert type(conv) is BinaryConv2d and sign.alpha.dtype == torch.float64
    # Linear layers get their thresholds along the last dimension.
    sequence = torch.randn(2, 5, 4, dtype=torch.float64)
    sign, linear = model[6]
    assert type(linear) is BinaryLinear
    sign.alpha.data = torch.tensor([-1., 0., 1., 2.]).double()
    signs = torch.where(sequence > sign.alpha, 1., -1.).double()
    weight = torch.where(net[6].weight > 0, 1., -1.).double()
    torch.testing.assert_close(model[6](sequence),
                               signs @ weight.T + net[6].bias)


def test_plain_sign():
    model, _ = mmreact.binarize(small(), rsign=False)
    assert set(model.state_dict()) == {
        key.replace('2.', '2.1.', 1).replace('6.', '6.1.', 1)
        if key[0] in '26' else key
        for key in small().state_dict()
    }


def test_unsupported_layers_stay():
    net = nn.ModuleDict(
        dict(
            first=nn.Conv2d(1, 2, 1),
            one_d=nn.Conv1d(2, 2, 1),
            transposed=nn.ConvTranspose2d(2, 2, 1),
            reflect=nn.Conv2d(2, 2, 3, padding=1, padding_mode='reflect'),
            parametrized=parametrizations.weight_norm(nn.Linear(2, 2)),
            done=BinaryConv2d(2, 2, 1),
            attention=nn.MultiheadAttention(2, 1),
            fine=nn.Conv2d(2, 2, 1, padding='same'),
            last=nn.Linear(2, 2)))
    model, report = mmreact.binarize(net)
    assert names(report.binarized) == ['fine']
    reasons = {layer.name: layer.reason for layer in report.kept}
    assert reasons['reflect'] == "padding_mode 'reflect'"
    assert reasons['parametrized'] == 'its weight is parametrized'
    assert reasons['done'] == '1-bit already'
    for name in ('one_d', 'transposed', 'attention.out_proj'):
        assert reasons[name] == 'this type has no 1-bit form'
    assert model['fine'](torch.ones(1, 2, 3, 3)).shape == (1, 2, 3, 3)


def test_layers_that_do_more_stay():
    """Hooks and forwards that a 1-bit layer in their place would not have."""
    net = nn.Sequential(*(nn.Linear(2, 2) for _ in range(7)))
    net[1].register_forward_hook(lambda module, args, out: 2 * out)
    net[2].register_forward_pre_hook(lambda module, args: args)
    net[3].register_full_backward_hook(lambda module, grad, out: None)
    net[4].forward = lambda x: x + net[4].weight.sum()
    model, report = mmreact.binarize(net)
    assert names(report.binarized) == ['5']
    assert [layer.reason for layer in report.kept[1:-1]] == [
        *['it has hooks'] * 3, 'its forward is not that of its type'
    ]
    x = torch.ones(1, 2)
    assert torch.equal(model[1](x), net[1](x))


@pytest.mark.filterwarnings('ignore:.*weight_norm.*:FutureWarning')
def test_models_in_wrappers():
    net = small()
    net[3] = nn.utils.weight_norm(net[3])
    net(torch.ones(1, 3, 8, 8))
    for model in (torch.compile(net), nn.DataParallel(net)):
        found, report = mmreact.binarize(model)
        assert type(found) is nn.Sequential
        assert names(report.binarized) == ['2', '6']
        assert found(torch.ones(1, 3, 8, 8)).shape == (1, 2)
    with pytest.raises(ValueError, match='lazy'):
        mmreact.binarize(nn.Sequential(nn.LazyLinear(2), nn.Linear(2, 2)))


def test_shared_layers_stay_shared():
    shared = nn.Linear(2, 2)
    net = nn.Sequential(nn.Linear(2, 2), shared, shared, nn.Linear(2, 2))
    model, report = mmreact.binarize(net)
    assert names(report.binarized) == ['1']
    assert model[1] is model[2] and isinstance(model[1], nn.Sequential)


def test_a_single_layer():
    model, _ = mmreact.binarize(
        nn.Linear(3, 2), skip_first=False, skip_last=False)
    assert [type(m) for m in model] == [RSign, BinaryLinear]


@pytest.mark.parametrize('options,words', [
    (dict(include=['layer9']), ["'layer9' selects none", '0, 2, 3, 6, 7']),
    (dict(exclude=[nn.Conv3d]), ['Conv3d', 'selects none']),
    (dict(include=['0']), ['No layer is left', 'real: the first layer']),
    (dict(weight_binarizer='x'), ['x', 'scaled_sign']),
    (dict(estimator='x'), ['x', 'approx']),
])
def test_bad_options(options, words):
    with pytest.raises(ValueError) as error:
        mmreact.binarize(small(), **options)
    for word in words:
        assert word in str(error.value)


def test_torchvision_resnet18():
    """Zeros behind a ReLU become -1, everywhere; it counts and learns."""
    torch.manual_seed(0)
    model, report = mmreact.binarize(torchvision.models.resnet18())
    assert names(report.kept) == ['conv1', 'fc']
    zeros = []

    def check(module, inputs, output):
        x, = inputs
        assert torch.equal(output, (x > 0).float() * 2 - 1)
        zeros.append((x == 0).float().mean().item())

    for module in model.modules():
        if isinstance(module, RSign):
            module.register_forward_hook(check)
    x, labels = torch.randn(4, 3, 64, 64), torch.arange(4)
    F.cross_entropy(model(x), labels).backward()
    assert len(zeros) == 19 and min(zeros) > 0.001
    missing = [k for k, p in model.named_parameters() if p.grad is None]
    assert not missing

    report = mmreact.count_ops(model, (3, 224, 224))
    # All but the stem and the classifier of ResNet-18's 1,814,073,344 MACs.
    stem = 112**2 * 64 * 147
    assert report.flops == stem + 512_000
    assert report.bops == 1_814_073_344 - stem - 512_000


def test_training_lowers_the_loss():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3),
        nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(128, 4))
    model, _ = mmreact.binarize(net)
    x, labels = torch.randn(16, 1, 8, 8), torch.arange(16) % 4
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_attributes_of_the_layer_are_answered():
    """What code around a layer reads and sets, and what it does not have."""
    model, _ = mmreact.binarize(small())
    for net in (model, copy.deepcopy(model),
                pickle.loads(pickle.dumps(model))):
        conv, linear = net[2], net[6]
        assert isinstance(conv, SignedLayer)
        assert (conv.kernel_size, conv.stride, conv.padding, conv.groups,
                conv.in_channels) == ((3, 3), (2, 2), (1, 1), 2, 4)
        assert (linear.in_features, linear.out_features) == (4, 6)
        assert conv.weight is conv[1].weight and linear.bias is linear[1].bias
        assert not hasattr(conv, 'in_features')
        conv.stride, conv.note = (1, 1), 'mine'
        assert conv[1].stride == (1, 1) and conv.note == 'mine'
        assert conv(torch.ones(1, 4, 5, 5)).shape == (1, 4, 5, 5)
        conv.weight = nn.Parameter(torch.ones(4, 2, 3, 3))
        assert set(dict(
            conv.named_parameters())) == {'0.alpha', '1.weight', '1.bias'}
        assert conv[1].weight.sum() == 72
        with pytest.raises(AttributeError, match='nothing'):
            conv.nothing


class Around(nn.Module):
    """A module with two layers, of which it calls the one or the other."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 4)
        self.fc, self.other = nn.Linear(4, 4), nn.Linear(4, 4)
        self.fcs = nn.ModuleList([nn.Linear(4, 4)])
        self.block = nn.ModuleDict(dict(inner=nn.Linear(4, 4)))
        self.init_weights()

    def init_weights(self):
        nn.init.zeros_(self.other.weight)


class ReadsOne(Around):

    def forward(self, x):
        return self.other(F.linear(x, self.fc.weight, self.fc.bias))


class ReadsBias(Around):

    def forward(self, x):
        return self.other(x) + self.fc.bias


class ReadsLocal(Around):

    def forward(self, x):
        for layer in self.fcs:
            x = x @ layer.weight
        return x


class ReadsInHelper(Around):

    def forward(self, x):
        return self.helper(self.other(x))

    def helper(self, x):
        block = self.block
        return F.linear(x, block.inner.weight)


class ReadsType(Around):

    def forward(self, x):
        return self.other(self.fc(x.to(self.fc.weight.dtype)))


ALL = {'first', 'last', 'fc', 'other', 'fcs.0', 'block.inner'}


@pytest.mark.parametrize('cls,kept', [
    (ReadsOne, {'fc'}),
    (ReadsBias, {'fc'}),
    (ReadsLocal, ALL),
    (ReadsInHelper, {'block.inner'}),
    (ReadsType, set()),
])
def test_layers_whose_weight_is_read_stay(cls, kept):
    """A 1-bit layer in their place would not be called."""
    options = dict(skip_first=False, skip_last=False)
    if kept == ALL:
        with pytest.raises(ValueError, match='ReadsLocal reads its weight'):
            mmreact.binarize(cls(), **options)
        return
    model, report = mmreact.binarize(cls(), **options)
    assert set(names(report.kept)) == kept
    assert {layer.reason
            for layer in report.kept} <= {f'{cls.__name__} reads its weight'}
    assert model(torch.ones(2, 4)).shape == (2, 4)


def test_fused_transformer_layers_stay():
    """Eval mode without gradients takes the weights of all of its layers."""
    net = nn.Sequential(
        nn.Linear(4, 8), nn.Linear(8, 8),
        nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 8, batch_first=True), 1),
        nn.Linear(8, 2))
    model, report = mmreact.binarize(net)
    assert names(report.binarized) == ['1']
    x = torch.randn(2, 3, 4)
    training = model.train()(x)
    training.sum().backward()
    with torch.no_grad():
        assert model.eval()(x).shape == training.shape


# Network -> 1-bit layers, size of the images, and what is kept and read.
TRANSFORMERS = dict(
    vit_b_32=(24, 224, set()),
    swin_t=(27, 64, {'ShiftedWindowAttention'}),
    swin_v2_t=(51, 64, {'ShiftedWindowAttentionV2'}))


@pytest.mark.slow
@pytest.mark.parametrize('name', TRANSFORMERS)
def test_transformers(name):
    """They learn, and each binarized layer on the image counts as binary."""
    torch.manual_seed(0)
    number, size, readers = TRANSFORMERS[name]
    model, report = mmreact.binarize(getattr(torchvision.models, name)())
    assert len(report.binarized) == number
    assert {
        layer.reason.split()[0]
        for layer in report.kept if 'reads its weight' in layer.reason
    } == readers
    model(torch.randn(2, 3, size, size)).square().sum().backward()
    assert not [k for k, p in model.named_parameters() if p.grad is None]
    counted = mmreact.count_ops(model, (3, size, size))
    assert counted.one_bit_params == sum(x.weights for x in report.binarized)
    binary = {row.name for row in counted.layers if row.binary}
    assert binary == {
        f'{x.name}.1'
        for x in report.binarized if 'cpb_mlp' not in x.name
    }
