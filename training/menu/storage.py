"""Where Optuna keeps a study: memory, a journal file, or a relational database, shared and resumable.

A journal whose last record was cut by a kill goes on without that record, and what is no journal is refused
before anything is appended to it. Several workers may make the same database at once. What is tuned is left
to others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from difficulty.errors import InvalidInputError, MissingDependencyError

if TYPE_CHECKING:
    import optuna

_DATABASES: Final = ("sqlite", "postgresql", "mysql", "mariadb", "oracle", "mssql")
# Another worker makes the tables in well under a second.
_PAUSES: Final = (0.1, 0.2, 0.4, 0.8, 1.6)
# SQLite's own default gives up after five seconds, which a busy disk takes.
_SQLITE_SECONDS: Final = 60
_BEGIN: Final = b'{"op_code":'


class _Record(msgspec.Struct):
    op_code: int
    worker_id: str


def study_storage(storage: str | os.PathLike[str] | None) -> optuna.storages.BaseStorage | None:
    """Return an Optuna storage.

    Parameters
    ----------
    storage : str or path, optional
        A path is a journal file, made where it does not exist; a URL a database (``sqlite:///…``,
        ``postgresql://…``); None is memory.

    Raises
    ------
    InvalidInputError
        When a file is no journal, a URL is of another kind, or a database cannot be used.
    MissingDependencyError
        When the driver of a database is not installed.
    """
    if storage is None:
        return None
    if isinstance(storage, str) and "://" in storage:
        return _database(storage)
    return _journal(Path(storage))


def enqueue_missing(study: optuna.Study, trials: Sequence[Mapping[str, Any]]) -> None:
    """Queue trials that the study has neither finished nor queued; a kill may have taken them with it."""
    states = ("COMPLETE", "WAITING")
    kept = [trial for trial in study.trials if trial.state.name in states]
    known = [trial.system_attrs.get("fixed_params", trial.params) for trial in kept]
    for trial in trials:
        if trial not in known:
            study.enqueue_trial(dict(trial))


def _journal(path: Path) -> optuna.storages.BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

    # Optuna locks by a link to the file: with a relative path it would point elsewhere.
    name = os.path.abspath(path)
    lock = JournalFileSymlinkLock(name)
    backend = JournalFileBackend(name, lock_obj=lock)
    lock.acquire()
    try:
        _repair(path)
    finally:
        lock.release()
    try:
        return JournalStorage(backend)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise InvalidInputError(
            f"{path}: the records of this Optuna journal do not follow from each other ({error!r}); take "
            "another file for the storage"
        ) from error


def _repair(path: Path) -> None:
    """Cut off a last record that is not whole, and refuse a file with others that are none."""
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if content[end : end + len(_BEGIN)] == _BEGIN[: len(content) - end]:
        os.truncate(path, end)
        content = content[:end]
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            msgspec.json.decode(line, type=_Record)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidInputError(
                f"{path}, line {number}: no record of an Optuna journal ({error}); take another file for the "
                "storage, or cut this one before that line"
            ) from error


def _database(url: str) -> optuna.storages.BaseStorage:
    kind = url.partition(":")[0]
    if kind.partition("+")[0] not in _DATABASES:
        raise InvalidInputError(
            f"a storage is the path of a journal file, or the URL of a database ({', '.join(_DATABASES)}); "
            f"got a {kind}:// URL"
        )
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import DatabaseError, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    settings: dict[str, Any] = {}
    if kind.startswith("sqlite"):
        settings = {"connect_args": {"timeout": _SQLITE_SECONDS}}
        if urlsplit(url).path.strip("/") not in ("", ":memory:"):
            settings["poolclass"] = NullPool  # opening a file is cheap, and nothing closes one in a pool
    for pause in (*_PAUSES, None):
        try:
            return RDBStorage(url, engine_kwargs=settings)
        except DatabaseError as error:
            # Where two workers make the tables at once, the slower one finds that they exist already.
            if pause is None:
                raise InvalidInputError(
                    f"the {kind} database of the storage cannot be used: {error.orig}"
                ) from error
            time.sleep(pause)
        except SQLAlchemyError as error:
            raise InvalidInputError(f"the URL of the {kind} storage cannot be used: {error}") from error
        except ImportError as error:
            raise MissingDependencyError(
                f"the driver of {kind} databases is not installed: {error}"
            ) from error
    raise AssertionError("the last try returns or raises")
