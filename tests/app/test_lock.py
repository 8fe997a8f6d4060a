from pathlib import Path

import pytest

from app.lock import FolderInUse, PartLocks


def test_a_part_of_a_folder_is_held_once_and_the_holder_is_named(tmp_path: Path) -> None:
    first = PartLocks(tmp_path, ("broker", "ingest"))
    with pytest.raises(FolderInUse, match=r"process \d+ already runs the ingest part"):
        PartLocks(tmp_path, ("serve", "ingest"))
    other = PartLocks(tmp_path, ("serve",))  # the failed try above let go of it
    first.release()
    PartLocks(tmp_path, ("broker", "ingest")).release()
    other.release()


def test_every_part_takes_in_those_with_names_of_their_own(tmp_path: Path) -> None:
    PartLocks(tmp_path, ("ingest-two",)).release()
    shard = PartLocks(tmp_path, ("analysis-one",))
    with pytest.raises(FolderInUse, match="analysis-one"):
        PartLocks.of_every_part(tmp_path)
    shard.release()
    every = PartLocks.of_every_part(tmp_path)
    with pytest.raises(FolderInUse):
        PartLocks(tmp_path, ("ingest-two",))
    every.release()
