"""What the README tells people to do is done."""

import re
import subprocess
import sys
from pathlib import Path

from engine.config import SearchConfig

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.S)

RUN = """
import engine
from engine.config import SearchConfig
strategy = {"name": "coin", "heads": 0.9}
budget = {"trials": 12, "epochs": 3}
config = SearchConfig.parse({"schema": 1, "name": "x", "strategy": strategy, "evaluator": "tabular", "budget": budget})
result = engine.run(config)
assert len(result.conductor.history) == 12, result
children = [e for e in result.conductor.history if e.proposal.parents]
assert children and all(e.proposal.why.startswith("#") for e in children)
assert SearchConfig.parse({"schema": 1, "name": "x", "strategy": "coin"}).strategy.options() == {"heads": 0.5}
"""


def test_the_strategy_in_one_file_works_as_a_plug_in(tmp_path):
    code = next(b for b in BLOCKS if "class Coin(Strategy)" in b)
    (tmp_path / "coin.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}", "NASWEB_PLUGINS": "coin", "NASWEB_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_examples_and_files_it_names_exist():
    for name in re.findall(r"examples/[\w./]+\.yaml", README):
        SearchConfig.from_yaml((ROOT / name).read_text())
    for name in ("docs/overview.png", "CONTRIBUTING.md", "benchmarks/RESULTS.md"):
        assert name in README and (ROOT / name).is_file()


def test_no_figure_is_left_open():
    assert not re.search(r"@[A-Z_]+@", README)


def test_the_written_space_of_the_docs_works_and_lists_every_module():
    import numpy as np
    import yaml

    from engine.data import registry
    from engine.docs import CUSTOM, custom_page
    from engine.spaces.base import make_space

    page = (ROOT / CUSTOM).read_text()
    assert page == custom_page(page), "run python -m engine.docs"
    (text,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.S)
    assert yaml.safe_load(text)["space"]["name"] == "custom"
    config = SearchConfig.from_yaml(text)
    space = make_space(config, registry.spec("digits"))
    rng = np.random.default_rng(0)
    assert space.size() == 3 * sum(4**d for d in (1, 2, 3)) * 3
    assert all(space.plan(space.sample(rng)).n_outputs == 10 for _ in range(20))
