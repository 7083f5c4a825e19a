"""Look for what would stop a plan, before its first run starts."""
import os
from pathlib import Path
from typing import List

from mmengine.config import Config
from mmpretrain.registry import DATASETS, MODELS

from ...utils.checkpoint import check_file, check_match, download, is_url
from .plan import Run


def check_plan(runs: List[Run], reset_head: bool = False) -> None:
    """Check data, files, classes and hand-overs of all unfinished runs.

    Published weights of a teacher are downloaded here.

    Raises:
        FileNotFoundError, ValueError, CheckpointError: The first thing that
            is wrong, with what to do about it.
    """
    for run in runs:
        if run.final_checkpoint.is_file():
            continue
        for key in ('train', 'val'):
            if run.cfg.get(f'{key}_dataloader') is not None:
                check_dataset(run.cfg[f'{key}_dataloader'].dataset)
        if isinstance(run.start_from, Path):
            check_file(run.start_from)
        check_teacher(run)
        if isinstance(run.teacher, str):
            source = run.teacher
            download(source) if is_url(source) else check_file(source)
        if isinstance(run.start_from, Run):
            check_hand_over(run.start_from, run, reset_head)


def check_dataset(dataset: dict) -> None:
    """Check that the files of a data set config are there.

    Raises:
        FileNotFoundError: If the root or a folder is missing.
        ValueError: If a class folder holds no image.
    """
    while 'dataset' in dataset:  # wrappers
        dataset = dataset['dataset']
    root = dataset.get('data_root')
    if not root:
        return
    if not os.path.isdir(root):
        raise FileNotFoundError(
            f'The data root {root} of {dataset["type"]} does not exist. '
            'Prepare the data set there (see README, "Data"), or give '
            '--data-root DIR.')
    dataset_class = DATASETS.get(dataset['type'])
    if not hasattr(dataset_class, '_find_samples') or dataset.get('ann_file'):
        return  # not read from class folders
    split = dataset.get('split', '')
    if os.path.isfile(os.path.join(root, 'meta', f'{split}.txt')):
        return
    folder = Path(root, dataset.get('data_prefix') or split)
    if not folder.is_dir():
        raise FileNotFoundError(
            f'{dataset["type"]} expects a folder for each class in {folder}, '
            'which does not exist.')
    extensions = tuple(
        dataset.get(
            'extensions',
            getattr(
                dataset_class, 'IMG_EXTENSIONS',
                ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif'))))
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    if not classes:
        raise FileNotFoundError(f'There is no class folder in {folder}.')
    for path in classes:
        if not any(name.lower().endswith(extensions)
                   for _, _, names in os.walk(path) for name in names):
            raise ValueError(f'The class folder {path} holds no image '
                             f'({", ".join(extensions)}). Fill or remove it.')


def check_teacher(run: Run) -> None:
    """Check that a distilled model has a teacher, with the same classes.

    Raises:
        ValueError: If it has not.
    """
    teacher = run.cfg.model.get('teacher')
    if teacher is None:
        return
    if run.teacher is None:
        raise ValueError(f'The teacher of {run.name} has no weights: set '
                         '`model.teacher.checkpoint` or give --teacher CKPT.')
    model = teacher.get('model')
    if teacher.get('config'):
        model = Config.fromfile(teacher.config).model
        if isinstance(run.teacher, Run):
            model = run.teacher.cfg.model
    theirs = (model.get('head') or {}).get('num_classes')
    ours = run.cfg.model.head.get('num_classes')
    if theirs != ours:
        raise ValueError(
            f'{run.name} has {ours} classes, its teacher {theirs}. Take a '
            'teacher that was trained on the same classes.')


def check_hand_over(first: Run, second: Run, reset_head: bool) -> None:
    """Check that the second run's model takes all weights of the first's.

    Raises:
        CheckpointError: Names every key that does not match.
    """
    built = []
    for run in (first, second):
        cfg = run.cfg.model.copy()
        cfg.setdefault('data_preprocessor', run.cfg.get('data_preprocessor'))
        built.append(MODELS.build(cfg))
    given, model = built
    state_dict = given.state_dict()
    if reset_head:
        fresh = model.state_dict()
        state_dict = {
            **{
                k: v
                for k, v in state_dict.items() if k[:5] != 'head.'
            },
            **{
                k: v
                for k, v in fresh.items() if k[:5] == 'head.'
            }
        }
    check_match(
        model, state_dict, f'The model of {first.name}, from which '
        f'{second.name} starts,')
