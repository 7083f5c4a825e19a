"""Look for what would stop a plan, before its first run starts."""
import os
from pathlib import Path
from typing import List, Optional, Tuple

from mmpretrain.registry import DATASETS, MODELS

from ...utils.checkpoint import (RESET_HINT, as_they_are, download,
                                 find_weights, is_url, load_checkpoint,
                                 with_batch_counters, with_head_of)
from ...utils.config_files import read_config
from ...utils.recording import find_layers
from .plan import Run

#: What MMPretrain's CustomDataset reads.
IMG_EXTENSIONS = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif')


def check_plan(runs: List[Run], reset_head: bool = False) -> None:
    """Check data, files, classes and hand-overs of runs to be trained.

    Published weights of a teacher are downloaded here.

    Raises:
        FileNotFoundError, ValueError, CheckpointError: The first thing that
            is wrong, with what to do about it.
    """
    for run in runs:
        for key in ('train', 'val'):
            if run.cfg.get(f'{key}_dataloader') is not None:
                check_dataset(run.cfg[f'{key}_dataloader'].dataset,
                              get_num_classes(run.cfg.model))
        check_teacher(run)
        if run.start_from is not None:
            check_hand_over(run, reset_head and run is runs[-1])


def get_num_classes(model: dict) -> Optional[int]:
    """Return the classes of a classifier's config, None where it has none.

    They are the head's, or the backbone's where that holds the last layer
    itself, as MMPretrain's VGG.
    """
    for part in ('head', 'backbone'):
        number = (model.get(part) or {}).get('num_classes', -1)
        if number > 0:
            return number
    return None


def check_dataset(dataset: dict, num_classes: Optional[int] = None) -> None:
    """Check that the files of a data set config are there.

    Args:
        dataset (dict): Config of a data set, or of wrappers around some.
        num_classes (int, optional): Classes of the model, compared with the
            number of class folders.

    Raises:
        FileNotFoundError: If the root or a folder is missing.
        ValueError: If a class folder holds no image, or their number is not
            that of the model's classes.
    """
    if 'dataset' in dataset or 'datasets' in dataset:  # wrappers
        for inner in dataset.get('datasets') or [dataset['dataset']]:
            check_dataset(inner, num_classes)
        return
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
    prefix = dataset.get('data_prefix') or split
    if isinstance(prefix, dict):
        prefix = prefix.get('img_path', '')
    extensions = dataset.get('extensions') or getattr(
        dataset_class, 'IMG_EXTENSIONS', IMG_EXTENSIONS)
    _check_class_folders(Path(root, prefix), tuple(extensions), num_classes)


def _check_class_folders(folder: Path, extensions: Tuple[str, ...],
                         num_classes: Optional[int]) -> None:
    """Check a folder that holds one of images for each class."""
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder} does not exist. It should hold a '
                                'folder of images for each class.')
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    if not classes:
        raise FileNotFoundError(f'There is no class folder in {folder}.')
    for path in classes:
        if not any(name.lower().endswith(extensions)
                   for _, _, names in os.walk(path) for name in names):
            raise ValueError(f'The class folder {path} holds no image '
                             f'({", ".join(extensions)}). Fill or remove it.')
    if num_classes not in (None, len(classes)):
        raise ValueError(
            f'{folder} holds {len(classes)} class folders, the model has '
            f'{num_classes} classes. For one\'s own images give --cfg-options '
            f'model.head.num_classes={len(classes)} (VGG: model.backbone.'
            f'num_classes) data_preprocessor.num_classes={len(classes)}.')


def check_teacher(run: Run) -> None:
    """Check a distilled model's teacher: its weights, classes and layers.

    Raises:
        ValueError: If there is none, it has other classes, or layers to
            compare do not exist.
        CheckpointError: If its checkpoint cannot be had or does not fit.
    """
    teacher = run.cfg.model.get('teacher')
    if teacher is None:
        return
    if run.teacher is None:
        raise ValueError(f'The teacher of {run.name} has no weights: set '
                         '`model.teacher.checkpoint` or give --teacher CKPT.')
    model = teacher.get('model')
    if isinstance(run.teacher, Run):
        model = run.teacher.cfg.model
    elif teacher.get('config'):
        model = read_config(teacher.config).model
    theirs, ours = get_num_classes(model), get_num_classes(run.cfg.model)
    if theirs not in (None, ours):  # unknown: compared when it is first used
        raise ValueError(
            f'{run.name} has {ours} classes, its teacher {theirs}. Take a '
            'teacher that was trained on the same classes.')
    if teacher.get('feature_layers'):
        MODELS.build(run.cfg.model)  # checks the student's
        find_layers(MODELS.build(model), teacher.feature_layers)
    if isinstance(run.teacher, str):
        source = download(run.teacher) if is_url(run.teacher) else run.teacher
        find_weights(
            MODELS.build(model), load_checkpoint(source),
            f'Teacher {run.teacher}', with_batch_counters)


def check_hand_over(run: Run, reset_head: bool) -> None:
    """Check that a run's model takes all weights of what it starts from.

    Raises:
        CheckpointError: Names keys that do not match.
    """
    model = MODELS.build(run.cfg.model)
    source = run.start_from
    if isinstance(source, Run):
        content = MODELS.build(source.cfg.model).state_dict()
        name = f'The model of {source.name}, from which {run.name} starts,'
    else:
        content = load_checkpoint(source)
        name = f'Checkpoint {source}'
    find_weights(model, content, name,
                 with_head_of if reset_head else as_they_are, RESET_HINT)
