"""A small packed network that has every operation."""
import numpy as np

from mmreact.packed import (INPUT, PackedFile, Preprocessing, Program, Resize,
                            ops)
from mmreact.packed.bits import pack

SIZE = 9


def build_program(seed=0, width=66):
    """Every operation once or more; input 3x9x9, 5 classes."""
    rng = np.random.default_rng(seed)

    def f32(*shape):
        return rng.normal(size=shape).astype(np.float32)

    def bits(*shape):
        return pack(rng.normal(size=shape))

    def flip(number):
        return rng.integers(0, 2, number).astype(np.uint8)

    c, pad = width, dict(padding=(1, 1))
    return Program((3, SIZE, SIZE), [
        ops.Conv2d('stem', (INPUT, ), f32(c, 3, 3, 3), f32(c), **pad),
        ops.Sign('body.sign', ('stem', ), f32(c), flip(c)),
        ops.BinaryConv2d('body.conv', ('body.sign', ), bits(c, 3, 3, c),
                         f32(c), f32(c), c, **pad),
        ops.Add('body.add', ('body.conv', 'stem')),
        ops.RPReLU('body.rprelu', ('body.add', ), f32(c), f32(c), f32(c)),
        ops.Affine('norm', ('body.rprelu', ), f32(c), f32(c)),
        ops.Sign('groups.sign', ('norm', ), f32(c), flip(c)),
        ops.BinaryConv2d(
            'groups.conv', ('groups.sign', ),
            bits(c, 3, 3, c // 2),
            f32(c),
            f32(c),
            c,
            groups=2,
            **pad),
        ops.Tanh('tanh', ('groups.conv', )),
        ops.Abs('abs', ('norm', )),
        ops.ChannelMean('mean', ('abs', )),
        ops.Multiply('gate', ('tanh', 'mean')),
        ops.Scale('scale', ('gate', ), f32(c, 1, 1)),
        ops.Concat('cat', ('scale', 'norm')),
        ops.Slice('slice', ('cat', ), 1, c + 1),
        ops.Pad('pad', ('slice', ), (1, 0), (0, 1), (0, 1), 0.5),
        ops.Crop('crop', ('pad', ), (0, 1), (1, 0), (1, 1)),
        ops.Resize('resize', ('crop', ), (0, 0), 1.5, 1., True),
        ops.Slice('slice2', ('resize', ), 0, c),
        ops.ChannelShuffle('shuffle', ('slice2', ), 2),
        ops.GroupNorm('group_norm', ('shuffle', ), f32(c), f32(c), 2),
        ops.LayerNorm('layer_norm', ('group_norm', ), f32(c), f32(c)),
        ops.ConvTranspose2d(
            'transposed', ('layer_norm', ),
            f32(c, c, 2, 1) * 0.1,
            f32(c),
            stride=(2, 1),
            output_padding=(1, 0)),
        ops.LogSoftmax('log_softmax', ('transposed', )),
        ops.MaxPool2d('max', ('log_softmax', ), (3, 3), (2, 2), **pad),
        ops.AvgPool2d('avg', ('max', ), (2, 2), (2, 2), ceil_mode=True),
        ops.AdaptiveMaxPool2d('adaptive', ('avg', ), (2, 3)),
        ops.AdaptiveAvgPool2d('pool', ('adaptive', )),
        ops.Flatten('flat', ('pool', )),
        ops.Sigmoid('sigmoid', ('flat', )),
        ops.Clamp('clamp', ('sigmoid', ), 0.25, 0.75),
        ops.Hardsigmoid('hardsigmoid', ('clamp', )),
        ops.Hardswish('hardswish', ('hardsigmoid', )),
        ops.SiLU('silu', ('hardswish', )),
        ops.GELU('gelu', ('silu', ), True),
        ops.ELU('elu', ('gelu', ), 0.5),
        ops.Softplus('softplus', ('elu', )),
        ops.Softmax('softmax', ('softplus', )),
        ops.Sign('head.sign', ('softmax', ), f32(c), flip(c)),
        ops.BinaryLinear('head.hidden',
                         ('head.sign', ), bits(7, c), f32(7), f32(7), c),
        ops.Linear('head.fc', ('head.hidden', ), f32(5, 7), f32(5)),
    ], 'head.fc', ('body.rprelu', 'groups.sign'))


def build_packed(**kwargs):
    return PackedFile(
        build_program(**kwargs),
        Preprocessing(
            resize=Resize(mode='short', size=12),
            crop=(9, 9),
            mean=(123.675, 116.28, 103.53),
            std=(58.395, 57.12, 57.375)),
        ('one', 'two', 'drei', 'quatre', '5'),
        dict(config='configs/a.py', checkpoint_sha256='00', mmreact='0.1.0'))
