"""`manage.py search`: files with mistakes, what is printed, and whole runs with and without a running stack."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command

from engine.errors import DataError
from nasweb.accounts import ensure_local_user
from nasweb.supervisor import Stack
from searches import cli
from searches.models import Artifact, Search, Trial
from searches.services.supernets import is_sharing
from tests.faults.conftest import WITHOUT_TORCH
from tests.signals import as_a_shell_starts_it
from tests.waiting import wait_until

ROOT = Path(settings.BASE_DIR)
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
TABLE = """
name: on a table
space: nasbench201
strategy: regularized_evolution
evaluator: {{name: tabular, delay_s: {delay}}}
budget: {{trials: {trials}, epochs: 3}}
parallelism: 2
"""


def table(folder: Path, *, trials: int = 12, delay: float = 0.0) -> Path:
    path = folder / "table.yaml"
    path.write_text(TABLE.format(trials=trials, delay=delay))
    return path


# -- files -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", EXAMPLES, ids=[p.stem for p in EXAMPLES])
def test_every_example_is_a_search(path: Path, tmp_path: Path) -> None:
    if "nasbench201" in path.stem:
        if not settings.TEST_DATA.is_dir():
            pytest.skip(f"NASWEB_TEST_DATA is absent: {settings.TEST_DATA}")
        given = path.read_text().replace("../shared/data", str(settings.TEST_DATA.resolve()))
        path = tmp_path / path.name
        path.write_text(given)
    try:
        config = cli.read_config(path)
    except DataError as e:
        if settings.TEST_DATA.is_dir():
            raise
        pytest.skip(f"NASWEB_TEST_DATA is absent: {e}")
    assert config.budget.trials >= (10 if is_sharing(config.to_json()) else 30)
    assert cli.read_config(path, name="other", seed=7).seed == 7


def test_every_mistake_is_named_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "space: {name: layers, depth: [0], wide: 1}\nstrategy: nix\nbudget: {trials: 0, trails: 3}\nbogus: 3\n"
    )
    with pytest.raises(CommandError) as error:
        call_command("search", "run", str(path))
    assert error.value.returncode == 2
    lines = {line.split(": ")[1]: line for line in str(error.value).splitlines()}
    assert set(lines) == {
        "space.depth.0", "space.wide", "strategy.name", "budget.trials", "budget.trails", "bogus"
    }  # fmt: skip
    assert "greater than or equal to 1 (received '0')" in lines["space.depth.0"]
    assert "there are activation, " in lines["space.wide"] and " depth," in lines["space.wide"]
    assert "regularized_evolution" in lines["strategy.name"]
    assert "there are epochs, minutes" in lines["budget.trails"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [1", "this is not YAML"),
        (b"\xff\xfe\x00", "not text in UTF-8"),
        (b"- 1", "a search is a mapping of fields, not list"),
        (b"!!python/object/apply:os.system ['true']", "this is not YAML"),
        (b"data: nowhere", "no data set is called 'nowhere'"),
        (b"data: fashion_mnist\nspace: {name: layers, depth: [1.5]}", "space.depth.0"),
    ],
)
def test_files_that_are_no_search(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(cli.FileErrors, match=said):
        cli.read_config(path)


def test_a_missing_file_and_a_file_without_a_name(tmp_path: Path) -> None:
    with pytest.raises(cli.FileErrors, match="No such file"):
        cli.read_config(tmp_path / "none.yaml")
    (tmp_path / "my_search.yaml").write_text("budget: {trials: 3}")
    assert cli.read_config(tmp_path / "my_search.yaml").name == "my search"


# -- looking at what is stored -----------------------------------------------------------------------------------------
@pytest.fixture
def done(db: Any, tmp_path: Path) -> Search:
    """A completed search of the local user; its trial 2 is the best and has a bundle."""
    config = cli.read_config(table(tmp_path)).to_json()
    search = Search.objects.create(
        owner=ensure_local_user(), name="done", config=config, state="completed", n_trials=2, n_completed=2, winners=[2]
    )
    for number, accuracy in ((1, 0.5), (2, 0.75)):
        best = Trial.objects.create(
            search=search, number=number, name=f"net{number}", state="completed", architecture={"edge0_1": "none"},
            key="", accuracy=accuracy, n_samples=8, n_wrong=round(8 * (1 - accuracy)), fidelity=3, n_params=10,
            n_macs=20, metrics={"accuracy": accuracy, "loss": 1.0},
        )  # fmt: skip
    best.final = {"metrics": {"accuracy": 0.875, "test_accuracy": 0.625, "n_test": 8.0}}
    best.final_state = "done"
    best.save()
    name = default_storage.save("bundle/te/test.zip", ContentFile(b"zip"))
    Artifact.objects.create(search=search, trial=best, kind="bundle", name=name, digest="", bytes=3)
    search.best = best
    search.save()
    return search


def said(*arguments: Any) -> str:
    out = StringIO()
    call_command("search", *map(str, arguments), stdout=out)
    return out.getvalue()


def test_list_and_show(done: Search) -> None:
    Search.objects.create(owner=done.owner, name="a preflight", config=done.config, submit_token="preflight:1")
    assert [json.loads(line)["search"] for line in said("list", "--json").splitlines()] == [done.pk]
    assert "best 75.0 %" in said("list")
    found = json.loads(said("show", done.pk, "--json"))
    assert found["state"] == "completed" and found["trials"]["completed"] == 2 and sum(found["trials"].values()) == 2
    assert found["best"]["trial"] == 2 and found["best"]["architecture"] == {"edge0_1": "none"}
    metrics = found["best"]["metrics"]
    assert (metrics["accuracy"], metrics["final_accuracy"], metrics["test_accuracy"]) == (0.75, 0.875, 0.625)
    assert (metrics["n_params"], metrics["n_macs"]) == (10, 20)
    assert Path(found["bundle"]).read_bytes() == b"zip"
    assert "sealed test after full training: 62.5 %" in said("show", done.pk)


def test_export_copies_the_bundle_or_says_why_not(done: Search, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "mine.zip"
    assert said("export", done.pk, "--output", target).strip() == str(target)
    assert target.read_bytes() == b"zip" and not list(target.parent.glob("*.part"))
    with pytest.raises(CommandError, match="trial 1 has not been trained fully"):
        said("export", done.pk, 1)
    with pytest.raises(CommandError, match="it has 1 to 2"):
        said("export", done.pk, 9)


def test_searches_of_others_are_not_there(done: Search, django_user_model: Any) -> None:
    Search.objects.update(owner=django_user_model.objects.create_user("mira"))
    with pytest.raises(CommandError, match=f"there is no search {done.pk}"):
        said("show", done.pk)
    assert said("list") == ""


def test_stop_of_an_ended_search_changes_nothing(done: Search) -> None:
    assert "has ended already: completed" in said("stop", done.pk)
    Search.objects.update(state="running")
    assert said("stop", done.pk).strip() == f"search {done.pk}: stopped"


# -- whole runs --------------------------------------------------------------------------------------------------------
def environment(data_dir: Path, *, torch: bool = False) -> dict[str, str]:
    more = {} if torch else WITHOUT_TORCH
    return {**os.environ, **more, "NASWEB_DATA_DIR": str(data_dir), "NASWEB_REAP_S": "0.5"}


def command(data_dir: Path, *arguments: Any, torch: bool = False) -> subprocess.CompletedProcess[str]:
    """`manage.py search`; trials look into a table, so that a stack of its own needs no torch."""
    return subprocess.run(
        [sys.executable, "manage.py", "search", *map(str, arguments)],
        cwd=ROOT,
        env=environment(data_dir, torch=torch),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_without_a_stack_it_brings_its_own_and_leaves_nothing_behind(stack_folder: Path, tmp_path: Path) -> None:
    done = command(stack_folder, "run", table(tmp_path), "--json", "--follow", "--name", "mine", torch=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["state"] == "completed" and found["trials"]["completed"] == 12
    assert found["best"]["metrics"]["accuracy"] > 0.5 and found["bundle"] is None and found["duration_s"] > 0
    assert sum(line.startswith("#") for line in done.stderr.splitlines()) >= 12
    assert "mine" in command(stack_folder, "list").stdout
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(stack_folder) not in left


@pytest.mark.slow
def test_a_running_stack_is_used(make_stack: Callable[..., Stack], tmp_path: Path) -> None:
    """For a search that completes, and for one that does not, which is an error."""
    stack = make_stack(web=False, workers=1, env=WITHOUT_TORCH)
    pids = stack.pids()
    done = command(stack.data_dir, "run", table(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["state"] == "completed"
    path = tmp_path / "impossible.yaml"
    path.write_text("name: impossible\nspace: {name: layers}\nlimits: {n_params: 5}\nbudget: {trials: 3, epochs: 1}\n")
    done = command(stack.data_dir, "run", path, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout.splitlines()[-1])["state"] == "failed"
    assert stack.pids() == pids


@pytest.mark.slow
def test_ctrl_c_pauses_and_resume_goes_on(stack_folder: Path, tmp_path: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "manage.py", "search", "run", table(tmp_path, trials=20, delay=0.6), "--follow"],
        cwd=ROOT,
        env=environment(stack_folder),
        stdout=(tmp_path / "out").open("w"),
        stderr=(tmp_path / "err").open("w"),
        preexec_fn=as_a_shell_starts_it,  # noqa: PLW1509
    )
    try:
        wait_until(lambda: (tmp_path / "out").read_text().count("#") >= 3, "three trials have ended", timeout_s=60)
        run.send_signal(signal.SIGINT)
        assert run.wait(40) == 130
    finally:
        run.kill()
    assert "is paused, nothing is lost" in (tmp_path / "err").read_text()
    before = json.loads(command(stack_folder, "show", 1, "--json").stdout)
    assert before["state"] == "paused" and 3 <= before["trials"]["completed"] < 20
    done = command(stack_folder, "resume", 1, "--json")
    assert done.returncode == 0, done.stderr
    after = json.loads(done.stdout.splitlines()[-1])
    assert after["state"] == "completed" and after["trials"]["completed"] == 20
