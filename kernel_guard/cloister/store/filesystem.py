"""Tells a disk of this machine from a file system that others share over a network.

SQLite's write-ahead log lives in memory that all its users share, and its locks are those of one
machine's kernel. On a network file system both only seem to work ("WAL", section 2, sqlite.org),
and two machines would overwrite each other's record.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_NETWORK: Final = re.compile(
    r"(?:nfs\d?|cifs|smb\d?|smbfs|afs|ncpfs|ceph|lustre|beegfs|gpfs|ocfs2|gfs2?|glusterfs|orangefs"
    r"|pvfs2|davfs|sshfs|fuse\.(?:sshfs|s3fs|gcsfuse|glusterfs|rclone|ceph(?:-fuse)?|juicefs|davfs2?"
    r"|goofys|mount-s3|blobfuse2?|moosefs|mfs\w*))"
)
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


def network_file_system(path: Path, mounts: str | None = None) -> str | None:
    """Returns the type of the network file system that holds a path, or ``None`` on a local disk.

    Args:
        path: Absolute, symbolic links resolved.
        mounts: Text as in ``/proc/self/mountinfo`` (proc(5)), this process's own if left out. Where
            it cannot be read, every path counts as local.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
        except OSError:
            return None
    kind, longest = "", -1
    for line in mounts.splitlines():
        mounted, separator, source = line.partition(" - ")
        fields = mounted.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = Path(_ESCAPE.sub(lambda octal: chr(int(octal[1], 8)), fields[4]))
        # A later line hides an earlier one at the same place.
        if path.is_relative_to(point) and len(point.parts) >= longest:
            kind, longest = source.split(" ", 1)[0], len(point.parts)
    return kind if _NETWORK.fullmatch(kind) else None
