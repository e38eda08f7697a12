"""The contents manager of a server, so that what it gives away has passed the file desk.

Everything in a server that reads files for a client asks the contents manager: the contents API,
``/files/``, exports, shared documents, other extensions. So the class that an admin has chosen is
kept and :class:`GuardedContents` is put in front of it; whatever asks gets what may leave. The
manager's own work inside the workspace (copies, checkpoints, trust) sees real bytes.

Masked text never takes the place of real data. A file that is shown masked is read-only, and saving
another text over it is refused; a notebook's cells get their own source back when it is saved.
Outputs of notebooks are shown without what calls out, and keep it in the file.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import inspect
import json
import os
import types
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError
from cloister.core.filerules import Destination
from cloister.core.modes import Mode
from tornado import web

from cloister_lab.filedesk import FileDesk, FileRefused
from cloister_lab.notebooksaving import prepare_notebook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

destination_now: ContextVar[Destination] = ContextVar("destination", default=Destination.VIEW)
"""Where what is read now goes; handlers of downloads set it."""

_is_inside: ContextVar[bool] = ContextVar("is_inside", default=False)
_FORBIDDEN: Final = 403


class RefusedByDesk(web.HTTPError):
    """A refusal of the desk, as Jupyter's handlers report it.

    Args:
        error: Its text is safe to show.
    """

    def __init__(self, error: CloisterError) -> None:
        parts = [f"{error.code}: {error.message}"]
        if error.rule:
            parts.append(f"Rule: {error.rule}.")
        super().__init__(_FORBIDDEN, " ".join([*parts, error.remedy]))
        self.error = error


class GuardedContents:
    """Stands before a contents manager class, synchronous or not; see :func:`guard_contents`."""

    cloister_desk: FileDesk

    def get(self, path: str, content: bool = True, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Jupyter's signature
        """Returns a model of what may leave; see ``ContentsManager.get``."""
        read = super().get  # type: ignore[misc]
        if _is_inside.get():
            return read(path, content=content, **kwargs)
        if not content:
            return _then(read(path, content=False, **kwargs), self._listed, is_slow=False)
        self._stay_inside(path)
        return _chain(
            read(path, content=False, **{k: v for k, v in kwargs.items() if k == "type"}),
            self._admitted,
            lambda is_checked: _then(
                read(path, content=True, **kwargs),
                self._released if is_checked else self._listed,
                is_slow=is_checked,
            ),
        )

    def save(self, model: dict[str, Any], path: str = "") -> Any:
        """Saves what does not write stand-ins over values; see ``ContentsManager.save``."""
        write, read = super().save, super().get  # type: ignore[misc]
        self._stay_inside(path)
        if _is_inside.get() or model.get("type") not in {"file", "notebook"}:
            return write(model, path)
        if model["type"] == "notebook" and model.get("content") is None:
            return write(model, path)

        def saved(stored: dict[str, Any] | None) -> Any:
            is_same = self._prepared(model, stored)
            return self.get(path, content=False) if is_same else write(model, path)

        return _chain(self._stored(read, path, model), lambda stored: stored, saved)

    def copy(self, *args: Any, **kwargs: Any) -> Any:
        """Copies within the workspace."""
        self._stay_inside(*args, *kwargs.values())
        return _inside(lambda: super(GuardedContents, self).copy(*args, **kwargs))  # type: ignore[misc]

    def trust_notebook(self, *args: Any, **kwargs: Any) -> Any:
        """Signs a notebook."""
        return _inside(lambda: super(GuardedContents, self).trust_notebook(*args, **kwargs))  # type: ignore[misc]

    def create_checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        """Copies a file to its checkpoint."""
        self._stay_inside(*args, *kwargs.values())
        return _inside(lambda: super(GuardedContents, self).create_checkpoint(*args, **kwargs))  # type: ignore[misc]

    def restore_checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        """Copies a checkpoint to its file."""
        self._stay_inside(*args, *kwargs.values())
        return _inside(lambda: super(GuardedContents, self).restore_checkpoint(*args, **kwargs))  # type: ignore[misc]

    def _stay_inside(self, *paths: object) -> None:
        """Refuses paths whose links lead out of the server's root.

        A kernel cannot read what lies outside its walls, but it can write a link to it; the server
        stands outside and would follow.
        """
        root = getattr(self, "root_dir", "")
        if not root or not hasattr(self, "_get_os_path"):
            return  # no file system behind it
        for path in (path for path in paths if isinstance(path, str)):
            real = os.path.realpath(self._get_os_path(path))
            if Path(real).is_relative_to(os.path.realpath(root)):
                continue
            with _reported():
                raise FileRefused(
                    "The path is a link that leads out of the workspace.",
                    code="CLO-FILES-009",
                    remedy="Copy the file into the workspace, or add it to the catalogue.",
                )

    def _admitted(self, model: dict[str, Any]) -> bool:
        """Returns whether a file has to be looked at, going by its size."""
        if model.get("type") == "directory":
            return True
        with _reported():
            return self.cloister_desk.admit(destination_now.get(), model.get("size"))

    def _listed(self, model: dict[str, Any]) -> dict[str, Any]:
        """Returns a model without content, or one that is not looked into."""
        if model.get("hash"):
            with _reported():
                model["hash"] = self.cloister_desk.keyed_hash(str(model["hash"]))
        return model

    def _released(self, model: dict[str, Any]) -> dict[str, Any]:
        """Returns a model whose content may leave."""
        with _reported():
            content = model.get("content")
            match model.get("type"):
                case "directory":
                    model["content"] = [self._entry(entry) for entry in content or ()]
                case "notebook":
                    self._release_notebook(model)
                case _:
                    self._release_file(model)
        return self._listed(model)

    def _entry(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Returns an entry of a listing; a name that holds a value is shown without it."""
        name = str(entry.get("name", ""))
        rules = self.cloister_desk.rules()
        shown = rules.finder.mask_name(name)
        if shown == name:
            return entry
        if rules.policy.mode is Mode.OBSERVE:
            self.cloister_desk.tell_of_name(name, rules)
            return entry
        folder = str(entry.get("path", "")).rpartition("/")[0]
        path = f"{folder}/{shown}" if folder else shown
        return {**entry, "name": shown, "path": path, "writable": False}

    def _release_notebook(self, model: dict[str, Any]) -> None:
        import nbformat

        text = json.dumps(model["content"], ensure_ascii=False)
        destination = destination_now.get()
        released = self.cloister_desk.release("notebook.ipynb", _encoded(text), destination)
        content = json.loads(released.data)
        shown = self.cloister_desk.without_calls(content, destination)
        if released.is_masked or shown is not content:
            model["content"] = nbformat.from_dict(shown)  # type: ignore[no-untyped-call]

    def _release_file(self, model: dict[str, Any]) -> None:
        content = model.get("content")
        if content is None:
            return
        data, is_text = _bytes_of(model)
        released = self.cloister_desk.release(
            str(model.get("name") or model.get("path")), data, destination_now.get()
        )
        if released.is_masked:
            model["writable"] = False
            model["content"] = (
                released.data.decode("utf-8", "replace")
                if is_text
                else base64.encodebytes(released.data).decode("ascii")
            )

    def _stored(self, read: Callable[..., Any], path: str, model: dict[str, Any]) -> Any:
        """Returns the model of what a save would replace, with real bytes, or ``None``."""
        kind = {"type": model["type"]}

        def look(exists: bool) -> Any:  # noqa: FBT001 - an answer of the manager
            return _inside(lambda: read(path, content=True, **kind)) if exists else None

        return _chain(self.file_exists(path), bool, look)  # type: ignore[attr-defined]

    def _prepared(self, model: dict[str, Any], stored: dict[str, Any] | None) -> bool:
        """Changes a model so that it may be written; returns whether nothing has to be.

        Raises:
            RefusedByDesk: It may not be written.
        """
        with _reported():
            if model["type"] == "notebook":
                prepare_notebook(model, stored, self.cloister_desk)
                return False
            if stored is None:
                return False
            return self._is_unchanged(model, stored)

    def _is_unchanged(self, model: dict[str, Any], stored: dict[str, Any]) -> bool:
        data, _ = _bytes_of(stored)
        name = str(stored.get("name") or stored.get("path"))
        try:
            released = self.cloister_desk.release(name, data, Destination.VIEW)
        except FileRefused as refusal:
            if refusal.code == "CLO-FILES-006":
                raise
            return False  # nobody has seen it masked
        if not released.is_masked:
            return False
        if not model.get("chunk") and _bytes_of(model)[0] == released.data:
            return True
        raise FileRefused(
            "The file is shown masked, so saving it would write stand-ins over its values.",
            code="CLO-FILES-004",
            rule="files.view",
            remedy="It was not changed. Change it from a guarded kernel, or save under another "
            "name.",
        )


def guard_contents(manager: Any, desk: FileDesk) -> None:
    """Puts :class:`GuardedContents` before the class of a living contents manager.

    Args:
        manager: Any contents manager.
        desk: Decides.

    Raises:
        TypeError: Objects of its class cannot be given another one.
    """
    if isinstance(manager, GuardedContents):
        manager.cloister_desk = desk
        return
    kind = type(manager)
    name = f"Guarded{kind.__name__}"
    guarded = types.new_class(name, (GuardedContents, kind), exec_body=None)
    manager.__class__ = guarded
    manager.cloister_desk = desk


def _bytes_of(model: dict[str, Any]) -> tuple[bytes, bool]:
    """Returns the bytes of a file's model, and whether it is text."""
    content = model.get("content")
    if model.get("format") == "base64":
        try:
            return base64.decodebytes(str(content).encode("ascii")), False
        except (UnicodeError, binascii.Error):
            raise FileRefused("The file is not base64.", code="CLO-FILES-002") from None
    return _encoded(content if isinstance(content, str) else json.dumps(content)), True


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except CloisterError as error:
        raise RefusedByDesk(error) from None


def _inside(call: Callable[[], Any]) -> Any:
    """Calls the manager for itself; what it reads then is not for a client."""
    token = _is_inside.set(True)
    try:
        result = call()
    finally:
        _is_inside.reset(token)
    if not inspect.isawaitable(result):
        return result

    async def later() -> Any:
        inner = _is_inside.set(True)
        try:
            return await result
        finally:
            _is_inside.reset(inner)

    return later()


def _then(value: Any, step: Callable[[Any], Any], *, is_slow: bool) -> Any:
    """Returns ``step(value)``, later if the value comes later; slow steps run in a thread."""
    if not inspect.isawaitable(value):
        return step(value)

    async def later() -> Any:
        found = await value
        return await asyncio.to_thread(step, found) if is_slow else step(found)

    return later()


def _chain(value: Any, step: Callable[[Any], Any], following: Callable[[Any], Any]) -> Any:
    """Returns ``following(step(value))``, later if the value comes later."""
    if not inspect.isawaitable(value):
        return following(step(value))

    async def later() -> Any:
        found = await asyncio.to_thread(step, await value)
        result = following(found)
        return await result if inspect.isawaitable(result) else result

    return later()
