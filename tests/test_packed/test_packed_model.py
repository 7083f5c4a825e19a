"""PackedModel: what it takes and gives, and the choice of the backend."""
import re
import sys
import types
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from mmreact.packed import (BACKENDS, BackendMissingError, PackedFile,
                            PackedFileError, PackedModel, Prediction,
                            Preprocessing, Program, ops, save_packed)
from mmreact.packed.backends import create_backend
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
    ([[1, 2], [3, 4]], 'uint8 array, not list'),
    ([None], 'uint8 array, not NoneType'),
    (None, 'Images are arrays, paths or lists of them, not NoneType'),
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
