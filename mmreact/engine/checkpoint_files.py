"""The checkpoints of a work directory, in order.

``epoch_3.pth`` is written after the third epoch, ``epoch_3_iter_1210.pth``
when a training is told to stop within the fourth, after 1,210 iterations in
all; ``iter_1210.pth`` is that of an iteration-based loop.
"""
import re
from pathlib import Path
from typing import List, Optional, Tuple, Union

from ..utils.checkpoint import CheckpointError, verify_file

NAME = re.compile(r'(epoch|iter)_(\d+)(?:_iter_(\d+))?\.pth')


def position(path: Union[str, Path]) -> Optional[Tuple[int, int]]:
    """Where in a training a checkpoint lies, to compare; None for others.

    Epochs (or iterations) that are complete, then the iterations in all where
    the name holds them.
    """
    match = NAME.fullmatch(Path(path).name)
    return match and (int(match[2]), int(match[3] or 0))


def list_checkpoints(folder: Path, kind: str = 'epoch') -> List[Path]:
    """The checkpoints of one kind (``'epoch'``, ``'iter'``), newest first."""
    found = [path for path in folder.glob(f'{kind}_*.pth') if position(path)]
    return sorted(found, key=position, reverse=True)


def last_good(checkpoints: List[Path]) -> Tuple[Optional[Path], List[str]]:
    """The newest checkpoint that is whole, and what is wrong with newer ones.

    Args:
        checkpoints (list[Path]): Newest first.

    Returns:
        tuple: The path (None if the list is empty), and a line for each
        corrupt file that was passed over.

    Raises:
        CheckpointError: If there are checkpoints, but none is whole.
    """
    errors: List[str] = []
    for path in checkpoints:
        try:
            return verify_file(path), errors
        except CheckpointError as error:
            errors.append(str(error))
    if errors:
        raise CheckpointError(
            'No checkpoint to resume from is whole:\n' + '\n'.join(errors) +
            '\nBring one back from a copy, or remove these files to start '
            'this run anew.')
    return None, errors
