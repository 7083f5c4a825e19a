"""What a file is that was meant to be a file of weights."""
from pathlib import Path
from typing import Optional, Union

#: Bytes that are looked at.
START = 512
DOWNLOAD = 'Download it again: open its address in a browser and see.'
UNPACK = 'Unpack it and give the file that it holds.'
#: Beginning of a file -> what it is, and what to do.
BEGINNINGS = {
    b'version https://git-lfs.github.com/spec/':
    ('a Git LFS pointer, which stands for the file',
     'Fetch the file itself: git lfs pull.'),
    b'/annex/objects/': ('a git-annex pointer, which stands for the file',
                         'Fetch the file itself: git annex get.'),
    b'\x1f\x8b': ('compressed with gzip', UNPACK),
    b'BZh': ('compressed with bzip2', UNPACK),
    b'\xfd7zXZ': ('compressed with xz', UNPACK),
    b'\x28\xb5\x2f\xfd': ('compressed with zstd', UNPACK),
    b'7z\xbc\xaf\x27\x1c': ('a 7z archive', UNPACK),
    b'Rar!': ('a RAR archive', UNPACK),
    b'\x89HDF': ('an HDF5 file, as Keras writes them',
                 'Load it with Keras and save its weights with torch.save.'),
    b'\x93NUMPY':
    ('a numpy array', 'Load it with numpy.load and save it with torch.save.'),
    b'GGUF': ('a GGUF file', 'Convert it with the tools that wrote it.'),
    b'\x89PNG': ('a PNG image', 'Is the order of the arguments right?'),
    b'\xff\xd8\xff': ('a JPEG image', 'Is the order of the arguments right?'),
    b'%PDF': ('a PDF document', 'Is it the right file?'),
    b'\x7fELF': ('a program', 'Is it the right file?'),
}


def file_kind(path: Union[str, Path]) -> Optional[str]:
    """Say what a file is that is surely no file of weights.

    Returns:
        str, optional: A predicate and a sentence of advice, such as
        ``'is empty. Copy it again.'``; None for what may be a zip archive, a
        pickle or something unknown.
    """
    path = Path(path)
    if path.is_dir():
        return 'is a folder. Give a file in it.'
    if not path.is_file():
        return 'does not exist.'
    with open(path, 'rb') as f:
        start = f.read(START)
    if not start:
        return 'is empty: it was truncated. Copy it again.'
    for beginning, (kind, advice) in BEGINNINGS.items():
        if start.startswith(beginning):
            return f'is {kind}. {advice}'
    if start[257:262] == b'ustar':
        return ('is a tar archive. Unpack it; if it is itself a checkpoint of '
                'torch before 0.2, load and save it with that version.')
    return _safetensors(start) or _text(start)


def _safetensors(start: bytes) -> Optional[str]:
    length = int.from_bytes(start[:8], 'little')
    if start[8:10] in (b'{"', b'{}', b'{ ') and length < 1 << 27:
        return ('is a safetensors file. A packed file is named '
                'NAME.safetensors; of weights make a checkpoint: '
                'torch.save(safetensors.torch.load_file(FILE), "NAME.pth").')
    return None


def _text(start: bytes) -> Optional[str]:
    """Text in UTF-8 or UTF-16; web pages have a sentence of their own."""
    marks = b'\xff\xfe', b'\xfe\xff'
    encoding = 'utf-16' if start.startswith(marks) else 'utf-8'
    try:
        text = start.decode(encoding)
    except UnicodeDecodeError as error:
        if error.start < START - 4:  # the last character may be cut
            return None
        text = start[:error.start].decode(encoding)
    text = text.lstrip('\ufeff \t\r\n')
    if text[:1] == '<':
        return ('is a web page: a login, a notice, or a share link that is '
                f'none. {DOWNLOAD}')
    if all(c.isprintable() or c in '\t\r\n' for c in text):
        line = (text.splitlines() or [''])[0][:60]
        return f'is a text that begins with {line!r}. {DOWNLOAD}'
    return None
