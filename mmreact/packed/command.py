"""What the commands that classify image files have in common."""
import argparse
import csv
import io
import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, Optional, Sequence, Union

from .container import write
from .image_files import (Predict, Result, classify, draw, drawing_paths,
                          find_images, names, printable)
from .model import PackedModel
from .reading import read_image

COLUMNS = ('file', 'rank', 'label', 'name', 'score', 'error')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what :func:`run` takes, but for the images."""
    parser.add_argument(
        '--topk',
        type=int,
        default=5,
        help='how many classes to show, if there are so many (default: 5)')
    parser.add_argument(
        '--out-dir',
        '--show-dir',
        metavar='DIR',
        help='draw the classes on the images and save them here as PNG')
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        '--csv',
        dest='form',
        action='store_const',
        const='csv',
        help='print a table with a row for each class of each image')
    form.add_argument(
        '--json',
        dest='form',
        action='store_const',
        const='json',
        help='print a line of JSON for each image')
    parser.set_defaults(form='text')


def is_name(model: str) -> bool:
    """Whether a model is given by a name of the catalogue, not by a file."""
    return not ('/' in model or Path(model).exists() or model.endswith(
        ('.safetensors', '.pth', '.py')))


def open_packed(model: str,
                backend: str = 'auto',
                threads: Optional[int] = None) -> PackedModel:
    """Open a packed file, or the one of a name.

    Raises:
        PackedFileError, BackendMissingError: See :class:`PackedModel`.
        ZooError: If there is no such name, or no packed file of it.
    """
    if is_name(model):
        return PackedModel.from_zoo(model, backend=backend, threads=threads)
    return PackedModel(model, backend, threads)


def packed_predict(model: PackedModel, topk: int) -> Predict:
    """What classifies image files with a packed network.

    Says on standard error what the network was trained on.

    Args:
        model (PackedModel): The network.
        topk (int): How many classes to give, or all if there are fewer.

    Raises:
        ValueError: If it does not take images or does not give classes.
    """
    if model.preprocessing is None:
        raise ValueError('The packed file has no preprocessing and so cannot '
                         'take images. Pack the checkpoint again, without '
                         '--no-preprocessing.')
    program = model.program
    shape = program.infer(program.input_shape)[program.output].shape
    if len(shape) != 2:
        raise ValueError(f'The output of the packed file has shape {shape}, '
                         'which is not (N, num_classes).')
    topk = min(topk, shape[1])
    say_trained_on(model.source.get('images', ''))
    return lambda file: model.predict(file, topk)[0]


def say_trained_on(images: str) -> None:
    """Say what a network can know, if that is known."""
    if images:
        print(
            f'Note: the network was trained on {printable(images)}. What '
            'looks different gets a class, and often a high score, all the '
            'same.',
            file=sys.stderr)


def as_text(result: Result) -> str:
    """The file, and a line for each class."""
    prediction = result.prediction
    if prediction is None:
        return ''  # its error goes to the other stream
    lines = [printable(str(result.file))]
    for label, score, name in zip(prediction.labels, prediction.scores,
                                  names(prediction)):
        lines.append(f'  {score:.4f}  ' +
                     (f'{name} ({label})' if prediction.names else name))
    return '\n'.join(lines) + '\n'


def as_json(result: Result) -> str:
    """One line; the classes are objects, best first."""
    row: dict = dict(file=str(result.file))
    if result.prediction is None:
        row.update(error=result.error)
    else:
        row.update(classes=_rows(result))
    return json.dumps(row) + '\n'


def as_csv(result: Result) -> str:
    """A row for each class; for an image without any, one with its error."""
    rows = [dict(row, rank=rank) for rank, row in enumerate(_rows(result), 1)]
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator='\n')
    for row in rows or [dict(error=result.error)]:
        writer.writerow(dict(row, file=result.file))
    return text.getvalue()


def _rows(result: Result) -> list:
    prediction = result.prediction
    if prediction is None:
        return []
    called = prediction.names or (None, ) * len(prediction.labels)
    return [
        dict(label=label, name=name,
             score=score) for label, name, score in zip(
                 prediction.labels, called, prediction.scores)
    ]


#: Form of the output -> what comes first, what comes for each result.
FORMS = dict(
    text=('', as_text),
    csv=(','.join(COLUMNS) + '\n', as_csv),
    json=('', as_json))


@contextmanager
def progress_bar(total: int) -> Iterator[Callable[[], None]]:
    """Give what counts an image: a bar on a terminal if there are several."""
    if total < 2 or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import (BarColumn, MofNCompleteColumn, Progress,
                               TextColumn, TimeRemainingColumn)
    columns = (TextColumn('images'), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())
    # On the same terminal, lines are printed above the bar.
    with Progress(
            *columns,
            console=Console(stderr=True),
            redirect_stdout=sys.stdout.isatty()) as bars:
        task = bars.add_task('', total=total)
        yield lambda: bars.advance(task)


def run(paths: Sequence[str], load: Callable[[int], Predict],
        args: argparse.Namespace) -> Union[int, str]:
    """Classify image files and print what is found.

    Args:
        paths (Sequence[str]): Files and folders.
        load (Callable): Called with ``--topk``, gives what classifies an
            image. It is called after the images are found.
        args (Namespace): Of :func:`add_arguments`.

    Returns:
        int | str: What to exit with: 0, or something else if images could
        not be classified. They are named on standard error.

    Raises:
        ValueError: If there is nothing to classify, or ``args`` cannot be
            meant.
    """
    if args.topk < 1:
        raise ValueError(f'--topk takes a positive number, not {args.topk}.')
    images = find_images(paths)
    drawn = {}
    if args.out_dir is not None:
        drawn = drawing_paths(images, Path(args.out_dir))
    predict = load(args.topk)
    sys.stdout.reconfigure(errors='backslashreplace')
    first, form = FORMS[args.form]
    sys.stdout.write(first)
    failed = 0
    with progress_bar(len(images)) as count:
        for result in classify(images, predict):
            if result.error:
                failed += 1
                print(f'Error: {printable(result.error)}', file=sys.stderr)
            elif drawn:
                _save(result, drawn[result.file])
            sys.stdout.write(form(result))
            sys.stdout.flush()
            count()
    if failed and len(images) > 1:
        return f'Error: {failed} of {len(images)} images were not classified.'
    return int(failed > 0)


def _save(result: Result, path: Path) -> None:
    picture = io.BytesIO()
    draw(read_image(result.file), result.prediction).save(picture, 'PNG')
    write(path, picture.getvalue())
