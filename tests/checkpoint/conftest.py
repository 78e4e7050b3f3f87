import pytest
from generated import MODEL, RULES

from fastinit.checkpoint import generate


@pytest.fixture(scope="session")
def rules(tmp_path_factory):
    path = tmp_path_factory.mktemp("rules") / "rules.toml"
    blocks = []
    for match, (spec, layout) in RULES.items():
        blocks.append(
            f'[[rule]]\nmatch = "{match}"\ninit = "{spec}"\n' + (f'layout = "{layout}"\n' if layout else "")
        )
    path.write_text("\n".join(blocks))
    return path


@pytest.fixture(scope="session")
def once(tmp_path_factory, rules):
    return generate(MODEL, tmp_path_factory.mktemp("once"), seed=5, init=rules, threads=1, digest=True)
