"""A bundle's folder on disk: written so that a kill leaves the old bundle or the new one, read with limits.

New files are gathered in a folder inside, flushed to disk, and take effect by one rename; then they are moved
into place, which the next writer finishes if a kill stops it. Readers see files that are not yet moved where
they are. It assumes a file system whose renames are atomic; what the files hold is left to others.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from difficulty.errors import InvalidBundleError, InvalidInputError
from difficulty.files.whole import check_writable

MANIFEST: Final = "manifest.json"
# Being written; and complete, but not all moved to its place.
_DRAFT: Final = ".draft"
_COMPLETE: Final = ".complete"
# Of all files together.
_MAX_BYTES: Final = 64 << 20
# A reader starts again where a writer has replaced the bundle meanwhile.
_TRIES: Final = 5
_NAMES: Final = frozenset(
    {
        MANIFEST,
        "answering.npz",
        "belief.npz",
        "features.npz",
        "policy.npz",
        "references.npz",
        "texts.npz",
        "verifiers.json",
    }
)
# Files of schemas 1 and 2, which a new training may replace.
_OLD_NAMES: Final = frozenset({"adaptive.json", "adaptive.npz"})


def _is_name(name: str) -> bool:
    """Tell whether a bundle may have a file of that name."""
    predictor = name.startswith("predictor-") and name.endswith((".npz", ".txt"))
    return name in _NAMES | _OLD_NAMES or (predictor and Path(name).name == name)


def check_folder(folder: Path) -> None:
    """Refuse a folder that a bundle must not be written to.

    Raises
    ------
    InvalidBundleError
        When it holds files that are not a bundle's, or links in their place.
    """
    entries = list(folder.iterdir())
    unknown = sorted(entry.name for entry in entries if entry.is_file() and not _is_name(entry.name))
    if unknown:
        raise InvalidBundleError(
            f"{folder} holds files that are not a bundle's ({', '.join(unknown[:3])}); choose another folder"
        )
    ours = (_DRAFT, _COMPLETE)
    links = sorted(e.name for e in entries if e.is_symlink() and (_is_name(e.name) or e.name in ours))
    if links:
        raise InvalidBundleError(
            f"{folder} holds links ({', '.join(links[:3])}), and a bundle is not written through links; "
            "remove them or choose another folder"
        )


def check_results_folder(path: str | os.PathLike[str]) -> None:
    """Find out before some work whether results that are no bundle can be written to a folder.

    Raises
    ------
    InvalidInputError
        When the folder is a bundle: with other files in it no training could write there again.
    OSError
        When nothing can be written there.
    """
    folder = Path(path)
    if (folder / MANIFEST).exists() and (folder / "policy.npz").exists():
        raise InvalidInputError(f"{folder} is a bundle, and holds nothing else; choose another folder")
    check_writable(folder)


@contextmanager
def open_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a folder ready for a bundle, and keep other writers out while the block runs.

    Yields
    ------
    path
        The folder; one that was made and left empty is removed again.

    Raises
    ------
    InvalidBundleError
        As for `check_folder`.
    InvalidInputError
        When another training or `save` writes to the folder.
    OSError
        When nothing can be written there.
    """
    folder = Path(path)
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = _lock(folder)
    try:
        check_folder(folder)
        check_writable(folder)
        yield folder
    finally:
        if descriptor is not None:
            os.close(descriptor)
        if made:
            with suppress(OSError):
                folder.rmdir()


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Replace the bundle in a folder that `open_folder` has made ready.

    Parameters
    ----------
    folder : path
        Where to.
    files : mapping of str to bytes
        All files of the bundle, the manifest among them.
    """
    draft, complete = folder / _DRAFT, folder / _COMPLETE
    _finish(folder)
    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir()
    for name, content in files.items():
        with (draft / name).open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    _sync(draft)
    draft.rename(complete)
    _sync(folder)
    _finish(folder)
    for entry in folder.iterdir():
        if entry.is_file() and _is_name(entry.name) and entry.name not in files:
            entry.unlink()


def read_file(folder: Path, name: str) -> bytes:
    """Read one file of a bundle.

    Raises
    ------
    InvalidBundleError
        When a bundle has no file of that name, it is missing, or larger than any bundle needs.
    """
    if not _is_name(name):
        raise InvalidBundleError(f"{folder}: the manifest names {name!r}, which is not a file of a bundle")
    for path in (folder / _COMPLETE / name, folder / name):
        # Another process may move it in between: then it is found at the second place.
        with suppress(FileNotFoundError, NotADirectoryError):
            if not path.is_file():
                continue
            with path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
            if len(content) > _MAX_BYTES:
                raise InvalidBundleError(f"{path}: larger than {_MAX_BYTES:,} bytes, which no bundle needs")
            return content
    if name == MANIFEST:
        raise InvalidBundleError(
            f"{folder} is not a policy bundle: {MANIFEST} is missing; make one with `planner train`"
        )
    raise InvalidBundleError(f"{folder}: {name} is missing; train the bundle anew or copy it whole")


def read_files(folder: Path, names: Callable[[bytes], Iterable[str]]) -> dict[str, bytes]:
    """Read all files of a bundle, as they were at one moment.

    Parameters
    ----------
    folder : path
        Where from.
    names : callable
        Called with the manifest; tells the other files.

    Raises
    ------
    InvalidBundleError
        As for `read_file`, and when all files together are larger than any bundle needs.
    """
    for _ in range(_TRIES):
        manifest = read_file(folder, MANIFEST)
        files = {MANIFEST: manifest}
        try:
            for name in names(manifest):
                files[name] = read_file(folder, name)
                if sum(map(len, files.values())) > _MAX_BYTES:
                    raise InvalidBundleError(
                        f"{folder}: its files take more than {_MAX_BYTES:,} bytes, which no bundle needs"
                    )
        except InvalidBundleError:
            if read_file(folder, MANIFEST) == manifest:
                raise
        if read_file(folder, MANIFEST) == manifest:
            return files
    raise InvalidBundleError(f"{folder}: the bundle is being replaced again and again; try again later")


def _finish(folder: Path) -> None:
    """Move the files of a complete bundle to their places, the manifest last."""
    complete = folder / _COMPLETE
    if not complete.is_dir():
        return
    names = sorted((entry.name for entry in complete.iterdir()), key=lambda name: name == MANIFEST)
    for name in names:
        (complete / name).replace(folder / name)
    _sync(folder)
    complete.rmdir()


def _sync(folder: Path) -> None:
    """Force the names in a folder to disk, where the system can."""
    with suppress(OSError):  # Windows opens no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _lock(folder: Path) -> int | None:
    """Lock a folder for this process; None where the system or file system has no such locks."""
    try:
        import fcntl
    except ImportError:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise InvalidInputError(
            f"{folder} is in use: another training writes its bundle there; wait for it or choose another "
            "folder"
        ) from error
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
