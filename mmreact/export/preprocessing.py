"""The test pipeline of a config as the preprocessing of a packed file."""
from dataclasses import replace
from typing import Callable, Dict, Optional, Sequence, Tuple

from ..packed.preprocessing import Preprocessing
from ..packed.resizing import Resize
from .draft import LoweringError

#: Backend of MMCV -> library of packed files.
LIBRARIES = dict(pillow='pillow', cv2='opencv')
#: Filter of a resizing that a pipeline does not have.
FILTER = 'lanczos'
#: Type of a transform -> function(its config, the preprocessing so far).
TRANSFORMS: Dict[str, Callable[[dict, dict], None]] = {}


def reads(*names: str):
    """Make a row: the decorated function reads these transforms."""

    def register(function: Callable) -> Callable:
        TRANSFORMS.update(dict.fromkeys(names, function))
        return function

    return register


def read_preprocessing(pipeline: Sequence[dict],
                       data_preprocessor: Optional[dict] = None,
                       channels: int = 3) -> Preprocessing:
    """Read what a network's images go through when it is tested.

    Args:
        pipeline (Sequence[dict]): Configs of the transforms. Images are BGR
            if they are loaded here, else as the data set gives them: RGB.
        data_preprocessor (dict, optional): Config of MMPretrain's
            ``ClsDataPreprocessor``.
        channels (int): Of the network's input, 1 or 3. Defaults to 3.

    Raises:
        LoweringError: Names a transform or an option that has no counterpart.
    """
    found: dict = dict(order='rgb', channels=channels)
    for transform in pipeline:
        name = transform['type']
        if name not in TRANSFORMS:
            raise LoweringError(
                f'The transform {name!r} of the test pipeline has no '
                'counterpart in packed files. Known: '
                f'{", ".join(TRANSFORMS)}. Change the pipeline, or pack '
                'without preprocessing.')
        TRANSFORMS[name](transform, found)
    found.pop('channels')
    order = found.pop('order')
    options = dict(data_preprocessor or {})
    _require(
        options.get('type', 'ClsDataPreprocessor') == 'ClsDataPreprocessor'
        and options.get('pad_size_divisor', 1) == 1, 'data_preprocessor',
        options, 'a ClsDataPreprocessor without padding')
    if options.get('to_rgb'):
        order = order[::-1]
    mean, std = (_per_channel(options.get(key), default, channels)
                 for key, default in (('mean', 0.), ('std', 1.)))
    return Preprocessing(
        **found,
        mean=mean,
        std=std,
        channels='gray' if channels == 1 else order)


def take_any_size(made: Preprocessing,
                  size: Tuple[int, int],
                  objects: bool = False) -> Preprocessing:
    """Put a resizing before a pipeline that was made for images of one size.

    Images of this size get the same pixels as before.

    Args:
        made (Preprocessing): Of the pipeline, which does not resize.
        size (tuple[int]): Height and width of the data set's images.
        objects (bool): Whether they show single objects on black, which are
            cut out and centred. Photographs cover the size, and what is
            beyond its edges is cut off.
    """
    crop = made.crop and (min(made.crop[0], size[0]), min(
        made.crop[1], size[1]))
    if objects:
        crop = None if crop == size else crop
    mode = 'object' if objects else 'cover'
    return replace(
        made,
        resize=Resize(mode=mode, size=size, filter=FILTER),
        crop=crop if objects else crop or size)


def _per_channel(values, default: float, channels: int) -> Tuple[float, ...]:
    values = [default] if values is None else list(values)
    values = values * channels if len(values) == 1 else values
    return tuple(map(float, values))


def _require(condition: bool, name: str, given: dict, known: str) -> None:
    if not condition:
        raise LoweringError(f'{name} of the test pipeline is {dict(given)}; '
                            f'packed files know {known}. Change it, or pack '
                            'without preprocessing.')


@reads('PackInputs', 'SeedAugmentation')
def nothing(transform: dict, found: dict) -> None:
    """What does not change the pixels of a test image."""


@reads('LoadImage', 'FastLoadImage', 'LoadImageFromFile')
def load_image(transform: dict, found: dict) -> None:
    default = 'cv2' if transform['type'] == 'LoadImageFromFile' else 'pillow'
    decoder = transform.get('imdecode_backend', default)
    kinds = [('pillow', 'color'), ('cv2', 'color')]
    if found['channels'] == 1:
        kinds.append(('pillow', 'grayscale'))
    _require((decoder, transform.get('color_type', 'color')) in kinds,
             transform['type'], transform,
             "imdecode_backend='pillow' or 'cv2' and color_type='color', and "
             "for networks of one channel 'grayscale' with 'pillow'")
    found.update(order='bgr', decoder=LIBRARIES[decoder])


@reads('ResizeEdge')
def resize_edge(transform: dict, found: dict) -> None:
    """Length of an edge; the other one keeps the ratio."""
    mode = transform.get('edge', 'short')
    found['resize'] = _resize(transform, found, mode, transform['scale'])


@reads('Resize')
def resize(transform: dict, found: dict) -> None:
    """MMCV's: width and height, or what they have to hold."""
    scale = transform.get('scale')
    _require(scale is not None, 'Resize', transform, 'one with scale')
    size = (scale, scale) if isinstance(scale, int) else tuple(scale[::-1])
    mode = 'fit' if transform.get('keep_ratio') else 'stretch'
    found['resize'] = _resize(transform, found, mode, size)


def _resize(transform: dict, found: dict, mode: str, size) -> Resize:
    name = transform['type']
    _require(not {'resize', 'crop', 'pad'} & set(found), name, transform,
             'one resizing, before crop and padding')
    backend = transform.get('backend', 'cv2')
    _require(backend in LIBRARIES, name, transform,
             "backend='pillow' or 'cv2'")
    try:
        return Resize(
            mode=mode,
            size=size,
            filter=transform.get('interpolation', 'bilinear'),
            library=LIBRARIES[backend])
    except ValueError as error:
        raise LoweringError(f'{name} of the test pipeline: {error}') from error


@reads('CenterCrop')
def center_crop(transform: dict, found: dict) -> None:
    _require(
        not transform.get('auto_pad') and not {'crop', 'pad'} & set(found),
        'CenterCrop', transform, 'one without auto_pad and before padding')
    size = transform['crop_size']  # (width, height)
    found['crop'] = (size,
                     size) if isinstance(size, int) else tuple(size[::-1])


@reads('RandomCrop')
def random_crop(transform: dict, found: dict) -> None:
    """A padding, if after it nothing is left to crop.

    That holds for images of ``crop_size`` without the padding, which larger
    ones are cropped to.
    """
    size, pad = transform['crop_size'], transform.get('padding') or 0
    height, width = (size, size) if isinstance(size, int) else size
    pad = (pad, ) if isinstance(pad, int) else tuple(pad)
    left, top, right, bottom = pad * (4 // len(pad))
    inner = (height - top - bottom, width - left - right)
    _require(
        found.get('crop', inner) == inner and min(inner) > 0
        and not transform.get('pad_if_needed') and not transform.get('pad_val')
        and transform.get('padding_mode', 'constant') == 'constant'
        and 'pad' not in found, 'RandomCrop', transform,
        'one that adds zeros and after which nothing is left to crop')
    found.update(crop=inner, pad=(left, top, right, bottom))
