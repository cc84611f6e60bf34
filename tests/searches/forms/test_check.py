"""What a form must not reach on a server that others use."""

import pytest

from searches.forms.check import check

TABLE = {
    "schema": 1,
    "name": "other people's files",
    "evaluator": {"name": "tabular", "table": "/etc/passwd.csv"},
    "data": {"name": "digits"},
}


def paths_with(problems, text):
    return [path for path, sentence in problems if text in sentence]


@pytest.mark.parametrize("outside", ["/etc/passwd.csv", "../../secret.csv", "{root}/../secret.csv"])
def test_a_shared_server_reads_tables_from_its_data_folder_only(settings, tmp_path, outside):
    settings.PRODUCTION, settings.DATA_DIR = True, tmp_path
    table = outside.format(root=tmp_path)
    checked = check({**TABLE, "evaluator": {"name": "tabular", "table": table}})
    assert not checked.ok
    assert paths_with(checked.problems, "data folder") == [("evaluator", "table")]


def test_folders_of_data_sets_are_held_to_it_too(settings, tmp_path):
    settings.PRODUCTION, settings.DATA_DIR = True, tmp_path
    checked = check({"schema": 1, "name": "x", "data": {"name": "fashion_mnist", "folder": "/home"}})
    assert paths_with(checked.problems, "data folder") == [("data", "folder")]


def test_a_local_stack_may_read_what_its_person_may(settings, tmp_path):
    settings.PRODUCTION, settings.DATA_DIR = False, tmp_path
    assert not paths_with(check(TABLE).problems, "data folder")


def test_the_built_in_table_is_no_file(settings, tmp_path):
    settings.PRODUCTION, settings.DATA_DIR = True, tmp_path
    checked = check({**TABLE, "evaluator": {"name": "tabular", "table": "synthetic"}})
    assert not paths_with(checked.problems, "data folder")
