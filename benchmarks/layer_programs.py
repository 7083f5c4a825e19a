"""Programs of the layers of a program.

A layer is what the native engine fuses: sign, 1-bit convolutions, shortcut,
activation.
"""
from dataclasses import replace
from typing import Iterable, List

import numpy as np

from mmreact.packed import INPUT, Program, ops

#: Operations that begin a layer, where nothing else is still needed.
BEGIN = (ops.Sign, ops.Conv2d, ops.MaxPool2d, ops.AdaptiveAvgPool2d)
BINARY = (ops.BinaryConv2d, ops.BinaryLinear)


def split(program: Program) -> List[Program]:
    """Cut a program into layers, each a program of its own."""
    operations = program.operations
    last_use = {
        name: max(map(operations.index, users), default=len(operations))
        for name, users in program.consumers().items()
    }
    starts = [0]
    for i, op in enumerate(operations[1:], 1):
        alive = [
            n for n in (o.name for o in operations[:i]) if last_use[n] >= i
        ]
        if isinstance(op, BEGIN) and alive == [operations[i - 1].name]:
            starts.append(i)
    values = program.infer(program.input_shape)
    layers, source = [], INPUT
    for start, end in zip(starts, [*starts[1:], len(operations)]):
        part = [rename(op, {source: INPUT}) for op in operations[start:end]]
        layers.append(Program(values[source].shape[1:], part, part[-1].name))
        source = part[-1].name
    return layers


def rename(op: ops.Operation, names: dict, suffix: str = '') -> ops.Operation:
    """With other inputs where the names say so, and a suffix to its own."""
    return replace(
        op,
        name=op.name + suffix,
        inputs=tuple(names.get(name, name) for name in op.inputs))


def join(layers: Iterable[Program]) -> Program:
    """One after the other."""
    layers, made, source = list(layers), [], INPUT
    for i, layer in enumerate(layers):
        names = {op.name: f'{op.name}@{i}' for op in layer.operations}
        names[INPUT] = source
        made += [rename(op, names, f'@{i}') for op in layer.operations]
        source = names[layer.output]
    return Program(layers[0].input_shape, made, source)


def side_by_side(layer: Program, number: int, means: bool) -> Program:
    """Copies of a layer behind its first operation, for the same input.

    Each stores signs and floats, as in a network; with ``means`` only those
    of 2x2 pixels, as in front of a layer with stride 2. Signs and floats of
    one pixel are added up, so that nothing is left out and the rest takes no
    time: a 1-bit convolution reads signs as they are, a pooling would not.
    """
    first, *rest = layer.operations
    channels, *size = shape(layer)
    zeros = np.zeros(channels, np.float32)
    weight = np.zeros((1, 1, 1, ops.words(channels)), np.uint64)
    made, total = [first], None
    for i in range(number):
        names = {op.name: f'{op.name}@{i}' for op in rest}
        result = names[layer.output]
        made += [
            *(rename(op, names, f'@{i}') for op in rest),
            ops.Sign(f'sign@{i}', (result, ), zeros, zeros.astype(np.uint8)),
            ops.BinaryConv2d(
                f'bits@{i}', (f'sign@{i}', ),
                weight,
                zeros[:1] + 1,
                zeros[:1],
                channels,
                stride=tuple(size)),
        ]
        if means:
            made.append(
                ops.AvgPool2d(f'means@{i}', (result, ), (2, 2), (2, 2)))
            result = made[-1].name
        made += [
            ops.AvgPool2d(f'float@{i}', (result, ), stride=tuple(size)),
            ops.Add(f'both@{i}', (f'bits@{i}', f'float@{i}')),
        ]
        if total is not None:
            made.append(ops.Add(f'sum@{i}', (f'both@{i}', total)))
        total = made[-1].name
    return Program(layer.input_shape, made, total)


def takes_means(layer: Program) -> bool:
    """Whether a layer takes its shortcut from means of 2x2 pixels."""
    return any(
        isinstance(op, ops.AvgPool2d) and op.inputs == (
            INPUT, ) and op.kernel == op.stride == (2, 2)
        for op in layer.operations)


def shape(layer: Program) -> tuple:
    return layer.infer(layer.input_shape)[layer.output].shape[1:]


def describe(layer: Program) -> str:
    """E.g. '3x3, 64 to 64, stride 2'; layers alike have the same one."""
    parts = []
    for op in layer.operations:
        if hasattr(op, 'weight'):
            cout = op.weight.shape[0]
            binary = isinstance(op, BINARY)
            cin = op.in_channels if binary else op.weight.shape[1]
            text = 'linear'
            if op.weight.ndim == 4:
                kernel = op.weight.shape[1:3] if binary else (
                    op.weight.shape[2:])
                text = 'x'.join(map(str, kernel))
            text += f', {cin} to {cout}'
            if max(getattr(op, 'stride', (1, ))) > 1:
                text += f', stride {op.stride[0]}'
            parts.append(text if binary else f'real {text}')
    twice = len(parts) == 2 and parts[0] == parts[1]
    return f'{parts[0]}, twice' if twice else '; '.join(parts)


def macs(layer: Program) -> dict:
    """1-bit and real multiply-accumulates, padded taps included."""
    values = layer.infer(layer.input_shape)
    found = dict(binary=0, real=0)
    for op in layer.operations:
        if not hasattr(op, 'weight'):
            continue
        binary = (
            isinstance(op, BINARY) and values[op.inputs[0]].kind == 'sign')
        weights = (
            np.prod(op.weight.shape[1:-1]) * op.in_channels if isinstance(
                op, BINARY) else np.prod(op.weight.shape[1:]))
        found['binary' if binary else 'real'] += int(
            np.prod(values[op.name].shape) * weights)
    return found


def moved_bytes(layer: Program) -> int:
    """What a layer must read and write: floats of the shortcut and of the
    result, bits of its input and for the next one, weights.
    """
    numbers = np.prod(layer.input_shape) + np.prod(shape(layer))
    weights = sum(
        op.weight.nbytes for op in layer.operations if hasattr(op, 'weight'))
    return int(numbers * (4 + 1 / 8) + weights)
