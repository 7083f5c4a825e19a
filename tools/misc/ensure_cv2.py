"""Make ``import cv2`` work where OpenCV's system libraries are missing.

opencv-python needs libGL, GLib and X11 libraries that a bare Linux lacks.
opencv-python-headless has the same ``cv2`` without windows and needs none of
them, but mmcv asks for opencv-python by name: so the headless build of the
same version is put over it, inside the virtual environment and without root.
Run it with the environment's Python; it says nothing if ``cv2`` works.
"""
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ('opencv-contrib-python', 'opencv-python')
CURE = ("install the libraries that opencv-python needs (Debian's packages "
        'libgl1, libglib2.0-0, libx11-6 and libxcb1)')


def import_error():
    """The error of ``import cv2`` in a new process, or None if it works."""
    done = subprocess.run([sys.executable, '-c', 'import cv2'],
                          stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE,
                          text=True)
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or ['import cv2 crashed'])[-1]


def installed(name):
    """The version of an installed package, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def needed_package(error):
    """The headless package that cures ``error``, as pip's requirement.

    It cures a missing shared library, and anything when it is there already:
    then it was put over opencv-python by halves.

    Returns:
        str | None: None if the error has another cause.
    """
    for name in PACKAGES:
        headless = f'{name}-headless'
        if installed(name) and ('cannot open shared object file' in error
                                or installed(headless)):
            return f'{headless}=={installed(name)}'
    return None


def main():
    error = import_error()
    if error is None:
        return
    package = needed_package(error)
    if package is None:
        sys.exit(f'Error: import cv2 fails ({error}), and not for a missing '
                 'system library; install opencv-python again.')
    if sys.prefix == sys.base_prefix:
        sys.exit(f'Error: import cv2 fails ({error}). {sys.executable} is not '
                 f'of a virtual environment and is left as it is: {CURE}, or '
                 'run this with the Python of a virtual environment.')
    print(f'import cv2 fails ({error}): installing {package} over it.')
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check']
    done = subprocess.run(
        [*pip, 'install', '-q', '--no-deps', '--force-reinstall', package])
    error = import_error()
    if done.returncode or error:
        sys.exit(f'Error: {package} did not make import cv2 work '
                 f'({error or "pip failed"}): {CURE}.')
    print(f'import cv2 works now, with {package}.')


if __name__ == '__main__':
    main()
