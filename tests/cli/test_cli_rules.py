"""``fastinit rules``: named so because tests/checkpoint has a test_rules.py."""

import json

import pytest

from fastinit.checkpoint import sources


def test_the_presets(run):
    status, out, err = run("rules")
    assert (status, err) == (0, "")
    head, *lines = out.splitlines()
    assert head.split() == ["preset", "what", "it", "makes"]
    assert [line.split()[0] for line in lines] == sources.PRESETS
    assert all(line.endswith(".") for line in lines), "the first line of a preset is a sentence"


@pytest.mark.parametrize("preset", [*sources.PRESETS, "base"])
def test_a_preset_is_a_file_to_start_from(run, model, tmp_path, preset):
    status, out, err = run("rules", preset)
    assert (status, out, err) == (0, sources.preset_toml(preset), "")
    if preset != "base":
        mine = tmp_path / "mine.toml"
        mine.write_text(out)
        ran = [run("generate", model, "--init", init, "--dry-run", "--json") for init in (mine, preset)]
        own, known = [json.loads(out) for _, out, _ in ran]
        assert (own["rules_from"], known["rules_from"]) == (str(mine), preset)
        assert (own["choices"], own["recipe_digest"]) == (known["choices"], known["recipe_digest"])


def test_a_preset_that_is_not_there(run):
    status, out, err = run("rules", "gpt3")
    assert (status, out) == (2, "")
    assert err.startswith("fastinit: error: unknown preset 'gpt3'; known are bert, clip, deit, gemma, gpt2")
