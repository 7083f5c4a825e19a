"""The authors' networks, written out from their formulas.

Plain functional torch on the state dict of their code, in its order of
operations: shifts are added, the sign of 0 is 0, a binarized weight is
``scale * sign(w) - clip(w) + clip(w)``. Nothing of mmreact is used.
"""
import torch
import torch.nn.functional as F

#: Widths of the 13 blocks of ReActNet-A, in widths of its stem (32).
REACTNET = (2, 4, 4, 8, 8, 16, 16, 16, 16, 16, 16, 32, 32)
RESNET = {18: (4, 4, 4, 4), 34: (6, 8, 12, 6)}


class Weights:
    """Random weights; each is made when it is first asked for.

    Args:
        seed (int): Of the values.
        stage (int): 1: real weights, 2: binary ones.
        flat (bool): Keep 1-bit weights as a column called ``weights``.
        state (dict, optional): Use these and make none.
    """

    def __init__(self, seed=0, stage=2, flat=False, state=None):
        self.state = {} if state is None else state
        self.given = state is not None
        self.stage, self.flat = stage, flat
        self.generator = torch.Generator().manual_seed(seed)
        #: Smallest distance of a sign's input from 0, a map for each sign.
        self.distances = []

    def get(self, name, *shape, scale=1., offset=0.):
        if name not in self.state:
            assert not self.given, name
            values = torch.randn(shape, generator=self.generator)
            self.state[name] = values * scale + offset
        return self.state[name]

    def conv(self, x, name, out, kernel, stride=1):
        weight = self.get(f'{name}.weight', out, x.shape[1], kernel, kernel)
        return F.conv2d(x, weight, None, stride, kernel // 2)

    def bconv(self, x, name, out, kernel, stride=1):
        shape = (out, x.shape[1], kernel, kernel)
        if self.flat:
            number = out * x.shape[1] * kernel**2
            stored = self.get(f'{name}.weights', number, 1, scale=.02)
        else:
            stored = self.get(f'{name}.weight', *shape, scale=.02)
        weight = stored.view(shape)
        if self.stage == 2:
            scale = weight.abs().mean(3, True).mean(2, True).mean(1, True)
            clipped = weight.clamp(-1, 1)
            weight = scale * weight.sign() - clipped + clipped
        return F.conv2d(x, weight, None, stride, kernel // 2)

    def bn(self, x, name):
        channels = x.shape[1]
        weight = self.get(f'{name}.weight', channels, scale=.2, offset=1.)
        bias = self.get(f'{name}.bias', channels, scale=.1)
        mean = self.get(f'{name}.running_mean', channels)
        var = self.get(f'{name}.running_var', channels)
        if not self.given:
            self.state[f'{name}.num_batches_tracked'] = torch.tensor(7)
            mean.copy_(x.mean((0, 2, 3)))
            var.copy_(x.var((0, 2, 3)) + 1e-3)
        return (x - _map(mean)) / torch.sqrt(_map(var) +
                                             1e-5) * _map(weight) + _map(bias)

    def shift(self, x, name, offset=0.):
        return x + self.get(
            f'{name}.bias', 1, x.shape[1], 1, 1, scale=.1, offset=offset)

    def rprelu(self, x, before, slope, after):
        """Its last shift undoes that a PReLU raises the mean."""
        return self.shift(
            self.prelu(self.shift(x, before), slope), after, offset=-.4)

    def prelu(self, x, name):
        slope = self.get(f'{name}.weight', x.shape[1], scale=.1, offset=.25)
        return torch.where(x > 0, x, _map(slope) * x)

    def sign(self, x):
        """Forward of the sign: a polynomial is subtracted and added again."""
        self.distances.append(x.abs().amin(1, keepdim=True))
        poly = torch.where(x < 0, x * x + 2 * x, -x * x + 2 * x)
        poly = torch.where(x < -1, torch.tensor(-1.).to(x), poly)
        poly = torch.where(x < 1, poly, torch.tensor(1.).to(x))
        return x.sign() - poly + poly


def _map(values):
    return values.view(1, -1, 1, 1)


def reactnet_block(w, x, name, out, stride):
    channels = x.shape[1]
    y = w.sign(w.shift(x, f'{name}.move11'))
    y = w.bn(
        w.bconv(y, f'{name}.binary_3x3', channels, 3, stride), f'{name}.bn1')
    y = (F.avg_pool2d(x, 2) if stride == 2 else x) + y
    y = w.rprelu(y, f'{name}.move12', f'{name}.prelu1', f'{name}.move13')
    z = w.sign(w.shift(y, f'{name}.move21'))
    if out == channels:
        z = w.bn(w.bconv(z, f'{name}.binary_pw', out, 1), f'{name}.bn2') + y
    else:
        a = w.bn(
            w.bconv(z, f'{name}.binary_pw_down1', channels, 1),
            f'{name}.bn2_1') + y
        b = w.bn(
            w.bconv(z, f'{name}.binary_pw_down2', channels, 1),
            f'{name}.bn2_2') + y
        z = torch.cat([a, b], 1)
    return w.rprelu(z, f'{name}.move22', f'{name}.prelu2', f'{name}.move23')


def resnet_block(w, x, name, out, stride, react):
    y = w.shift(x, f'{name}.move0') if react else x
    y = w.bn(
        w.bconv(w.sign(y), f'{name}.binary_conv', out, 3, stride),
        f'{name}.bn1')
    if stride == 2:
        x = w.conv(F.avg_pool2d(x, 2), f'{name}.downsample.1', out, 1)
        x = w.bn(x, f'{name}.downsample.2')
    y = y + x
    if react:
        y = w.rprelu(y, f'{name}.move1', f'{name}.prelu', f'{name}.move2')
    return y


def forward(arch, w, x, width, classes=1000):
    """Run a network.

    Returns:
        tuple: The scores, and ``[(input, output, distance), ...]`` of the
        stem and the blocks; a block's distance is a map of how near the input
        of its last sign comes to 0, None if it has no second sign.
    """
    steps = []

    def step(function, *args):
        nonlocal x
        w.distances.clear()
        y = function(w, x, *args)
        steps.append((x, y, w.distances[1] if len(w.distances) > 1 else None))
        x = y

    if arch == 'reactnet-a':
        step(lambda w, x: w.bn(
            w.conv(x, 'feature.0.conv1', width, 3, 2), 'feature.0.bn1'))
        before = width
        for i, factor in enumerate(REACTNET, 1):
            out = factor * width
            stride = 2 if out != before and i > 1 else 1
            step(reactnet_block, f'feature.{i}', out, stride)
            before = out
    else:
        step(lambda w, x: F.max_pool2d(
            w.bn(w.conv(x, 'conv1', width, 7, 2), 'bn1'), 3, 2, 1))
        for s, number in enumerate(RESNET[int(arch[-2:])]):
            for j in range(number):
                stride = 2 if s > 0 and j == 0 else 1
                step(resnet_block, f'layer{s + 1}.{j}', width * 2**s, stride,
                     arch.startswith('react'))
    features = x.mean((2, 3))
    weight = w.get('fc.weight', classes, features.shape[1], scale=.1)
    bias = w.get('fc.bias', classes, scale=.1)
    return features @ weight.t() + bias, steps


def random_state(arch,
                 images,
                 width,
                 stage=2,
                 flat=None,
                 classes=1000,
                 seed=0):
    """Random weights, with BN statistics that fit some images."""
    if flat is None:
        flat = stage == 2 and not arch.startswith('react-')
    weights = Weights(seed, stage, flat)
    with torch.no_grad():
        forward(arch, weights, images, width, classes)
    return weights.state


def mmcls_state(arch, state):
    """The same weights with the names of the reruns on MMClassification."""
    renamed = {}
    for key, value in state.items():
        parts = key.split('.')
        if parts[0] == 'fc':
            key = f'head.{key}'
        elif parts[0] == 'feature' and parts[1] == '0':
            inner = dict(conv1='conv', bn1='bn')[parts[2]]
            key = f'backbone.conv1.{inner}.{parts[3]}'
        elif parts[0] == 'feature':
            layer, block = [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1),
                            *[(4, j) for j in range(6)], (5, 0),
                            (5, 1)][int(parts[1]) - 1]
            part = dict(
                move11='move1',
                move12='prelu1.bias1',
                prelu1='prelu1.prelu',
                move13='prelu1.bias2',
                move21='move2',
                move22='prelu2.bias1',
                prelu2='prelu2.prelu',
                move23='prelu2.bias2').get(parts[2], parts[2])
            key = f'backbone.layer{layer}.{block}.{part}.{parts[3]}'
        elif parts[0].startswith('layer'):
            pair, half = divmod(int(parts[1]), 2)
            half += 1
            part = dict(
                move0=f'move{half}',
                binary_conv=f'conv{half}',
                bn1=f'bn{half}',
                move1=f'prelu{half}.bias1',
                prelu=f'prelu{half}.prelu',
                move2=f'prelu{half}.bias2').get(parts[2], parts[2])
            key = '.'.join(['backbone', parts[0], str(pair), part, *parts[3:]])
        else:
            key = f'backbone.{key}'
        renamed[key] = value
    return renamed
