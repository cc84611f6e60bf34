"""Static files: the two scripts that live in installed packages, and hashed names with compressed copies."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import brotli
from django.conf import settings
from django.contrib.staticfiles.finders import AppDirectoriesFinder, BaseFinder
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.core.checks import CheckMessage, Error
from django.core.files.storage import FileSystemStorage, Storage
from whitenoise.compress import Compressor
from whitenoise.storage import CompressedManifestStaticFilesStorage

# Quality 9 makes plotly.min.js 1.23 MB in half a second; 11 makes it 1.11 MB in nine.
_BROTLI_QUALITY = 9

# name below STATIC_URL -> (package, file inside it); nothing else of these packages is served
VENDOR = {
    "vendor/plotly.min.js": ("plotly", "package_data/plotly.min.js"),
    "vendor/htmx.min.js": ("django_htmx", "static/django_htmx/htmx-2.min.js"),
}


def package_folder(package: str) -> Path:
    """The folder of an installed package, found without importing it (importing plotly takes half a second).

    Raises:
        ModuleNotFoundError: The package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"The package {package!r} is not installed; run: make venv", name=package)
    return Path(next(iter(spec.submodule_search_locations)))


class _VendorStorage(FileSystemStorage):
    """The folder of one package, of which the finder lists one file under a name of our own."""

    def __init__(self, source: Path) -> None:
        super().__init__(location=source.parent)
        self.source = source

    def path(self, name: str) -> str:
        """The file itself, whatever it is called below STATIC_URL."""
        return str(self.source)


class VendorFinder(BaseFinder):
    """Finds Plotly's and htmx's scripts in the packages that ship them: no third-party source is copied here."""

    def __init__(self, app_names: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sources = {name: package_folder(package) / file for name, (package, file) in VENDOR.items()}

    def check(self, **_kwargs: Any) -> list[CheckMessage]:
        """An error for each script that its package no longer ships under this name."""
        return [
            Error(f"{source} does not exist.", hint=f"It is served as {name}; run: make venv", id="nasweb.E001")
            for name, source in self.sources.items()
            if not source.is_file()
        ]

    def find(self, path: str, find_all: bool = False, **_kwargs: Any) -> str | list[str]:
        """The file behind a name below STATIC_URL, or an empty list."""
        source = self.sources.get(path)
        if source is None:
            return []
        return [str(source)] if find_all else str(source)

    def list(self, ignore_patterns: Any) -> Iterator[tuple[str, Storage]]:
        """Name and storage of both scripts."""
        for name, source in self.sources.items():
            yield name, _VendorStorage(source)


class AppFinder(AppDirectoriesFinder):
    """Finds the static files of the admin's pages and of no other installed app: django-htmx brings a dozen scripts."""

    def __init__(self, app_names: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(["django.contrib.admin"], *args, **kwargs)


class _QuickCompressor(Compressor):
    """WhiteNoise's compressor at a Brotli quality that a first start can wait for."""

    @staticmethod
    def compress_brotli(data: bytes) -> bytes:
        return bytes(brotli.compress(data, quality=_BROTLI_QUALITY))


class HashedCompressedStorage(CompressedManifestStaticFilesStorage):
    """Content hashes in file names (also of the modules that scripts import), each file with a .br and a .gz copy."""

    support_js_module_import_aggregation = True

    def create_compressor(self, **kwargs: Any) -> Compressor:
        return _QuickCompressor(**kwargs)

    def url_converter(self, name: str, hashed_files: Any, *args: Any, **kwargs: Any) -> Any:
        """Leave what third parties ship as it is: a minified script looks like imports and source maps to a pattern."""
        convert = super().url_converter(name, hashed_files, *args, **kwargs)
        if name.startswith("vendor/"):
            return lambda match: match.group(0)
        return convert


def sources_fingerprint() -> str:
    """A text that changes when any static source file, or this project's way of collecting them, changes.

    Costs one `stat` per file (about 10 ms): cheap enough for every start.
    """
    import hashlib

    from django.contrib.staticfiles.finders import get_finders

    digest = hashlib.sha256(Path(__file__).read_bytes())
    digest.update(repr((settings.STATIC_URL, settings.STORAGES["staticfiles"])).encode())
    for finder in get_finders():
        for name, storage in sorted(finder.list([]), key=lambda found: found[0]):
            assert isinstance(storage, FileSystemStorage | StaticFilesStorage)
            status = Path(storage.path(name)).stat()
            digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
