"""A packed network that is called on images."""
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, List, Optional, Sequence, Set, Tuple, Union

import numpy as np

from .backends import create_backend
from .file import PackedFile, load_packed
from .ops import ProgramError
from .preprocessing import Images

#: Images that are prepared and run at a time, of those that are no array.
BATCH = 64


@dataclass(frozen=True)
class Prediction:
    """The classes with the highest scores for one image, best first.

    Args:
        labels (tuple[int]): Numbers of the classes.
        scores (tuple[float]): Their softmax.
        names (tuple[str]): Their names; empty if the file has none.
    """
    labels: Tuple[int, ...]
    scores: Tuple[float, ...]
    names: Tuple[str, ...] = ()


class NotFiniteError(ValueError):
    """NaN or infinity, with the number of the image."""

    def __init__(self, message: str, image: int):
        super().__init__(message)
        self.image = image


def first_not_finite(values: np.ndarray) -> Optional[int]:
    """Number of the first image whose values hold NaN or infinity, if any.

    Args:
        values (ndarray): ``(N, ...)``, of floats.
    """
    finite = np.isfinite(values)
    if finite.all():
        return None
    return int(finite.reshape(len(values), -1).all(1).argmin())


def top_classes(logits: np.ndarray, topk: int,
                classes: Sequence[str]) -> List[Prediction]:
    """The classes with the highest scores; of equal ones the lower first.

    Args:
        logits (ndarray): ``(N, num_classes)``.
        topk (int): How many.
        classes (Sequence[str]): Their names; empty if unknown.

    Raises:
        ValueError: If the logits are none, or too few for ``topk``.
        NotFiniteError: If they hold NaN or infinity.
    """
    if logits.ndim != 2:
        raise ValueError(f'The output has shape {logits.shape}, which is not '
                         '(N, num_classes).')
    if type(topk) is not int or not 1 <= topk <= logits.shape[1]:
        raise ValueError(f'topk is {topk!r}, with {logits.shape[1]} classes.')
    image = first_not_finite(logits)
    if image is not None:
        raise NotFiniteError(
            f'The logits of image {image} hold NaN or infinity: there is no '
            'class.', image)
    logits = logits.astype(float)
    exponents = np.exp(logits - logits.max(1, keepdims=True))
    scores = exponents / exponents.sum(1, keepdims=True)
    labels = np.argsort(-logits, axis=1, kind='stable')[:, :topk]
    return [
        Prediction(
            tuple(best.tolist()), tuple(row[best].tolist()),
            tuple(classes[i] for i in best) if classes else ())
        for best, row in zip(labels, scores)
    ]


class PackedModel:
    """Runs a packed network without PyTorch.

    ``model(images)`` gives the logits, ``(N, num_classes)`` float32. Images
    are one of:

    - float arrays ``(N, C, H, W)``: normalised, used as they are;
    - an image: the path of a file, its bytes, a file that is open for reading
      bytes, an image of Pillow, or a uint8 array, ``(H, W, 3)`` RGB or
      ``(H, W)`` or ``(H, W, 1)`` grey; an array ``(N, H, W, C)`` of them; or
      several of any kinds, of which 64 at a time are in memory: prepared as
      the file says.

    Threads may call a model at the same time. In a forked child the backends
    ``native`` and ``reference`` work, and ``openvino`` says that it cannot.
    A copy or a pickle holds the program, what else the file has, and the
    names of backend and threads as they are given here; the backend is loaded
    again from them, also in another process.

    Args:
        source (str | Path | PackedFile): A packed file.
        backend (str): 'auto', or a key of
            :data:`~mmreact.packed.backends.BACKENDS`, which is used then or
            not at all. Defaults to 'auto'.
        threads (int, optional): How many the backend uses.

    Raises:
        PackedFileError: If the file is not in order.
        BackendMissingError: If the named backend is not installed.
    """

    def __init__(self,
                 source: Union[str, Path, PackedFile],
                 backend: str = 'auto',
                 threads: Optional[int] = None):
        if not isinstance(source, PackedFile):
            source = load_packed(source)
        self._arguments = (source, backend, threads)
        self.program = source.program
        self.preprocessing = source.preprocessing
        self.classes = source.classes
        self.source = source.source
        self.backend = create_backend(backend, self.program, threads)
        self._checked: Set[Tuple[int, ...]] = set()

    @classmethod
    def from_zoo(cls, name: str, **kwargs) -> 'PackedModel':
        """Run a network of the catalogue (docs/model_zoo.md).

        Its packed file comes with this package or is downloaded once.

        Args:
            name (str): One of :func:`mmreact.zoo.list_models`.
            **kwargs: Those of :class:`PackedModel`.

        Raises:
            ZooError: If there is no such name, or no packed file of it.
        """
        from ..zoo.files import packed_file
        return cls(packed_file(name), **kwargs)

    def __reduce__(self):
        return type(self), self._arguments

    def __call__(self, images: Images) -> np.ndarray:
        """Compute the logits.

        Raises:
            ValueError: If the images are not as described above.
            NotFiniteError: If they or the logits hold NaN or infinity.
        """
        return self._run(images, [self.program.output])[0]

    def features(self, images: Images) -> Tuple[np.ndarray, ...]:
        """Compute the feature maps that the file names, in its order.

        Raises:
            ValueError: If it names none, or as in :meth:`__call__`.
        """
        if not self.program.features:
            raise ValueError('This packed file names no features.')
        return tuple(self._run(images, self.program.features))

    def predict(self, images: Images, topk: int = 1) -> List[Prediction]:
        """Classify images; of equal scores the lower label comes first.

        Raises:
            ValueError: If there are fewer than ``topk`` classes, or as in
                :meth:`__call__`.
        """
        return top_classes(self(images), topk, self.classes)

    def _run(self, images: Images, names: Sequence[str]) -> List[np.ndarray]:
        batches: List[List[np.ndarray]] = []
        done = 0
        for x in self._inputs(images):
            self._check_shape(x.shape)
            results = self.backend.run(x, names)
            for name in names:
                _check_result(name, results[name], images, done)
            batches.append([
                results[name].astype(np.float32, copy=False) for name in names
            ])
            done += len(x)
        if len(batches) == 1:
            return batches[0]
        return [_join(results) for results in zip(*batches)]

    def _inputs(self, images: Images) -> Iterable[np.ndarray]:
        """The program's inputs, as many as are run at a time."""
        if isinstance(images, np.ndarray) and images.dtype.kind == 'f':
            return [_finite(images)]
        if self.preprocessing is None:
            raise ValueError('This packed file has no preprocessing: give '
                             'normalised float32 (N, C, H, W).')
        return self.preprocessing.batches(images, BATCH)

    def _check_shape(self, shape: Tuple[int, ...]) -> None:
        if shape in self._checked:
            return
        channels, height, width = self.program.input_shape
        if len(shape) != 4 or shape[1] != channels or 0 in shape:
            raise ValueError(f'The network takes (N, {channels}, {height}, '
                             f'{width}), got {shape}.')
        try:
            self.program.infer(shape[1:], shape[0])
        except ProgramError as error:
            raise ValueError(
                f'The network was made for images of {height}x{width} and '
                f'cannot take {shape[2]}x{shape[3]}: {error}') from error
        self._checked.add(shape)


def _finite(images: np.ndarray) -> np.ndarray:
    """Normalised images in float32, checked."""
    with np.errstate(over='ignore'):
        x = np.ascontiguousarray(images, np.float32)
    bad = first_not_finite(x)
    if bad is not None:
        raise NotFiniteError(
            f'{_called(images, bad).capitalize()} holds NaN, '
            'infinity, or what float32 cannot hold.', bad)
    return x


def _check_result(name: str, result: np.ndarray, images: Images,
                  done: int) -> None:
    """Refuse NaN and infinity in the result of a batch.

    Args:
        name (str): The operation.
        result (ndarray): ``(N, ...)``.
        images (Images): All that were given.
        done (int): How many images came before the batch.
    """
    bad = first_not_finite(result)
    if bad is not None:
        raise NotFiniteError(
            f'The result {name!r} of {_called(images, done + bad)} holds NaN '
            'or infinity: float32 overflows in this network.', done + bad)


def _called(images: Images, index: int) -> str:
    """What to call one of the images that were given."""
    if isinstance(images, (list, tuple)):
        images = images[index]
    path = f' ({images})' if isinstance(images, (str, Path)) else ''
    return f'image {index}{path}'


def _join(results: Sequence[np.ndarray]) -> np.ndarray:
    """Results of batches, one after the other."""
    shapes = sorted({result.shape[1:] for result in results})
    if len(shapes) > 1:
        raise ValueError('The images have different sizes, and so have their '
                         f'results: {shapes}. Give them one at a time.')
    return np.concatenate(results)
