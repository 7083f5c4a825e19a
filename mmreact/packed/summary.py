"""What is in a packed file: operations, bits and bytes."""
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Dict, List, Tuple, Union

import numpy as np

from .container import Tensors, loads, naming, read
from .file import PackedFile, decode
from .ops import BinaryConv2d, BinaryLinear, Operation, kind_of

#: How tensors are stored -> dtype.
STORED = {
    '1-bit': np.dtype(np.uint64),
    'fp32': np.dtype(np.float32),
    'fp16': np.dtype(np.float16),
    'flags': np.dtype(np.uint8)
}


@dataclass(frozen=True)
class OperationSummary:
    """An operation: its output for one image, its numbers, its bytes."""
    name: str
    kind: str
    output: str
    output_shape: Tuple[int, ...]
    one_bit_weights: int
    real_numbers: int
    bytes: int


@dataclass(frozen=True)
class FileSummary:
    """What a packed file holds.

    ``stored`` gives numbers and bytes by how they are stored: '1-bit'
    (weights, without the bits that fill up words), 'fp32', 'fp16' and
    'flags' (of signs, a byte each). With the header, which is all that is no
    tensor, their bytes are those of the file.
    """
    packed: PackedFile
    operations: List[OperationSummary]
    stored: Dict[str, Tuple[int, int]]
    header_bytes: int
    file_bytes: int

    def to_dict(self) -> dict:
        """Everything but the weights, ready for JSON."""
        packed = self.packed
        return dict(
            input_shape=packed.program.input_shape,
            output=packed.program.output,
            features=packed.program.features,
            preprocessing=packed.preprocessing
            and asdict(packed.preprocessing),
            classes=packed.classes,
            source=packed.source,
            stored={
                kind: dict(numbers=numbers, bytes=size)
                for kind, (numbers, size) in self.stored.items()
            },
            header_bytes=self.header_bytes,
            file_bytes=self.file_bytes,
            operations=[asdict(row) for row in self.operations])

    def table(self) -> str:
        """A row an operation, and the totals."""
        width = max(len(row.name) for row in self.operations) + 2
        lines = [
            f'{"name":<{width}}{"operation":<21}{"output":<19}'
            f'{"1-bit weights":>14}{"real numbers":>14}{"bytes":>12}'
        ]
        for row in self.operations:
            shape = 'x'.join(map(str, row.output_shape))
            lines.append(
                f'{row.name:<{width}}{row.kind:<21}'
                f'{f"{row.output} {shape}":<19}{row.one_bit_weights:>14,}'
                f'{row.real_numbers:>14,}{row.bytes:>12,}')
        lines += [
            f'  {kind:<8}{numbers:>15,} numbers{size:>15,} bytes'
            for kind, (numbers, size) in self.stored.items()
        ]
        lines += [
            f'  {name:<31}{size:>15,} bytes' for name, size in dict(
                header=self.header_bytes, file=self.file_bytes).items()
        ]
        return '\n'.join(lines)


def summarize(path: Union[str, Path]) -> FileSummary:
    """Describe a packed file.

    Raises:
        PackedFileError: If it is not in order.
    """
    with naming('load', path):
        data = read(path)
        metadata, tensors = loads(data)
        packed = decode(metadata, tensors)
    program = packed.program
    values = program.infer(program.input_shape)
    rows = [
        OperationSummary(op.name, kind_of(type(op)), values[op.name].kind,
                         values[op.name].shape[1:], _one_bit(op), _real(op),
                         _bytes(op, tensors)) for op in program.operations
    ]
    stored = {kind: _stored(tensors, STORED[kind]) for kind in STORED}
    stored['1-bit'] = (sum(row.one_bit_weights
                           for row in rows), stored['1-bit'][1])
    header = len(data) - sum(size for _, size in stored.values())
    return FileSummary(packed, rows, stored, header, len(data))


def _one_bit(op: Operation) -> int:
    if not isinstance(op, (BinaryConv2d, BinaryLinear)):
        return 0
    inputs = op.in_channels // getattr(op, 'groups', 1)
    return prod(op.weight.shape[:-1]) * inputs


def _real(op: Operation) -> int:
    return sum(a.size for a in op.tensors().values() if a.dtype.kind == 'f')


def _bytes(op: Operation, tensors: Tensors) -> int:
    """As they are stored, which may be in fp16."""
    return sum(tensors[f'{op.name}.{name}'].nbytes for name in op.tensors())


def _stored(tensors: Tensors, dtype: np.dtype) -> Tuple[int, int]:
    arrays = [array for array in tensors.values() if array.dtype == dtype]
    return sum(a.size for a in arrays), sum(a.nbytes for a in arrays)
