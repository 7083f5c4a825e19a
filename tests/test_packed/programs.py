"""Programs for the tests of backends and exports."""
import numpy as np

from mmreact.packed import INPUT, Program, ProgramError, ops
from mmreact.packed.bits import pack

#: (output channels, stride) of each block of ReActNet-A.
REACTNET_A = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
              *[(512, 1)] * 5, (1024, 2), (1024, 1))


class Draft:
    """A program while it is written, with numbers at random.

    All numbers are small multiples of 1/4, so that every order of summation
    gives exactly the same float32 results.
    """

    def __init__(self, rng, channels, size):
        self.rng = rng
        self.input_shape = (channels, *size)
        self.operations = []
        self.values = {INPUT: ops.Value('real', (1, *self.input_shape))}

    def add(self, cls, inputs, *args, name=None, **kwargs):
        """Append an operation and return its name; else a ProgramError."""
        inputs = (inputs, ) if isinstance(inputs, str) else tuple(inputs)
        op = cls(name or f'op{len(self.operations)}', inputs, *args, **kwargs)
        op.check()
        self.values[op.name] = op.infer(*(self.values[i] for i in inputs))
        self.operations.append(op)
        return op.name

    def channels(self, name):
        return self.values[name].shape[1]

    def shape(self, name):
        return self.values[name].shape

    def quarters(self, *shape):
        return (self.rng.integers(-8, 9, shape) / 4).astype(np.float32)

    def powers(self, number):
        """Scales: powers of two, mixed, all positive or all negative."""
        turn = self.rng.choice([-1., 1.],
                               number if self.rng.random() < 0.6 else 1)
        return (turn * 2.**self.rng.integers(-3, 2, number)).astype(np.float32)

    def sign(self, x, name=None):
        number = self.channels(x)
        threshold = self.quarters(number)
        threshold[self.rng.random(number) < 0.1] = np.inf
        threshold[self.rng.random(number) < 0.1] = -np.inf
        flip = self.rng.random(number) < self.rng.choice([0., 0.3])
        return self.add(
            ops.Sign, x, threshold, flip.astype(np.uint8), name=name)

    def binary_conv(self, x, out, kernel, name=None, groups=1, **kwargs):
        channels = self.channels(x)
        weight = pack(self.rng.normal(size=(out, *kernel, channels // groups)))
        return self.add(
            ops.BinaryConv2d,
            x,
            weight,
            self.powers(out),
            self.quarters(out),
            channels,
            groups=groups,
            name=name,
            **kwargs)

    def rprelu(self, x, name=None):
        number = self.channels(x)
        slopes = self.rng.choice([-0.5, 0, 0.25, 1], number)
        return self.add(
            ops.RPReLU,
            x,
            self.quarters(number),
            slopes.astype(np.float32),
            self.quarters(number),
            name=name)

    def finish(self, output, features=()):
        return Program(self.input_shape, self.operations, output, features)


def random_program(seed):
    """A small network of the operations that are exact for multiples of 1/4.

    Returns:
        Program, ndarray: And an input for it.
    """
    rng = np.random.default_rng(seed)
    draft = Draft(rng, int(rng.choice([1, 3, 8, 16, 24])),
                  rng.integers(1, 9, 2).tolist())
    reals = [INPUT]
    for _ in range(rng.integers(2, 9)):
        x = reals[-1] if rng.random() < 0.7 else rng.choice(reals)
        try:
            rng.choice(STEPS)(draft, str(x), reals)
        except ProgramError:  # It does not fit here.
            continue
    if not draft.operations:
        return random_program(seed + 10**6)
    last = reals[-1] if reals[-1] != INPUT else draft.operations[0].name
    number = int(rng.integers(1, 4))
    x = (rng.integers(-8, 9, (number, *draft.input_shape)) / 4)
    return draft.finish(last), x.astype(np.float32)


def _binary(draft, x, reals):
    rng, channels = draft.rng, draft.channels(x)
    sign = draft.sign(x)
    for _ in range(rng.integers(1, 3)):
        kernel = int(rng.choice([1, 2, 3, 3, 3, 5]))
        out = channels if rng.random() < 0.8 else int(rng.choice([1, 8, 17]))
        stride = int(rng.choice([1, 1, 1, 2]))
        padding = kernel // 2 if rng.random() < 0.8 else 0
        y = draft.binary_conv(
            sign,
            out, (kernel, kernel),
            stride=(stride, stride),
            padding=(padding, padding))
        others = [r for r in reals if draft.shape(r) == draft.shape(y)]
        if others and rng.random() < 0.8:
            y = draft.add(ops.Add, rng.permutation([y, others[-1]]).tolist())
        reals.append(y)
    if draft.shape(sign) == draft.shape(y) and rng.random() < 0.2:
        reals.append(draft.add(ops.Add, (y, sign)))


def _binary_linear(draft, x, reals):
    sign = draft.sign(draft.add(ops.Flatten, x))
    number, out = draft.channels(sign), int(draft.rng.choice([1, 8, 17]))
    reals.append(
        draft.add(ops.BinaryLinear, sign,
                  pack(draft.rng.normal(size=(out, number))),
                  draft.powers(out), draft.quarters(out), number))


def _affine(draft, x, reals):
    scale = draft.powers(draft.channels(x))
    scale[draft.rng.random(len(scale)) < 0.1] = 0
    reals.append(draft.add(ops.Affine, x, scale, draft.quarters(len(scale))))


def _conv(draft, x, reals):
    weight = draft.quarters(8, draft.channels(x), 1, 1).round()
    reals.append(draft.add(ops.Conv2d, x, weight, draft.quarters(8)))


def _concat(draft, x, reals):
    other = str(draft.rng.choice(reals))
    reals.append(draft.add(ops.Concat, (x, other)))


def _slice(draft, x, reals):
    stop = draft.channels(x)
    reals.append(draft.add(ops.Slice, x, max(0, stop - 8), stop))


def _simple(cls, **kwargs):

    def step(draft, x, reals):
        reals.append(draft.add(cls, x, **kwargs))

    return step


STEPS = [
    *[_binary] * 4,
    _binary_linear,
    _affine,
    _conv,
    _concat,
    _slice,
    lambda draft, x, reals: reals.append(draft.rprelu(x)),
    _simple(ops.Clamp),
    _simple(ops.Clamp, low=-1., high=1.),
    _simple(ops.Abs),
    _simple(ops.MaxPool2d, kernel=(3, 3), stride=(2, 2), padding=(1, 1)),
    _simple(
        ops.AvgPool2d,
        kernel=(2, 2),
        stride=(2, 2),
        ceil_mode=True,
        count_include_pad=False),
]


def reactnet(blocks=((16, 1), (32, 2), (32, 1)), stem=8, size=32, classes=10):
    """A program shaped like ReActNet on MobileNetV1, with random numbers."""
    rng = np.random.default_rng(0)
    draft = Draft(rng, 3, (size, size))

    def f32(*shape, scale=1.):
        return (rng.normal(size=shape) * scale).astype(np.float32)

    def sign(name, x):
        channels = draft.channels(x)
        return draft.add(
            ops.Sign,
            x,
            f32(channels, scale=0.1),
            np.zeros(channels, np.uint8),
            name=name)

    def conv(name, x, kernel, stride):
        channels = draft.channels(x)
        return draft.add(
            ops.BinaryConv2d,
            x,
            pack(f32(channels, kernel, kernel, channels)),
            f32(channels, scale=channels**-0.5 / kernel),
            f32(channels, scale=0.1),
            channels, (stride, ) * 2, (kernel // 2, ) * 2,
            name=name)

    def rprelu(name, x):
        channels = draft.channels(x)
        return draft.add(
            ops.RPReLU,
            x,
            f32(channels, scale=0.1),
            0.25 + f32(channels, scale=0.1),
            f32(channels, scale=0.1),
            name=name)

    def block(name, x, out, stride):
        y = conv(f'{name}.conv1', sign(f'{name}.sign1', x), 3, stride)
        if stride > 1:
            x = draft.add(
                ops.AvgPool2d,
                x, (2, 2), (2, 2),
                ceil_mode=True,
                count_include_pad=False,
                name=f'{name}.shortcut')
        a = draft.add(ops.Add, (y, x), name=f'{name}.add1')
        a = rprelu(f'{name}.act1', a)
        z = sign(f'{name}.sign2', a)
        branches = []
        for i in range(out // draft.channels(a)):
            y = conv(f'{name}.conv2.{i}', z, 1, 1)
            branches.append(
                draft.add(ops.Add, (y, a), name=f'{name}.add2.{i}'))
        if len(branches) > 1:
            branches = [draft.add(ops.Concat, branches, name=f'{name}.concat')]
        return rprelu(f'{name}.act2', branches[0])

    x = draft.add(
        ops.Conv2d,
        INPUT,
        f32(stem, 3, 3, 3, scale=0.2),
        f32(stem), (2, 2), (1, 1),
        name='stem')
    for i, (out, stride) in enumerate(blocks):
        x = block(f'block{i}', x, out, stride)
    feature = x
    x = draft.add(ops.AdaptiveAvgPool2d, x, name='pool')
    x = draft.add(ops.Flatten, x, name='flatten')
    weight = f32(classes, draft.channels(x), scale=draft.channels(x)**-0.5)
    x = draft.add(ops.Linear, x, weight, f32(classes), name='fc')
    return draft.finish(x, (feature, ))
