"""The folder of what people attach."""

from __future__ import annotations

from api.context import ApiContext
from api.problems import ApiProblem
from store.registry.attached_files import FileFolder


def files_of(context: ApiContext) -> FileFolder:
    """Return the folder of files, or raise the problem "unavailable" where the server has none."""
    if context.files is None:
        raise ApiProblem(503, "unavailable", "this server has no folder for files")
    return FileFolder(context.files)
