"""PackedModel: what it takes and gives, and the choice of the backend."""
import copy
import gc
import pickle
import re
import sys
import types
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from mmreact.packed import (BACKENDS, INPUT, BackendMissingError, PackedFile,
                            PackedFileError, PackedModel, Prediction,
                            Preprocessing, Program, ops, save_packed)
from mmreact.packed.backends import create_backend
from mmreact.packed.model import top_classes
from mmreact.packed.reference import ReferenceBackend


def images(number, height=14, width=17, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (number, height, width, 3), dtype=np.uint8)


@pytest.fixture
def model(packed):
    return PackedModel(packed, 'reference')


def test_all_kinds_of_images_give_the_same(packed, model, tmp_path):
    """Float arrays, uint8 arrays, lists, paths and mixtures."""
    batch = images(3)
    paths = [tmp_path / f'{i}.png' for i in range(3)]
    for path, image in zip(paths, batch):
        Image.fromarray(image).save(path)
    x = packed.preprocessing(batch)
    expected = ReferenceBackend(packed.program).run(x, ['head.fc'])['head.fc']
    assert expected.std() > 0
    mixture = (str(paths[0]), batch[1], paths[2])
    turned = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    for given in (x, turned, x.astype(np.float64), batch, list(batch), paths,
                  mixture):
        logits = model(given)
        assert logits.dtype == np.float32 and logits.shape == (3, 5)
        assert np.array_equal(logits, expected)
    for single in (batch[1], paths[1], str(paths[1])):
        assert np.array_equal(model(single), expected[1:2])


def test_from_a_file(packed, tmp_path):
    save_packed(tmp_path / 'net', packed)
    for path in (tmp_path / 'net', str(tmp_path / 'net')):
        model = PackedModel(path, 'reference', threads=1)
        assert model.classes == packed.classes
        assert model.backend.name == 'reference'
        assert model.program.output == 'head.fc'
        expected = PackedModel(packed, 'reference')(images(2))
        assert np.array_equal(model(images(2)), expected)
    with pytest.raises(PackedFileError, match=f'{tmp_path / "no"}: No such'):
        PackedModel(tmp_path / 'no')


def test_features(packed, model):
    """In the order of the file; signs as +1.0 and -1.0."""
    real, sign = model.features(images(2))
    results = ReferenceBackend(packed.program).run(
        packed.preprocessing(images(2)), packed.program.features)
    assert real.dtype == sign.dtype == np.float32
    assert np.array_equal(real, results['body.rprelu'])
    assert np.array_equal(sign, results['groups.sign'])
    assert set(np.unique(sign)) == {-1, 1}


def classifier(classes=()):
    """The logits are the means of the channels."""
    program = Program((4, 2, 2), [
        ops.AdaptiveAvgPool2d('pool', ('input', )),
        ops.Flatten('flat', ('pool', ))
    ], 'flat')
    return PackedModel(PackedFile(program, classes=classes), 'reference')


def test_predict():
    logits = np.array([[1, 3, -2, 3], [1000, 0, -1000, 999]], np.float32)
    x = logits[:, :, None, None] * np.ones((1, 1, 2, 2), np.float32)
    one, two = classifier('abcd').predict(x, 3)
    assert one.labels == (1, 3, 0) and one.names == ('b', 'd', 'a')
    total = np.exp(1) + 2 * np.exp(3) + np.exp(-2)
    np.testing.assert_allclose(
        one.scores, np.exp([3, 3, 1]) / total, rtol=1e-12)
    assert two.labels == (0, 3, 1)
    np.testing.assert_allclose(
        two.scores, [1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1)), 0], rtol=1e-12)
    assert all(type(n) is int for n in one.labels)
    assert all(type(n) is float for n in one.scores)
    assert classifier().predict(x) == [
        Prediction((1, ), one.scores[:1]),
        Prediction((0, ), two.scores[:1])
    ]
    all_scores = classifier().predict(x, 4)[0].scores
    assert sum(all_scores) == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize('topk', [0, -1, 5, 1., True, None, '1'])
def test_bad_topk(topk):
    with pytest.raises(ValueError, match='topk is .*, with 4 classes'):
        classifier().predict(np.zeros((1, 4, 2, 2), np.float32), topk)


BAD_IMAGES = [
    (np.zeros((3, 9, 9), np.float32), 'takes (N, 3, 9, 9), got (3, 9, 9)'),
    (np.zeros((1, 9, 9, 3), np.float32), 'takes (N, 3, 9, 9), got (1, 9'),
    (np.zeros((0, 3, 9, 9), np.float32), 'takes (N, 3, 9, 9), got (0, 3'),
    (np.zeros((1, 3, 0, 9), np.float32), 'takes (N, 3, 9, 9), got (1, 3, 0'),
    (np.zeros((1, 3, 1, 1), np.float32),
     'was made for images of 9x9 and cannot take 1x1: avg_pool2d'),
    (np.zeros((1, 3, 9, 9), np.int32), 'must be a uint8 array, not int32'),
    (np.zeros((1, 3, 9, 9), np.complex64), 'uint8 array, not complex64'),
    (np.zeros((2, 9, 9), np.uint8), 'Arrays of images are (N, H, W, C)'),
    (np.zeros((9, 9, 4), np.uint8), 'not (9, 9, 4)'),
    (np.zeros((0, 9, 9, 3), np.uint8), 'There are no images'),
    ([], 'There are no images'),
    ([np.zeros((9, 9, 3), np.float32)], 'uint8 array, not float32'),
    ([[1, 2], [3, 4]], 'Cannot read the image [1, 2] (TypeError'),
    ([None], 'image of Pillow or an array, not NoneType'),
    (None, 'arrays, or several of them, not NoneType'),
    (7, 'not int'),
    ('missing.png', 'Cannot read the image missing.png'),
    (['a', 'b'], 'Cannot read the image a'),
]


@pytest.mark.parametrize('given,message', BAD_IMAGES)
@pytest.mark.parametrize('method', ['__call__', 'predict', 'features'])
def test_bad_images(model, method, given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        getattr(model, method)(given)


def test_what_a_file_does_not_have(packed):
    program = packed.program
    bare = PackedModel(
        PackedFile(
            Program(program.input_shape, program.operations[:5],
                    'body.rprelu')), 'reference')
    with pytest.raises(ValueError, match='no preprocessing: give normalised'):
        bare(images(1))
    with pytest.raises(ValueError, match='no preprocessing: give normalised'):
        bare('a.png')
    x = np.ones((1, 3, 9, 9), np.float32)
    with pytest.raises(ValueError, match='names no features'):
        bare.features(x)
    with pytest.raises(ValueError, match='which is not \\(N, num_classes\\)'):
        bare.predict(x)
    # The size is free in it.
    assert bare(np.ones((2, 3, 4, 5), np.float32)).shape == (2, 66, 4, 5)


def test_8_threads_give_what_one_gives(packed, model):
    sizes = [(14, 17), (9, 9), (30, 10)]
    batches = [images(1 + i % 3, *sizes[i % 3], seed=i) for i in range(16)]
    expected = [model(batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        for one, other in zip(expected, pool.map(model, batches)):
            assert np.array_equal(one, other)


# NaN and infinity

MANY = 3e38


def overflowing():
    """Two times the channels' means: infinite for some finite images."""
    program = Program((4, 2, 2), [
        ops.AdaptiveAvgPool2d('pool', ('input', )),
        ops.Flatten('flat', ('pool', )),
        ops.Affine('double', ('flat', ), np.full(4, 2, np.float32),
                   np.zeros(4, np.float32)),
        ops.Sign('sign', ('double', ), np.zeros(4, np.float32),
                 np.zeros(4, np.uint8)),
    ], 'double', ('pool', 'sign'))  # yapf: disable
    return PackedModel(PackedFile(program), 'reference')


@pytest.mark.filterwarnings('ignore:overflow encountered')
@pytest.mark.parametrize('value,dtype', [
    (np.nan, np.float32),
    (np.inf, np.float32),
    (-np.inf, np.float16),
    (np.nan, np.float64),
    (1e39, np.float64),
    (-1e300, np.float64),
])
@pytest.mark.parametrize('image', [0, 2])
@pytest.mark.parametrize('method', ['__call__', 'predict', 'features'])
def test_images_that_are_not_finite(method, image, value, dtype):
    """The image is named; a sign would hide them from then on."""
    x = np.zeros((3, 4, 2, 2), dtype)
    getattr(overflowing(), method)(x)
    x[image, 1, 1, 0] = value
    with pytest.raises(ValueError, match=f'Image {image} holds NaN, infinity'):
        getattr(overflowing(), method)(x)


@pytest.mark.filterwarnings('ignore:overflow encountered')
@pytest.mark.parametrize('method', ['__call__', 'predict'])
def test_results_that_are_not_finite(method):
    x = np.ones((3, 4, 2, 2), np.float32)
    x[1, 2] = MANY
    with pytest.raises(
            ValueError, match="'double' of image 1 holds NaN or infinity"):
        getattr(overflowing(), method)(x)
    pool, sign = overflowing().features(x)
    assert np.isfinite(pool).all() and (sign == 1).all()


@pytest.mark.parametrize('backend', ['reference', 'native', 'auto'])
@pytest.mark.filterwarnings('ignore:overflow encountered')
@pytest.mark.filterwarnings('ignore:invalid value encountered')
@pytest.mark.filterwarnings('ignore:No fast backend')
def test_the_path_is_named(packed, tmp_path, backend):
    """One image of a list of paths and arrays overflows, others do not."""
    scale = packed.program.find('norm').scale
    fc = packed.program.find('head.fc')
    fc.weight[:] = MANY
    fc.bias[:] = MANY
    assert np.isfinite(scale).all()
    try:
        model = PackedModel(packed, backend)
    except BackendMissingError:
        pytest.skip('the compiled library was not built')
    path = tmp_path / 'a b.png'
    Image.fromarray(images(1)[0]).save(path)
    for given, name in ((path, f'0 ({path})'), ([images(1)[0],
                                                 str(path)], '0 holds'),
                        ([path, images(1)[0]], f'0 ({path})')):
        for method in (model, model.predict):
            with pytest.raises(ValueError, match=re.escape(f'image {name}')):
                method(given)


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite(bad):
    logits = np.zeros((3, 4), np.float32)
    logits[2, 3] = bad
    with pytest.raises(ValueError, match='logits of image 2 hold NaN or inf'):
        top_classes(logits, 1, ())


def test_scores_of_extreme_logits():
    """Their difference is beyond float32; no warning, no NaN."""
    logits = np.array([[MANY, -MANY, 0]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert top_classes(logits, 3, ())[0].scores == (1, 0, 0)


# Copies and pickles


def pickled(model):
    return pickle.loads(pickle.dumps(model))


COPIES = [
    copy.copy, copy.deepcopy, pickled,
    lambda model: pickle.loads(pickle.dumps(model, 2)),
    lambda model: pickled(copy.deepcopy(model)),
    lambda model: copy.deepcopy([model, model])[1]
]


class Named(PackedModel):
    """A class of a user's own."""


@pytest.mark.parametrize('make', COPIES, ids=map(str, range(len(COPIES))))
@pytest.mark.parametrize('backend,threads', [('reference', None),
                                             ('native', 2), ('openvino', 1),
                                             ('auto', None)])
@pytest.mark.filterwarnings('ignore:No fast backend')
def test_copies(packed, make, backend, threads):
    """They compute the same, with what was asked for, after the original."""
    try:
        model = Named(packed, backend, threads)
    except BackendMissingError as error:
        pytest.skip(str(error))
    expected = model(images(2))
    made = make(model)
    engine = type(model.backend)
    del model
    gc.collect()
    assert type(made) is Named and type(made.backend) is engine
    assert made._arguments[1:] == (backend, threads)
    assert (made.classes, made.preprocessing) == (packed.classes,
                                                  packed.preprocessing)
    assert np.array_equal(made(images(2)), expected)
    assert np.array_equal(
        made.features(images(1))[1],
        PackedModel(packed, 'reference').features(images(1))[1])
    # So do backends on their own.
    x = packed.preprocessing(images(2))
    assert np.array_equal(
        make(made.backend).run(x, ['head.fc'])['head.fc'], expected)


def test_copies_share_the_arrays_and_deep_copies_do_not(packed):
    model = PackedModel(packed, 'reference')
    weight = model.program.find('stem').weight
    assert copy.copy(model).program.find('stem').weight is weight
    assert copy.deepcopy(model).program.find('stem').weight is not weight


def test_a_pickle_is_about_as_large_as_the_file(packed, tmp_path):
    size = save_packed(tmp_path / 'net', packed)
    for backend in ('reference', 'auto'):
        model = PackedModel(tmp_path / 'net', backend)
        model(images(4))
        assert len(pickle.dumps(model)) < size + 1000


# The choice of the backend


class Fast(ReferenceBackend):
    name = 'fast'

    def __init__(self, program, threads=None):
        super().__init__(program)
        self.threads = threads


class Broken(Fast):

    def __init__(self, program, threads=None):
        raise ValueError('broken')


@pytest.fixture
def fast(monkeypatch):
    """Put a backend 'fast' in front of the reference, as the only other."""
    rows = dict(
        fast=('.fast_for_tests', 'Fast', 'pip install fast'),
        reference=BACKENDS['reference'])
    monkeypatch.setattr('mmreact.packed.backends.BACKENDS', rows)

    def install(cls):
        module = types.ModuleType('mmreact.packed.fast_for_tests')
        module.Fast = cls
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return install


def test_auto_takes_the_first_that_is_installed(packed, fast):
    fast(Fast)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        model = PackedModel(packed, threads=3)
        assert (model.backend.name, model.backend.threads) == ('fast', 3)
        assert PackedModel(packed, 'fast').backend.threads is None
        assert PackedModel(packed, 'reference').backend.name == 'reference'


def test_auto_falls_back_with_one_warning(packed, fast):
    with pytest.warns(UserWarning) as caught:
        model = PackedModel(packed)
        model(images(1))
    warning, = caught
    assert 'pip install fast' in str(warning.message)
    assert "backend='reference'" in str(warning.message)
    assert warning.filename == __file__
    assert model.backend.name == 'reference'


def test_a_named_backend_never_falls_back(packed, fast):
    with pytest.raises(
            BackendMissingError,
            match="backend 'fast' cannot be used .*Get it: pip install fast"):
        PackedModel(packed, 'fast')
    fast(Broken)
    for name in ('fast', 'auto'):
        with pytest.raises(ValueError, match='broken'):
            PackedModel(packed, name)


def test_the_extra_is_named(packed, monkeypatch):
    monkeypatch.setitem(sys.modules, 'openvino', None)
    monkeypatch.setitem(sys.modules, 'mmreact.packed.openvino', None)
    with pytest.raises(
            BackendMissingError, match=r'pip install "mmreact\[openvino\]"'):
        PackedModel(packed, 'openvino')


@pytest.mark.parametrize('name', ['Reference', '', None, 'onnx'])
def test_unknown_backends(packed, name):
    with pytest.raises(
            ValueError,
            match='Unknown backend .* Known backends: auto, native, op'):
        create_backend(name, packed.program)


@pytest.mark.parametrize('threads', [0, -1, 1.5, '2', True])
def test_bad_threads(packed, threads):
    with pytest.raises(ValueError, match='not a positive number'):
        PackedModel(packed, 'reference', threads)


def test_preprocessing_is_optional_for_float_images(packed):
    """And of a grey network, grey images."""
    program = Program((1, 4, 4), [
        ops.AdaptiveAvgPool2d('pool', ('input', ), (1, 2)),
        ops.Flatten('flat', ('pool', ))
    ], 'flat')
    grey = Preprocessing(mean=(0., ), std=(2., ), channels='gray')
    model = PackedModel(PackedFile(program, grey, ('a', 'b')), 'reference')
    image = np.full((4, 4), 8, np.uint8)
    image[:, 2:] = 10
    assert model(image).tolist() == [[4, 5]]
    assert model.predict(image)[0].names == ('b', )


def test_many_images_are_read_a_few_at_a_time(packed):
    """A list of thousands of paths never has all of them in memory."""
    model, read, runs = PackedModel(packed, 'reference'), [0], []
    run = model.backend.run

    def counted(x, names):
        runs.append((len(x), read[0]))
        return run(x, names)

    def images():
        for i in range(150):
            read[0] += 1
            yield np.full((9, 9, 3), i, np.uint8)

    model.backend.run = counted
    logits = model(images())
    assert [size for size, _ in runs] == [64, 64, 22]
    assert all(opened <= 64 * (i + 1) + 1
               for i, (_, opened) in enumerate(runs))
    whole = np.stack(list(images()))
    np.testing.assert_allclose(logits, model(whole), rtol=1e-4, atol=1e-4)


def test_images_of_several_sizes_in_one_call():
    """Where nothing resizes them: each result is that of the image alone."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(5, 3, 3, 3)).astype(np.float32)
    program = Program((3, 9, 9), [
        ops.Conv2d('conv', (INPUT, ), weight, np.zeros(5, np.float32)),
        ops.AdaptiveAvgPool2d('pool', ('conv', )),
        ops.Flatten('flat', ('pool', ))
    ], 'flat', ('conv', ))
    made = Preprocessing(mean=(9., ) * 3, std=(50., ) * 3)
    model = PackedModel(PackedFile(program, made), 'reference')
    inputs = [
        rng.integers(0, 256, (*size, 3), np.uint8)
        for size in ((9, 9), (9, 9), (11, 9), (9, 9))
    ]
    alone = np.concatenate([model(image) for image in inputs])
    np.testing.assert_allclose(model(inputs), alone, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match='different sizes, and so have their'):
        model.features(inputs)
