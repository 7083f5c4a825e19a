"""Image files and what becomes of them: found, classified, drawn on."""
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Union

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .model import Prediction
from .reading import ImageError

#: Files that are looked for in folders.
SUFFIXES = ('.bmp', '.gif', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif',
            '.tiff', '.webp')
#: Pictures are enlarged to be drawn on: the shorter edge to about this ...
SHORT_EDGE = 256
#: ... but not the longer one beyond this.
LONG_EDGE = 2048
TEXT, BACKGROUND = (255, 255, 255), (0, 0, 0, 160)

#: The path of an image -> its classes.
Predict = Callable[[Path], Prediction]


@dataclass(frozen=True)
class Result:
    """What became of an image file.

    Args:
        file (Path): The file.
        prediction (Prediction, optional): Its classes.
        error (str): Why there are none; empty if there are.
    """
    file: Path
    prediction: Optional[Prediction] = None
    error: str = ''


def find_images(paths: Iterable[Union[str, Path]]) -> Dict[Path, Path]:
    """Find the images that are meant by files and folders.

    Args:
        paths (Iterable[str | Path]): Files are taken as they are, folders
            stand for all images in them and in the folders within, but for
            hidden ones, in the order of their names.

    Returns:
        dict[Path, Path]: Files, with their place within the folder that was
        named, or their name.

    Raises:
        ValueError: If a folder holds no image.
    """
    found: Dict[Path, Path] = {}
    for path in map(Path, paths):
        if not path.is_dir():
            found[path] = Path(path.name)
            continue
        images = sorted(_images_in(path))
        if not images:
            raise ValueError(f'There is no image in the folder {path} '
                             f'({" ".join(SUFFIXES)}).')
        found.update((image, image.relative_to(path)) for image in images)
    return found


def _images_in(folder: Path) -> List[Path]:
    return [
        path for path in folder.rglob('*')
        if path.suffix.lower() in SUFFIXES and path.is_file() and not any(
            part.startswith('.') for part in path.relative_to(folder).parts)
    ]


def classify(files: Iterable[Path], predict: Predict) -> Iterator[Result]:
    """Classify image files, one after the other.

    A file that cannot be read, or that the network cannot take, gives a
    result with an error.
    """
    for file in files:
        try:
            yield Result(file, predict(file))
        except ImageError as error:  # names the file
            yield Result(file, error=str(error))
        except ValueError as error:
            yield Result(file, error=f'Cannot classify {file}: {error}')


def drawing_paths(images: Dict[Path, Path], folder: Path) -> Dict[Path, Path]:
    """Where the pictures of :func:`find_images` are to be drawn.

    Raises:
        ValueError: If two would be one file, or one is an image itself.
    """
    inputs = {path.resolve() for path in images}
    drawn: Dict[Path, Path] = {}
    for image, place in images.items():
        path = folder / place.with_suffix('.png')
        if path.resolve() in inputs:
            raise ValueError(f'{path} is one of the images and would be '
                             'overwritten. Draw into another folder.')
        if path in drawn:
            raise ValueError(f'{drawn[path]} and {image} would both be drawn '
                             f'as {path}. Draw them into different folders.')
        drawn[path] = image
    return {image: path for path, image in drawn.items()}


def draw(image: np.ndarray, prediction: Prediction) -> Image.Image:
    """Write the classes of an image and their scores on it.

    Args:
        image (ndarray): ``(H, W, 3)`` uint8, RGB. A small one is enlarged.
        prediction (Prediction): Its classes.
    """
    picture = Image.fromarray(image)
    factor = min(-(-SHORT_EDGE // min(picture.size)),
                 LONG_EDGE // max(picture.size))
    if factor > 1:
        size = (picture.width * factor, picture.height * factor)
        picture = picture.resize(size, Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(picture, 'RGBA')
    size = max(12, min(picture.size) // 24)
    font = ImageFont.load_default(size)
    lines = [
        _shorten(f'{score:.3f} {name}', pen, font, picture.width - size)
        for name, score in zip(names(prediction), prediction.scores)
    ]
    text, corner = '\n'.join(lines), (size // 2, size // 2)
    left, top, right, bottom = pen.multiline_textbbox(corner, text, font)
    margin = size // 3
    pen.rectangle(
        (left - margin, top - margin, right + margin, bottom + margin),
        BACKGROUND)
    pen.multiline_text(corner, text, TEXT, font)
    return picture


def names(prediction: Prediction) -> List[str]:
    """What to call the classes; what a terminal would obey is escaped."""
    called = prediction.names or map(str, prediction.labels)
    return [printable(name) for name in called]


def printable(text: str) -> str:
    """A text of unknown origin as it can be shown."""
    return text if text.isprintable() else ascii(text)


def _shorten(line: str, pen: ImageDraw.ImageDraw, font, width: int) -> str:
    """Cut a line so that it is as wide as this at most."""
    if pen.textlength(line, font) <= width:
        return line
    while line and pen.textlength(f'{line}...', font) > width:
        line = line[:-1]
    return f'{line}...'
