"""Time what a data worker does with a training image.

Reading the file, decoding it, cropping, resizing, flipping and packing, as the
configs have it, by what can decode and resize. All runs on one thread, the
times are what the processor computed, and a call takes all photographs
through EPOCHS epochs of crops. The photographs are ImageNet's in the package
foolbox, in the size and compression of most of ImageNet's files.
"""
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, ImageOps

from mmreact.packed.benchmark import statistics

from .harness import (add_skip_missing, document, finish, load_average,
                      measure, missing, parser, say)

DATASETS = Path(__file__).parents[1] / 'configs' / '_base_' / 'datasets'
#: Name -> config with the training pipeline.
RECIPES = dict(
    resized_crop='imagenet_bs32.py', plain_crop='imagenet_bs32_crop.py')
DECODERS = {
    'Pillow': {},
    'OpenCV': dict(imdecode_backend='cv2'),
    'TurboJPEG': dict(imdecode_backend='turbojpeg'),
    'FastLoadImage': dict(type='FastLoadImage'),
}
RESIZERS = {
    'Pillow': {},
    'OpenCV': dict(backend='cv2'),
    'FastRandomResizedCrop': dict(type='FastRandomResizedCrop'),
}
TORCHVISION = 'torchvision'
#: (recipe, decoder, resizer); the first of a recipe is its config's.
CONTENDERS = [
    ('resized_crop', 'Pillow', 'Pillow'),
    ('resized_crop', 'OpenCV', 'Pillow'),
    ('resized_crop', 'TurboJPEG', 'Pillow'),
    ('resized_crop', 'FastLoadImage', 'Pillow'),
    ('resized_crop', 'Pillow', 'FastRandomResizedCrop'),
    ('resized_crop', 'FastLoadImage', 'FastRandomResizedCrop'),
    ('resized_crop', 'OpenCV', 'OpenCV'),
    ('resized_crop', TORCHVISION, TORCHVISION),
    ('plain_crop', 'Pillow', 'Pillow'),
    ('plain_crop', 'FastLoadImage', 'Pillow'),
    ('plain_crop', 'OpenCV', 'OpenCV'),
]
EPOCHS = 3
SIZE, QUALITY = (500, 375), 96


def write_photographs(folder: Path) -> list:
    """Photographs as most of ImageNet's files are; returns their paths.

    Raises:
        ImportError: If foolbox is not installed.
    """
    spec = find_spec('foolbox')
    if spec is None:
        raise ImportError('foolbox, whose photographs are needed, is not '
                          'installed: pip install --no-deps -r '
                          'requirements/photographs.txt')
    package = Path(spec.submodule_search_locations[0])
    paths = []
    for source in sorted(package.glob('data/imagenet_*.jpg')):
        paths.append(str(folder / source.name))
        with Image.open(source) as image:
            ImageOps.fit(image, SIZE).save(
                paths[-1], quality=QUALITY, subsampling=0)
    return paths


def config_run(recipe: str, decoder: str, resizer: str, paths: list):
    """A function that returns all images as the config's pipeline has them.

    Raises:
        ImportError: If the decoder is not installed.
    """
    import mmcv
    from mmcv.transforms import Compose
    from mmengine.config import Config
    from mmpretrain.registry import TRANSFORMS

    import mmreact.datasets.transforms  # noqa: F401
    if decoder == 'TurboJPEG':
        try:
            mmcv.use_backend('turbojpeg')  # makes the decoder
        except RuntimeError as error:
            raise ImportError(error) from error
        finally:  # MMCV has chosen it also where it is missing
            mmcv.use_backend('cv2')
    steps = Config.fromfile(DATASETS / RECIPES[recipe]).train_pipeline
    for step in steps:
        if step.type == 'LoadImage':
            step.update(DECODERS[decoder])
        elif 'backend' in step:
            step.update(RESIZERS[resizer])
    pipeline = Compose([TRANSFORMS.build(step) for step in steps])

    def run():
        images = []
        for epoch in range(EPOCHS):
            pipeline.transforms[0].set_epoch(0, epoch)
            images += [
                pipeline(dict(img_path=path, sample_idx=i))['inputs']
                for i, path in enumerate(paths)
            ]
        return images

    return run


def torchvision_run(paths: list):
    """The same with torchvision alone, which draws crops of its own."""
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg, read_file
    from torchvision.transforms import v2
    transform = v2.Compose(
        [v2.RandomResizedCrop(224, antialias=True),
         v2.RandomHorizontalFlip()])

    def run():
        torch.manual_seed(0)
        return [
            transform(decode_jpeg(read_file(path), ImageReadMode.RGB))
            for _ in range(EPOCHS) for path in paths
        ]

    return run


def differences(images: list, expected: list) -> dict:
    """Of pixels, in grey levels: the largest, and the share that differs."""
    apart = [
        np.abs(a.numpy().astype(int) - b.numpy())
        for a, b in zip(images, expected)
    ]
    return dict(
        largest=int(max(d.max() for d in apart)),
        share=float(np.mean([(d > 0).mean() for d in apart])))


def prepare(paths: list, skip_missing: bool):
    """The contenders' functions, and what was left out."""
    runs, skipped = {}, []
    for key in CONTENDERS:
        try:
            runs[key] = (
                torchvision_run(paths) if TORCHVISION in key else config_run(
                    *key, paths))
        except ImportError as error:
            if not skip_missing:
                raise
            say(f'  left out: {error}')
            skipped.append(dict(contender='/'.join(key), reason=str(error)))
    return runs, skipped


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    args = parser(__doc__.splitlines()[0], rounds=10, sized=False)
    add_skip_missing(args)
    args = args.parse_args(argv)
    import cv2
    import torch
    before = load_average()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with TemporaryDirectory() as folder:
        say('preparing')
        try:
            paths = write_photographs(Path(folder))
            runs, skipped = prepare(paths, args.skip_missing)
        except ImportError as error:
            return missing(error)
        apart, expected = {}, {}
        for key, run in runs.items():
            if TORCHVISION not in key:
                images = run()
                first = expected.setdefault(key[0], images)
                apart[key] = differences(images, first)
        say('timing')
        seconds = measure(runs, args.rounds, time.process_time)
        file_bytes = np.mean([Path(path).stat().st_size for path in paths])
    finish(
        document(
            'benchmarks.data',
            argv,
            before,
            images=dict(
                number=len(paths),
                size=list(SIZE),
                quality=QUALITY,
                bytes=float(file_bytes)),
            images_per_call=EPOCHS * len(paths),
            skipped=skipped,
            results=[
                dict(
                    recipe=key[0],
                    decoder=key[1],
                    resizer=key[2],
                    **statistics(seconds[key]),
                    difference=apart.get(key)) for key in runs
            ]), args.json)


if __name__ == '__main__':
    sys.exit(main())
