"""Packed networks in files; docs/packed_format.md describes the format.

Its rules stand here, in container.py, ops, program.py and preprocessing.py and
once more in mmreact/csrc/file and mmreact/csrc/program.
"""
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple, Union

import numpy as np

from .container import (Strings, Tensors, dumps, loads, naming, parse_json,
                        read, write)
from .ops import OPERATIONS, Conv2d, Linear, Operation, kind_of
from .preprocessing import Preprocessing
from .program import Program
from .resizing import Resize

#: The metadata that hold JSON, and what it is.
PARTS = dict(
    program=dict, preprocessing=(dict, type(None)), classes=list, source=dict)
#: How --real stores the weights of Conv2d and Linear.
REAL = ('fp32', 'fp16')


@dataclass(eq=False)
class PackedFile:
    """A program and what is needed to use it on images.

    Args:
        program (Program): The network.
        preprocessing (Preprocessing, optional): From images to its input.
        classes (tuple[str]): Names of the classes; empty if unknown.
        source (dict[str, str]): Where it comes from: ``config``,
            ``checkpoint``, ``checkpoint_sha256``, ``mmreact`` (the version),
            ``images`` (what it was trained on).

    Raises:
        ValueError: If the parts do not fit.
    """
    program: Program
    preprocessing: Optional[Preprocessing] = None
    classes: Tuple[str, ...] = ()
    source: Dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        self.classes = tuple(self.classes)
        for text in (*self.classes, *self.source, *self.source.values()):
            if not isinstance(text, str):
                raise ValueError('classes and source hold strings, not '
                                 f'{text!r}.')
        self._check_classes()
        if self.preprocessing is not None:
            self._check_preprocessing()

    def _check_classes(self) -> None:
        if not self.classes:
            return
        program = self.program
        shape = program.infer(program.input_shape)[program.output].shape
        if shape != (1, len(self.classes)):
            raise ValueError(f'There are {len(self.classes)} names of classes '
                             f'for an output of shape {shape}.')

    def _check_preprocessing(self) -> None:
        channels = self.program.input_shape[0]
        made = len(self.preprocessing.mean)
        if made != channels:
            raise ValueError(f'The preprocessing makes {made} channels, the '
                             f'network takes {channels}.')
        size = self.preprocessing.output_size
        if size is not None:
            self.program.infer((channels, *size))


def save_packed(path: Union[str, Path],
                packed: PackedFile,
                real: str = 'fp32') -> int:
    """Write a packed file, whole or not at all.

    Args:
        path (str | Path): Its folder is made if it does not exist.
        packed (PackedFile): What to write.
        real (str): 'fp32', or 'fp16' for the weights of the convolutions and
            linear layers that are not 1-bit. The rest stays fp32.

    Returns:
        int: Number of bytes.

    Raises:
        PackedFileError: If it cannot be written, or could not be read again.
    """
    with naming('write', path):
        if real not in REAL:
            raise ValueError(f'real is {real!r}, not one of {REAL}')
        data = dumps(*_encode(packed, real))
        decode(*loads(data))
        write(path, data)
    return len(data)


def to_bytes(packed: PackedFile) -> bytes:
    """The bytes that :func:`save_packed` writes, for readers in memory."""
    return dumps(*_encode(packed, 'fp32'))


def load_packed(path: Union[str, Path]) -> PackedFile:
    """Read and check a packed file; it is not trusted.

    Real tensors are float32 in memory, however they are stored.

    Raises:
        PackedFileError: With the file and the reason.
    """
    with naming('load', path):
        return decode(*loads(read(path)))


def describe(packed: PackedFile) -> Strings:
    """All but the program, as the JSON that is in the file's metadata."""
    preprocessing = packed.preprocessing
    return dict(
        preprocessing=_json(preprocessing and asdict(preprocessing)),
        classes=_json(packed.classes),
        source=_json(packed.source))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(',', ':'))


def _encode(packed: PackedFile, real: str) -> Tuple[Strings, Tensors]:
    program = packed.program
    entry = dict(
        input_shape=program.input_shape,
        operations=[_entry(op) for op in program.operations],
        output=program.output,
        features=program.features)
    metadata = dict(program=_json(entry), **describe(packed))
    tensors = {
        f'{op.name}.{name}': _stored(op, name, array, real)
        for op in program.operations
        for name, array in op.tensors().items()
    }
    return metadata, tensors


def _entry(op: Operation) -> dict:
    attributes = {f.name: getattr(op, f.name) for f in op.attribute_fields()}
    return dict(
        kind=kind_of(type(op)),
        name=op.name,
        inputs=op.inputs,
        attributes=attributes)


def _may_be_half(cls: type, name: str) -> bool:
    return cls in (Conv2d, Linear) and name == 'weight'


def _stored(op: Operation, name: str, array: np.ndarray,
            real: str) -> np.ndarray:
    if real != 'fp16' or not _may_be_half(type(op), name):
        return array
    largest = float(np.abs(array).max())
    with np.errstate(over='ignore'):
        half = array.astype(np.float16)
    if not np.isfinite(half).all():
        raise ValueError(f'{kind_of(type(op))} {op.name!r} has a weight of '
                         f'magnitude {largest:g}, fp16 ends at 65504. Store '
                         "it with real='fp32'")
    return half


def decode(metadata: Strings, tensors: Tensors) -> PackedFile:
    """Build a packed network from the content of its file.

    Raises:
        ValueError: If anything is missing, left over or wrong.
    """
    parts = {
        key: parse_json(metadata[key])
        for key in PARTS if key in metadata
    }
    _require_keys('the metadata', parts, PARTS)
    program = _decode_program(parts['program'], dict(tensors))
    preprocessing = decode_preprocessing(parts['preprocessing'])
    return PackedFile(program, preprocessing, parts['classes'],
                      parts['source'])


def decode_preprocessing(entry: Optional[dict]) -> Optional[Preprocessing]:
    if entry is None:
        return None
    entry = _fields('the preprocessing', entry, Preprocessing)
    if entry['resize'] is not None:
        entry['resize'] = Resize(
            **_fields('the resizing', entry['resize'], Resize))
    return Preprocessing(**entry)


def _fields(what: str, entry: Any, cls: type) -> dict:
    """The fields of a dataclass from exactly their keys."""
    _require_keys(what, entry, {f.name: object for f in fields(cls)})
    return _tuples(entry)


def _decode_program(entry: dict, tensors: Tensors) -> Program:
    """Build a program; the tensors that it takes are removed."""
    _require_keys(
        'the program', entry,
        dict(input_shape=list, operations=list, output=str, features=list))
    operations = [_decode_operation(e, tensors) for e in entry['operations']]
    if tensors:
        raise ValueError(f'no operation has the tensor {min(tensors)!r}')
    return Program(**{**_tuples(entry), 'operations': operations})


def _decode_operation(entry: dict, tensors: Tensors) -> Operation:
    _require_keys('an operation', entry,
                  dict(kind=str, name=str, inputs=list, attributes=dict))
    kind, name = entry['kind'], entry['name']
    if kind not in OPERATIONS:
        raise ValueError(f'{name!r} is an unknown operation {kind!r}. Known '
                         f'operations: {", ".join(OPERATIONS)}')
    cls = OPERATIONS[kind]
    attributes = entry['attributes']
    _require_keys(f'{kind} {name!r}', attributes,
                  {f.name: object
                   for f in cls.attribute_fields()})
    arrays = {}
    for f in cls.tensor_fields():
        key = f'{name}.{f.name}'
        if key not in tensors:
            raise ValueError(f'the tensor {key!r} is missing')
        array = tensors.pop(key)
        if array.dtype == np.float16 and _may_be_half(cls, f.name):
            array = array.astype(np.float32)
        arrays[f.name] = array
    return cls(name, tuple(entry['inputs']), **arrays, **_tuples(attributes))


def _require_keys(what: str, mapping: Any, types: Mapping[str, Any]) -> None:
    """Require exactly these keys, with values of these types."""
    if not isinstance(mapping, dict):
        raise ValueError(f'{what} is not an object of JSON')
    for key, kind in types.items():
        if key not in mapping:
            raise ValueError(f'{what} has no {key!r}')
        if not isinstance(mapping[key], kind):
            raise ValueError(f'{what} has a wrong {key!r}')
    for key in mapping:
        if key not in types:
            raise ValueError(f'{what} has an unknown {key!r}')


def _tuples(mapping: dict) -> dict:
    """Lists of JSON as tuples."""
    return {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in mapping.items()
    }
