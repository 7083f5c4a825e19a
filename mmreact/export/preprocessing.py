"""The test pipeline of a config as the preprocessing of a packed file."""
from typing import Callable, Dict, Optional, Sequence, Tuple

from ..packed.preprocessing import Preprocessing
from .draft import LoweringError

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
    found: dict = dict(order='rgb')
    for transform in pipeline:
        name = transform['type']
        if name not in TRANSFORMS:
            raise LoweringError(
                f'The transform {name!r} of the test pipeline has no '
                'counterpart in packed files. Known: '
                f'{", ".join(TRANSFORMS)}. Change the pipeline, or pack '
                'without preprocessing.')
        TRANSFORMS[name](transform, found)
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
    decoder = 'cv2' if transform['type'] == 'LoadImageFromFile' else 'pillow'
    _require((transform.get('imdecode_backend', decoder),
              transform.get('color_type', 'color')) == ('pillow', 'color'),
             transform['type'], transform,
             "imdecode_backend='pillow' and color_type='color'")
    found['order'] = 'bgr'


@reads('ResizeEdge')
def resize_edge(transform: dict, found: dict) -> None:
    options = dict(edge='short', backend='cv2', interpolation='bilinear')
    options.update(transform)
    _require((options['edge'], options['backend'], options['interpolation'])
             == ('short', 'pillow', 'bilinear')
             and not {'resize_short', 'crop', 'pad'} & set(found),
             'ResizeEdge', transform,
             "edge='short' and backend='pillow', once and first")
    found['resize_short'] = transform['scale']


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
