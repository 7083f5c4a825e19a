"""Images of every kind that users have, against values known beforehand."""
import io
import struct

import numpy as np
import pytest
from mmpretrain.registry import TRANSFORMS
from PIL import Image, ImageOps

import mmreact.datasets.transforms  # noqa: F401, registers
from mmreact.datasets.transforms import CorruptImageError
from mmreact.packed import ImageError, Preprocessing, Resize, read_image
from mmreact.packed.reading import MAX_PIXELS, open_image

GREY = np.arange(9 * 13, dtype=np.uint8).reshape(9, 13) * 2
COLOUR = np.random.default_rng(0).integers(0, 256, (9, 13, 3), np.uint8)
LOW = np.random.default_rng(1).integers(0, 256, (9, 13), np.uint16)


def load(path, **options):
    """What training sees, as RGB."""
    image = TRANSFORMS.build(dict(type='LoadImage',
                                  **options))(dict(img_path=str(path)))['img']
    return image[:, :, ::-1] if image.ndim == 3 else image


def check(path, expected):
    """Training and the packed runtime read these values."""
    if expected.ndim == 2:
        expected = np.repeat(expected[:, :, None], 3, 2)
    assert np.array_equal(read_image(path), expected)
    assert np.array_equal(load(path), expected)


def tiff(path, pixels, bits, photometric=1, order='<', sample_format=1):
    """Write a grey TIFF, not compressed, of any kind of values."""
    data = pixels if isinstance(pixels, bytes) else pixels.tobytes()
    height, width = GREY.shape
    entries = [(256, 3, width), (257, 3, height), (258, 3, bits), (259, 3, 1),
               (262, 3, photometric), (273, 4, 134), (277, 3, 1),
               (278, 3, height), (279, 4, len(data)), (339, 3, sample_format)]
    out = struct.pack(order + '2sHIH', b'II' if order == '<' else b'MM', 42, 8,
                      len(entries))
    for tag, kind, value in entries:
        field = struct.pack(order + 'H', value).ljust(4, b'\0') \
            if kind == 3 else struct.pack(order + 'I', value)
        out += struct.pack(order + 'HHI', tag, kind, 1) + field
    out += bytes(4)
    assert len(out) == 134
    path.write_bytes(out + data)
    return path


def rgb16_png(path, pixels):
    """Write a PNG of 16 bits a channel, which Pillow does not."""
    import zlib

    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack(
            '>I', zlib.crc32(kind + data))

    height, width, channels = pixels.shape
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in pixels)
    header = struct.pack('>IIBBBBB', width, height, 16, {
        3: 2,
        4: 6,
        2: 4
    }[channels], 0, 0, 0)
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) +
                     chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))
    return path


@pytest.mark.parametrize('low', [0, 255, None])
@pytest.mark.parametrize('name', ['a.png', 'a.tif', 'a.jp2'])
def test_the_upper_8_of_16_bits(tmp_path, name, low):
    """Files that others make of 8 bits as v * 256, v * 257 or v * 256 + 255.
    """
    values = GREY.astype(np.uint16) * 256 + (LOW if low is None else low)
    Image.fromarray(values).save(tmp_path / name)
    with Image.open(tmp_path / name) as image:
        assert image.mode == 'I;16'
    check(tmp_path / name, GREY)


def test_16_bits_of_other_files(tmp_path):
    values = GREY.astype(np.uint16) * 257
    check(tiff(tmp_path / 'b.tif', values.astype('>u2'), 16, order='>'), GREY)
    check(tiff(tmp_path / 'l.tif', values.astype('<u2'), 16), GREY)
    header = b'P5 13 9 65535\n'
    (tmp_path / 'a.pgm').write_bytes(header + values.astype('>u2').tobytes())
    check(tmp_path / 'a.pgm', GREY)
    wide = COLOUR.astype(np.uint16) * 257
    check(rgb16_png(tmp_path / 'c.png', wide), COLOUR)
    alpha = np.concatenate([wide, wide[:, :, :1]], 2)
    check(rgb16_png(tmp_path / 'd.png', alpha), COLOUR)
    (tmp_path / 'c.ppm').write_bytes(b'P6 13 9 65535\n' +
                                     wide.astype('>u2').tobytes())
    check(tmp_path / 'c.ppm', COLOUR)


def test_white_is_zero(tmp_path):
    """Of TIFF files, which Pillow inverts at 8 bits only."""
    check(tiff(tmp_path / '8.tif', 255 - GREY, 8, photometric=0), GREY)
    values = (255 - GREY).astype('<u2') * 257
    check(tiff(tmp_path / '16.tif', values, 16, photometric=0), GREY)


def test_12_bits(tmp_path):
    """Two values in three bytes."""
    values = (GREY.astype(int) * 16 + 5).tolist()
    rows = b''
    for row in values:
        bits = ''.join(f'{v:012b}' for v in row) + '0000'
        rows += int(bits, 2).to_bytes(len(bits) // 8, 'big')
    check(tiff(tmp_path / 'a.tif', rows, 12), GREY)


@pytest.mark.parametrize('dtype,bits,kind', [
    ('<f4', 32, 3),
    ('<u4', 32, 1),
    ('<i4', 32, 2),
    ('<i2', 16, 2),
])
def test_values_without_a_range_are_refused(tmp_path, dtype, bits, kind):
    """Float, 32-bit and signed: black and white could be anywhere."""
    path = tiff(
        tmp_path / 'a.tif', GREY.astype(dtype), bits, sample_format=kind)
    words = 'no fixed range between black and white'
    for decoder in ('pillow', 'opencv'):
        with pytest.raises(ImageError, match=f'a.tif .*{words}'):
            read_image(path, decoder)
    with pytest.raises(CorruptImageError, match=words):
        load(path)
    for image in (Image.open(path), path.read_bytes()):
        with pytest.raises(ImageError, match=words):
            read_image(image)


def test_other_modes_in_memory(tmp_path):
    colour, grey = Image.fromarray(COLOUR), Image.fromarray(GREY)
    for mode in ('RGBA', 'RGBX', 'CMYK', 'HSV', 'YCbCr', 'P', 'PA', 'LA', '1',
                 'L'):
        image = (grey if mode in ('LA', '1', 'L') else colour).convert(mode)
        expected = np.array(image.convert('RGB'))
        assert np.array_equal(read_image(image), expected), mode
    wide = Image.fromarray(GREY.astype(np.uint16) * 256)
    assert np.array_equal(read_image(wide)[:, :, 1], GREY)
    swapped = (GREY.astype(np.uint16) * 256).astype('>u2').tobytes()
    swapped = Image.frombytes('I;16B', (13, 9), swapped)
    assert np.array_equal(read_image(swapped)[:, :, 1], GREY)
    for mode in ('I', 'F', 'La'):
        with pytest.raises(ImageError, match=f'image of mode {mode} '):
            read_image(Image.new(mode, (3, 4)))


def test_transparency_is_dropped_as_in_mmcv(tmp_path):
    """Grey with alpha stands on (124, 117, 104); the rest keeps its colour."""
    half = np.full_like(GREY, 128)
    Image.merge('LA', [Image.fromarray(GREY),
                       Image.fromarray(half)]).save(tmp_path / 'a.png')
    ground = np.array((124, 117, 104))
    mixed = read_image(tmp_path / 'a.png').astype(int)
    exact = (GREY[..., None] * 128. + ground * 127.) / 255
    assert abs(mixed - exact).max() <= 1
    clear = np.dstack([COLOUR, np.zeros_like(GREY)])
    Image.fromarray(clear).save(tmp_path / 'b.png')
    check(tmp_path / 'b.png', COLOUR)
    palette = Image.fromarray(COLOUR).quantize(16)
    palette.save(tmp_path / 'c.png', transparency=3)
    check(tmp_path / 'c.png', np.array(palette.convert('RGB')))


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('mode', ['L', 'I;16', 'LA', '1', 'P', 'RGB'])
def test_every_mode_is_turned(tmp_path, mode, orientation):
    grey = Image.fromarray(GREY)
    image = Image.fromarray(GREY.astype(np.uint16) * 256) \
        if mode == 'I;16' else grey.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / 'a.png', exif=exif)
    straight = Image.fromarray(read_image(image))
    straight.getexif()[0x0112] = orientation
    check(tmp_path / 'a.png', np.array(ImageOps.exif_transpose(straight)))
    with Image.open(tmp_path / 'a.png') as opened:
        assert np.array_equal(
            read_image(opened), read_image(tmp_path / 'a.png'))


def kinds(path):
    """An image in every form that a user may have it in."""
    data = path.read_bytes()
    return dict(
        path=path,
        text=str(path),
        bytes=data,
        bytearray=bytearray(data),
        memory=memoryview(data),
        file=io.BytesIO(data),
        opened=open(path, 'rb'),
        pillow=Image.open(path),
        array=np.array(Image.open(path)))


def test_forms_of_an_image(tmp_path):
    """One, a list of all, a generator: the same numbers."""
    path = tmp_path / 'a.png'
    Image.fromarray(COLOUR).save(path)
    prepare = Preprocessing(
        resize=Resize(mode='short', size=8),
        crop=(8, 8),
        mean=(0., ) * 3,
        std=(1., ) * 3)
    expected = prepare(COLOUR)
    for name, image in kinds(path).items():
        assert np.array_equal(prepare(image), expected), name
    batch = prepare(list(kinds(path).values()))
    assert np.array_equal(batch, np.repeat(expected, 9, 0))
    assert np.array_equal(prepare(iter(kinds(path).values())), batch)
    assert np.array_equal(prepare(tuple([path, COLOUR, path])), batch[:3])


def test_images_of_users_stay_as_they_are():
    image = Image.fromarray(COLOUR)
    exif = image.getexif()
    exif[0x0112] = 6
    read_image(image)
    assert image.size == (13, 9) and np.array_equal(image, COLOUR)
    assert image.getexif()[0x0112] == 6


@pytest.mark.parametrize('source,words', [
    (io.StringIO('text'), 'a file open for bytes'),
    (io.BytesIO(b'no image'), 'cannot identify image file'),
    (b'', 'of 0 bytes .*cannot identify'),
    (b'<html>', 'of 6 bytes .*cannot identify'),
    ('', 'Cannot read the image'),
    (5, 'image of Pillow or an array, not int'),
    (dict(a=1), 'not dict'),
    (Image.new('RGB', (0, 5)), 'it has 0x5 pixels'),
    (Image.new('L', (5, 0)), 'it has 5x0 pixels'),
])
def test_what_is_no_image(source, words):
    with pytest.raises(ImageError, match=words):
        open_image(source)


def test_images_that_are_too_large(tmp_path, peak_memory):
    """Refused before they are decoded; a small file can be a huge image."""
    path = tmp_path / 'bomb.png'
    Image.new('1', (20000, 8000)).save(path)
    assert path.stat().st_size < 50_000
    assert peak_memory(
        'from mmreact.packed import *', f"""
try:
    read_image({str(path)!r})
except ImageError as error:
    assert '20000x8000 pixels; at most {MAX_PIXELS:,} are' in str(error)
else:
    raise AssertionError""") < 20e6


@pytest.mark.slow
def test_a_large_photograph_is_held_once(tmp_path, peak_memory):
    """8000x6000 pixels took six copies; Pillow's has 4 bytes a pixel."""
    path = tmp_path / 'large.jpg'
    Image.new('RGB', (8000, 6000), (90, 130, 170)).save(path)
    used = peak_memory(
        'from mmreact.packed import Preprocessing, Resize\n'
        'prepare = Preprocessing(resize=Resize(mode="short", size=256),'
        ' crop=(224, 224), mean=(0.,) * 3, std=(1.,) * 3)',
        f'assert prepare({str(path)!r}).shape == (1, 3, 224, 224)')
    assert used < 1.3 * 4 * 8000 * 6000
