"""A packed program: operations in order, checked when it is built."""
from dataclasses import dataclass
from typing import Dict, Optional, Sequence, Tuple

from .ops import MAX_SIZE, Operation, ProgramError, Value, kind_of

#: The name of the program's input among the inputs of operations.
INPUT = 'input'


@dataclass(eq=False)
class Program:
    """What a network computes, from a normalised image to its outputs.

    Args:
        input_shape (tuple[int]): ``(C, H, W)`` it was made for. Height and
            width stay free where the operations allow other ones.
        operations (tuple[Operation]): Each after those whose results it
            takes.
        output (str): The operation whose result is the output (the logits,
            ``(N, num_classes)``).
        features (tuple[str]): Operations whose results
            :meth:`PackedModel.features` returns.

    Raises:
        ProgramError: If anything is wrong; names the operation.
    """
    input_shape: Tuple[int, int, int]
    operations: Tuple[Operation, ...]
    output: str
    features: Tuple[str, ...] = ()

    def __post_init__(self):
        self.input_shape = tuple(self.input_shape)
        self.operations = tuple(self.operations)
        self.features = tuple(self.features)
        for op in self.operations:
            op.check()
        self._check_names()
        self.infer(self.input_shape)

    def _check_names(self) -> None:
        names = {INPUT}
        later = {op.name for op in self.operations}
        for op in self.operations:
            if op.name in names:
                raise ProgramError(f'Two operations are named {op.name!r}.')
            for source in op.inputs:
                if source not in names:
                    why = ('comes later or is itself'
                           if source in later else 'does not exist')
                    raise ProgramError(f'{kind_of(type(op))} {op.name!r} '
                                       f'takes {source!r}, which {why}.')
            names.add(op.name)
        names.remove(INPUT)
        for name in (self.output, *self.features):
            if type(name) is not str or name not in names:
                raise ProgramError(f'The output {name!r} does not exist.')

    def infer(self,
              input_shape: Sequence[int],
              batch: int = 1) -> Dict[str, Value]:
        """Kind and shape of every value for an image of this shape.

        Args:
            input_shape (Sequence[int]): ``(C, H, W)``.
            batch (int): Number of images.

        Raises:
            ProgramError: If an operation cannot take it.
        """
        shape = (batch, *input_shape)
        if len(shape) != 4 or any(
                type(n) is not int or not 0 < n <= MAX_SIZE for n in shape):
            raise ProgramError(f'An input of shape {shape} is not (N, C, H, '
                               'W) with positive sizes.')
        values = {INPUT: Value('real', shape)}
        for op in self.operations:
            values[op.name] = op.infer(*(values[name] for name in op.inputs))
        return values

    def consumers(self) -> Dict[str, Tuple[Operation, ...]]:
        """For each value the operations that take it, in order."""
        found: Dict[str, list] = {INPUT: []}
        for op in self.operations:
            found[op.name] = []
            for source in dict.fromkeys(op.inputs):
                found[source].append(op)
        return {name: tuple(ops) for name, ops in found.items()}

    def find(self, name: str) -> Optional[Operation]:
        """The operation of this name, or None."""
        return next((op for op in self.operations if op.name == name), None)
