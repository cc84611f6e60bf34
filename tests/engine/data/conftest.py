"""A data directory that belongs to one test."""

from pathlib import Path

import pytest


@pytest.fixture
def own_data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory of its own, and no sample data unless the test asks for it."""
    monkeypatch.setenv("NASWEB_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("NASWEB_TEST_DATA", str(tmp_path / "absent"))
    return tmp_path / "var"
