"""Random small programs, which join operations in ways that nobody planned."""
import numpy as np

from mmreact.packed import INPUT, Program, ProgramError, ops
from mmreact.packed.bits import pack
from mmreact.packed.ops import Value

CHANNELS = (1, 3, 8, 31, 32, 33, 64, 70, 96)
#: Weights grow with its square; concatenations double it again and again.
MOST_CHANNELS = 512


def random_program(seed, length=25):
    """A program of ``length`` operations for an input (C, H, W)."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.choice([1, 3, 32, 40])), int(rng.integers(3, 10)),
             int(rng.integers(3, 10)))
    maker = _Maker(rng, shape)
    while len(maker.operations) < length:
        maker.add()
    names = [op.name for op in maker.operations]
    return Program(shape, maker.operations, names[-1],
                   rng.choice(names, 3, replace=False).tolist())


class _Maker:

    def __init__(self, rng, shape):
        self.rng = rng
        self.values = {INPUT: Value('real', (1, *shape))}
        self.operations = []

    def f32(self, *shape):
        return self.rng.normal(size=shape).astype(np.float32)

    def bits(self, *shape):
        return pack(self.rng.normal(size=shape))

    def pair(self, low, high):
        return tuple(map(int, self.rng.integers(low, high, 2)))

    def pick(self, kind=None, dims=(2, 4)):
        """A value, more often a late one."""
        names = [
            n for n, v in self.values.items()
            if kind in (None, v.kind) and len(v.shape) in dims
        ] or [INPUT]
        late = names[-3:] if self.rng.random() < 0.7 else names
        return str(self.rng.choice(late))

    def add(self):
        """Try one operation; it is kept if it fits and is small."""
        make = self.rng.choice(_KINDS)
        name = f'n{len(self.operations)}'
        try:
            op = make(self, name)
            op.check()
            value = op.infer(*(self.values[i] for i in op.inputs))
        except (ProgramError, ZeroDivisionError):
            return
        if np.prod(value.shape) > 1 << 14:
            return
        if len(value.shape) == 4 and value.shape[1] > MOST_CHANNELS:
            return
        self.values[name] = value
        self.operations.append(op)

    def window(self):
        return dict(
            stride=self.pair(1, 3),
            padding=self.pair(0, 3),
            dilation=self.pair(1, 3) if self.rng.random() < 0.2 else (1, 1))

    def groups(self, channels, outputs):
        fits = [g for g in (1, 1, 1, 2, 3, 4)
                if channels % g == outputs % g == 0]  # yapf: disable
        return int(self.rng.choice(fits))

    def conv(self, name):
        source = self.pick(dims=(4, ))
        cin = self.values[source].shape[1]
        cout = int(self.rng.choice(CHANNELS))
        groups = self.groups(cin, cout)
        kernel = self.pair(1, 4)
        return ops.Conv2d(
            name, (source, ),
            self.f32(cout, cin // groups, *kernel) * 0.2,
            self.f32(cout),
            **self.window(),
            groups=groups)

    def binary_conv(self, name):
        source = self.pick('sign', (4, ))
        cin = self.values[source].shape[1]
        cout = int(self.rng.choice([*CHANNELS, cin, cin, cin]))
        groups = self.groups(cin, cout)
        if self.rng.random() < 0.5:  # a block of the usual form
            kernel, window = (3, 3), dict(padding=(1, 1))
        else:
            kernel, window = self.pair(1, 4), self.window()
        return ops.BinaryConv2d(
            name, (source, ),
            self.bits(cout, *kernel, cin // groups),
            self.f32(cout) * 0.1,
            self.f32(cout),
            cin,
            groups=groups,
            **window)

    def linear(self, name):
        source = self.pick()
        cin, cout = self.values[source].shape[1], int(
            self.rng.choice(CHANNELS))
        if self.rng.random() < 0.5:
            return ops.Linear(name, (source, ),
                              self.f32(cout, cin) * 0.2, self.f32(cout))
        return ops.BinaryLinear(name, (source, ), self.bits(cout, cin),
                                self.f32(cout) * 0.1, self.f32(cout), cin)

    def sign(self, name):
        source = self.pick('real')
        c = self.values[source].shape[1]
        flip = self.rng.integers(0, 2, c) * (self.rng.random() < 0.4)
        return ops.Sign(name, (source, ),
                        self.f32(c) * 0.3, flip.astype(np.uint8))

    def rows(self, name):
        source = self.pick('real')
        c = self.values[source].shape[1]
        if self.rng.random() < 0.6:
            return ops.RPReLU(name, (source, ), self.f32(c), self.f32(c),
                              self.f32(c))
        return ops.Affine(name, (self.pick(), ), self.f32(c), self.f32(c))

    def unary(self, name):
        source = (self.pick('real'), )
        if self.rng.random() < 0.5:
            return ops.Clamp(name, source, -0.5, 1.5)
        cls = self.rng.choice([
            ops.Sigmoid, ops.Tanh, ops.Abs, ops.Hardsigmoid, ops.Hardswish,
            ops.SiLU, ops.GELU, ops.ELU, ops.Softplus
        ])
        if cls is ops.GELU:
            return cls(name, source, bool(self.rng.integers(2)))
        if cls is ops.ELU:
            return cls(name, source, float(self.rng.normal()))
        return cls(name, source)

    def binary(self, name):
        """With an operand of the same shape, or one that is repeated."""
        a = self.pick()
        shape = self.values[a].shape
        fits = [
            n for n, v in self.values.items()
            if len(v.shape) == len(shape) and all(
                i in (1, j) for i, j in zip(v.shape, shape))
        ]
        b = str(self.rng.choice(fits))
        cls = ops.Add if self.rng.random() < 0.7 else ops.Multiply
        return cls(name, (a, b) if self.rng.random() < 0.5 else (b, a))

    def scale(self, name):
        source = self.pick()
        shape = self.values[source].shape[1:]
        ones = self.rng.integers(0, 2, 3)
        return ops.Scale(
            name, (source, ),
            self.f32(*[n if keep else 1 for n, keep in zip(shape, ones)]))

    def concat(self, name):
        a = self.pick()
        value = self.values[a]
        fits = [
            n for n, v in self.values.items()
            if v.kind == value.kind and v.shape[:1] +
            v.shape[2:] == value.shape[:1] + value.shape[2:]
        ]
        others = self.rng.choice(fits, int(self.rng.integers(1, 3)))
        return ops.Concat(name, (a, *map(str, others)))

    def slice(self, name):
        source = self.pick()
        c = self.values[source].shape[1]
        start = int(self.rng.integers(0, c))
        return ops.Slice(name, (source, ), start,
                         int(self.rng.integers(start + 1, c + 1)))

    def pool(self, name):
        kind = self.rng.integers(6)
        if kind == 5:
            return ops.AdaptiveMaxPool2d(name, (self.pick('real'), ),
                                         self.pair(1, 4))
        if kind == 0:
            return ops.AdaptiveAvgPool2d(name, (self.pick(), ),
                                         self.pair(1, 4))
        if kind == 1:
            return ops.ChannelMean(name, (self.pick(), ))
        if kind == 2:
            return ops.AvgPool2d(name, (self.pick(), ), (2, 2), (2, 2))
        windows = dict(
            kernel=self.pair(1, 4),
            stride=self.pair(1, 3),
            padding=self.pair(0, 2),
            ceil_mode=bool(self.rng.integers(2)))
        if kind == 3:
            return ops.MaxPool2d(name, (self.pick('real'), ), **windows)
        return ops.AvgPool2d(
            name, (self.pick(), ),
            **windows,
            count_include_pad=bool(self.rng.integers(2)))

    def transposed(self, name):
        source = self.pick(dims=(4, ))
        cin = self.values[source].shape[1]
        groups = self.groups(cin, cin)
        cout = groups * int(self.rng.choice([1, 8, 17, 32]))
        return ops.ConvTranspose2d(
            name, (source, ),
            self.f32(cin, cout // groups, *self.pair(1, 4)) * 0.2,
            self.f32(cout),
            **self.window(),
            output_padding=self.pair(0, 2),
            groups=groups)

    def pad(self, name):
        """Also a zero padding in front of a convolution."""
        source = self.pick(self.rng.choice(['real', 'sign']), (4, ))
        if self.rng.random() < 0.3:
            return ops.Crop(name, (source, ), self.pair(0, 2), self.pair(0, 2),
                            self.pair(1, 3))
        channels = self.pair(0, 2) if self.rng.random() < 0.3 else (0, 0)
        return ops.Pad(name, (source, ), channels, self.pair(0, 3),
                       self.pair(0, 3),
                       float(self.rng.choice([0, 0, 0, 1, -1, 0.5])))

    def padded_conv(self, name):
        """A 1-bit convolution behind a Pad, if the last one is one."""
        last = self.operations[-1] if self.operations else None
        if not isinstance(last, ops.Pad):
            return self.pad(name)
        cin, cout = self.values[last.name].shape[1], int(
            self.rng.choice(CHANNELS))
        groups, kernel = self.groups(cin, cout), self.pair(1, 4)
        if self.rng.random() < 0.3:
            return ops.Conv2d(
                name, (last.name, ),
                self.f32(cout, cin // groups, *kernel) * 0.2,
                self.f32(cout),
                **self.window(),
                groups=groups)
        return ops.BinaryConv2d(
            name, (last.name, ),
            self.bits(cout, *kernel, cin // groups),
            self.f32(cout) * 0.1,
            self.f32(cout),
            cin,
            groups=groups,
            **self.window())

    def norm(self, name):
        source = self.pick()
        c = self.values[source].shape[1]
        kind = self.rng.integers(4)
        if kind == 0:
            return ops.Softmax(name, (self.pick('real'), ))
        if kind == 1:
            return ops.LogSoftmax(name, (self.pick('real'), ))
        if kind == 2:
            return ops.LayerNorm(name, (source, ), self.f32(c), self.f32(c),
                                 0.1)
        return ops.GroupNorm(name, (source, ), self.f32(c), self.f32(c),
                             self.groups(c, c), 0.1)

    def shuffle(self, name):
        source = self.pick()
        c = self.values[source].shape[1]
        return ops.ChannelShuffle(name, (source, ), self.groups(c, c))

    def resize(self, name):
        bilinear = bool(self.rng.integers(2))
        kind = dict(
            bilinear=bilinear,
            align_corners=bilinear and bool(self.rng.integers(2)))
        if self.rng.random() < 0.5:
            return ops.Resize(name, (self.pick(), ), self.pair(1, 9), **kind)
        factors = self.rng.choice([0.5, 1., 1.7, 2., 3.], 2).tolist()
        return ops.Resize(name, (self.pick(), ), (0, 0), *factors, **kind)

    def flatten(self, name):
        return ops.Flatten(name, (self.pick(), ))


_KINDS = (_Maker.conv, _Maker.binary_conv, _Maker.binary_conv,
          _Maker.binary_conv, _Maker.sign, _Maker.sign, _Maker.sign,
          _Maker.rows, _Maker.rows, _Maker.unary, _Maker.binary,
          _Maker.binary, _Maker.binary, _Maker.scale, _Maker.concat,
          _Maker.concat, _Maker.slice, _Maker.pool, _Maker.pool,
          _Maker.linear, _Maker.flatten, _Maker.transposed, _Maker.pad,
          _Maker.padded_conv, _Maker.padded_conv, _Maker.norm, _Maker.shuffle,
          _Maker.resize)  # yapf: disable
