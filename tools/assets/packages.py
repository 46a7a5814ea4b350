"""Fetch the named packages with their registries' own clients, check them, and read the files inside."""

import hashlib
import io
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from tools.assets.licences import Source, sources


class Packages:
    """The package files of ``licences.toml`` in ``folder``: fetched when missing, refused when their sha256 differs."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._sources = {source.package: source for source in sources()}

    def file(self, package: str) -> Path:
        """The checked package file, downloaded first if it is not in the folder.

        Raises SystemExit, naming file and expected sha256, if it cannot be fetched or is another file.
        """
        source = self._sources[package]
        path = self.folder / source.file
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            _fetch(source, self.folder)
        if not path.exists():
            raise SystemExit(f"{package}: {source.file} (sha256 {source.sha256}) is not in {self.folder}; put it there")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != source.sha256:
            raise SystemExit(f"{path}: expected sha256 {source.sha256}, got {found}")
        return path

    def read(self, package: str, want: Callable[[str], bool] = lambda path: True) -> dict[str, bytes]:
        """Regular files of the package, path -> content, links left out."""
        path = self.file(package)
        if path.suffix == ".deb":
            return _read_tar(_deb_data(path.read_bytes()), want)
        if path.suffix == ".tgz":
            return _read_tar(path.read_bytes(), want)
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist() if want(name)}


def _fetch(source: Source, folder: Path) -> None:
    commands = {
        "npm": ["npm", "pack", f"{source.package}@{source.version}"],
        "debian": ["apt-get", "download", f"{source.package}={source.version}"],
        "pypi": [sys.executable, "-m", "pip", "download", "--no-deps", f"{source.package}=={source.version}"],
    }
    command = commands[source.registry]
    if shutil.which(command[0]) is None:
        raise SystemExit(f"{source.package}: needs {command[0]}, or {source.file} in {folder}")
    subprocess.run(command, cwd=folder, check=False)


def _deb_data(content: bytes) -> bytes:
    offset = 8
    while offset < len(content):
        name = content[offset : offset + 16].decode().strip()
        size = int(content[offset + 48 : offset + 58])
        if name.startswith("data.tar"):
            return content[offset + 60 : offset + 60 + size]
        offset += 60 + size + (size & 1)
    raise SystemExit("a Debian package without data.tar")


def _read_tar(content: bytes, want: Callable[[str], bool]) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        files = {}
        for member in archive:
            path = member.name.removeprefix("./")
            if member.isfile() and want(path):
                files[path] = archive.extractfile(member).read()
    return files


def read_rcc(content: bytes) -> dict[str, bytes]:
    """Files of a Qt binary resource (``.rcc``, versions 1 to 3; entries plain, zlib or zstd), path -> content."""
    import zstandard

    if content[:4] != b"qres":
        raise SystemExit("not a Qt resource file")
    version, tree, data, names = struct.unpack(">4I", content[4:20])
    entry_size, files = (22 if version >= 2 else 14), {}

    def name_at(offset: int) -> str:
        start = names + offset
        length = struct.unpack(">H", content[start : start + 2])[0]
        return content[start + 6 : start + 6 + 2 * length].decode("utf-16-be")

    def walk(index: int, prefix: str) -> None:
        start = tree + index * entry_size
        name, flags = struct.unpack(">IH", content[start : start + 6])
        path = "/".join(part for part in (prefix, name_at(name) if index else "") if part)
        if flags & 2:
            count, first = struct.unpack(">II", content[start + 6 : start + 14])
            for child in range(first, first + count):
                walk(child, path)
            return
        begin = data + struct.unpack(">I", content[start + 10 : start + 14])[0]
        length = struct.unpack(">I", content[begin : begin + 4])[0]
        stored = content[begin + 4 : begin + 4 + length]
        if flags & 1:
            stored = zlib.decompress(stored[4:])
        elif flags & 4:
            stored = zstandard.ZstdDecompressor().decompress(stored, max_output_size=1 << 28)
        files[path] = stored

    walk(0, "")
    return files
