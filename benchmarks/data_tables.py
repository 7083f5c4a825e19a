"""The tables of docs/training.md, made of the results."""
import math
from typing import Callable, Dict

from .tables import table
from .targets import Results

RECIPES = dict(
    resized_crop='RandomResizedCrop', plain_crop='resized, RandomCrop')
DEFAULT = 'resized_crop', 'Pillow', 'Pillow'
FAST = 'resized_crop', 'FastLoadImage', 'FastRandomResizedCrop'
#: What the example of cores assumes.
GPUS, BATCH, STEP_TIMES_MS = 8, 32, (50, 100, 200)


def rows_by_key(results: Results) -> dict:
    return {
        (row['recipe'], row['decoder'], row['resizer']): row
        for row in results['data']['results']
    }


def rate(results: Results, row: dict, which: str = 'median_ms') -> float:
    """Images that one core prepares in a second."""
    return 1000 * results['data']['images_per_call'] / row[which]


def data(results: Results) -> str:
    """Rates of all contenders, and how far their pixels are apart."""
    rows, first = [], {}
    for (recipe, decoder, resizer), row in rows_by_key(results).items():
        own = first.setdefault(recipe, row)
        apart = row['difference']
        rows.append([
            RECIPES[recipe], decoder, resizer, *[
                f'{rate(results, row, which):.0f}'
                for which in ('min_ms', 'median_ms')
            ], *[
                f'{own[which] / row[which]:.2f}'
                for which in ('min_ms', 'median_ms')
            ], *(['own draws', '–'] if apart is None else
                 [f'{apart["share"]:.1%}',
                  str(apart['largest'])])
        ])
    doc = results['data']
    images, versions = doc['images'], doc['machine']['versions']
    texts = [
        f'`{doc["command"]}`, {doc["machine"]["cpu"]}, {doc["date"]}: '
        f'{images["number"]} photographs, {images["size"][0]}x'
        f'{images["size"][1]}, {images["bytes"] / 1000:.0f} kB on average; '
        f'Pillow {versions["pillow"]}, OpenCV {versions["opencv-python"]}, '
        f'torch {versions["torch"]}, torchvision {versions["torchvision"]}.'
    ] + [
        f'Left out: {s["contender"]} ({s["reason"]}).' for s in doc['skipped']
    ]
    return table([
        'crop', 'decodes', 'resizes', 'images/s of a core: fastest', 'median',
        'faster than the config: minima', 'medians', 'values that differ',
        'at most by'
    ], rows, 3) + '\n\n' + ' '.join(texts)


def cores_needed(gpus: int, batch: int, step_ms: float, rate: float) -> int:
    """Whole cores that keep GPUs busy.

    Args:
        gpus (int): GPUs.
        batch (int): Images of each GPU and step.
        step_ms (float): Milliseconds of a step.
        rate (float): Images that one core prepares in a second.
    """
    return math.ceil(gpus * batch * 1000 / step_ms / rate)


def cores(results: Results) -> str:
    """Cores for some step times, with the medians above."""
    rates = [
        rate(results,
             rows_by_key(results)[key]) for key in (DEFAULT, FAST)
    ]
    rows = [[
        f'{step} ms', f'{GPUS * BATCH * 1000 / step:.0f}',
        *[str(cores_needed(GPUS, BATCH, step, r)) for r in rates]
    ] for step in STEP_TIMES_MS]
    return table([
        f'a step of {GPUS} x {BATCH} images (assumed)', 'images/s',
        f'cores, as the config is ({rates[0]:.0f} images/s)',
        f'cores, fast ({rates[1]:.0f} images/s)'
    ], rows)


#: Name in the page -> function of the results.
SECTIONS: Dict[str, Callable[[Results], str]] = dict(data=data, cores=cores)
