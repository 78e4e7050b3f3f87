import json

import numpy as np
import pytest

from fastinit import checkpoint
from fastinit.checkpoint import BadInput, Recording, Rule, TensorSpec
from fastinit.checkpoint.buffers import packed

EXPERTS = [
    TensorSpec(f"layers.{layer}.experts.{expert}.w.weight", "F32", (4, 6))
    for layer in range(3)
    for expert in range(5)
]


def experts():
    """A recording of experts, which are parts of one tensor of each layer."""
    rules = [
        Rule(
            spec.name,
            "normal(std=0.5)",
            same_as=f"layers.{spec.name.split('.')[1]}.experts",
            view=f"(5, 4, 6)[{spec.name.split('.')[3]}]",
        )
        for spec in EXPERTS
    ]
    return Recording.of(EXPERTS, rules, ["nothing"], files={"config.json": '{"a": "\u00e9\\n"}\n'})


def test_numbers_in_names_become_groups():
    (rule,) = experts().rules
    assert rule.match == r"/^layers\.(\d+)\.experts\.(\d+)\.w\.weight$/"
    assert (rule.same_as, rule.view) == (r"layers.\g<1>.experts", r"(5, 4, 6)[\g<2>]")
    tensors = dict(checkpoint.tensors(experts(), seed=3))
    spec = {"layers.1.experts": {"dtype": "F32", "shape": [5, 4, 6]}}
    ((_, full),) = checkpoint.tensors(spec, seed=3, init=[Rule("*", "normal(std=0.5)")])
    for expert in range(5):
        assert (tensors[f"layers.1.experts.{expert}.w.weight"] == full[expert]).all()


def test_the_most_common_rule_is_merged_and_others_keep_their_names():
    names = [f"h.{n}.w" for n in range(5)]
    rules = [Rule(name, "ones" if name == "h.2.w" else "zeros") for name in names]
    recording = Recording.of([TensorSpec(name, "F32", (2,)) for name in names], rules)
    assert [rule.match for rule in recording.rules] == ["h.2.w", r"/^h\.(\d+)\.w$/"]
    assert [array[0] for _, array in checkpoint.tensors(recording)] == [0, 0, 1, 0, 0]


def test_numbers_that_do_not_follow_are_not_merged():
    rules = [Rule(f"h.{n}.w", "normal", same_as=f"x.{n * n}") for n in range(4)]
    assert len(Recording.of([], rules).rules) == 4


@pytest.mark.parametrize("suffix", ["json", "toml"])
def test_a_saved_recording_is_equal_and_needs_no_init(tmp_path, suffix):
    table = np.arange(6, dtype=np.float32) / 7
    specs = [*EXPERTS, TensorSpec("table", "F32", (2, 3)), TensorSpec('odd "name"\u00e9', "BF16", (3,))]
    rules = [
        *experts().rules,
        Rule("table", "data", data=packed(table)),
        Rule('odd "name"\u00e9', "ones", then=("* 0.5", "[0] = zeros")),
    ]
    recording = Recording(tuple(specs), tuple(rules), ("a note",), "diffusion", {"config.json": "{}"})
    path = tmp_path / f"recording.{suffix}"
    recording.save(path)
    again = Recording.load(path)
    assert again == recording
    assert again != experts()
    by_path, by_object = (dict(checkpoint.tensors(source, seed=1)) for source in (path, recording))
    assert {name: array.tobytes() for name, array in by_path.items()} == {
        name: array.tobytes() for name, array in by_object.items()
    }
    assert (by_path["table"] == table.reshape(2, 3)).all()


def test_generate_writes_and_verifies_a_recording(tmp_path):
    recording = experts()
    checkpoint.generate(recording, tmp_path / "out", seed=4, max_shard_size=700)
    assert (tmp_path / "out/config.json").read_text() == recording.files["config.json"]
    verification = checkpoint.verify(tmp_path / "out")
    assert verification.same
    shard = sorted((tmp_path / "out").glob("*.safetensors"))[1]
    assert checkpoint.verify(shard).same
    assert not any(each.marked for each in checkpoint.inspect(tmp_path / "out"))


def test_a_file_that_is_there_stays_unless_forced(tmp_path):
    (tmp_path / "config.json").write_text("mine")
    with pytest.raises(BadInput, match=r"config\.json: differs from that of this model; --force replaces it"):
        checkpoint.generate(experts(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert (tmp_path / "config.json").read_text() == "mine"
    checkpoint.generate(experts(), tmp_path, force=True)
    assert (tmp_path / "config.json").read_text() != "mine"


def test_an_explicit_init_wins():
    (_, array), *_ = checkpoint.tensors(experts(), init=[Rule("*", "ones")])
    assert (array == 1).all()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({}, "is no recording"),
        ({"fastinit_recording": 2}, "is no recording"),
        ({"fastinit_recording": 1, "rules": 3}, "rules must be a list"),
        ({"fastinit_recording": 1, "files": {"../x": "y"}}, "'../x' is no name of a file"),
        ({"fastinit_recording": 1, "files": {"/x": "y"}}, "'/x' is no name of a file"),
        ({"fastinit_recording": 1, "files": {"model.safetensors": "y"}}, "no name of a file beside"),
        ({"fastinit_recording": 1, "files": {"config.json": 3}}, "files must be a table"),
        ({"fastinit_recording": 1, "stem": "../x"}, "'../x' is no name of a file"),
        ({"fastinit_recording": 1, "rules": [{"match": "a", "init": "ones", "then": ["/ 0"]}]}, "no step"),
        ({"fastinit_recording": 1, "tensors": {"a": {"dtype": "F32"}}}, "dtype and shape"),
        ({"fastinit_recording": 1, "tensors": {"a": {"dtype": "F99", "shape": [1]}}}, "F99"),
        (
            {"fastinit_recording": 1, "rules": [{"match": "a", "init": "ones", "then": ["bad step"]}]},
            "no step",
        ),
        ({"fastinit_recording": 1, "rules": [{"match": "a", "init": "data"}]}, "go together"),
        (
            {"fastinit_recording": 1, "rules": [{"match": "a", "init": "ones", "view": "(2)[0]"}]},
            "needs same_as",
        ),
    ],
)
def test_a_bad_recording_says_what_is_wrong(tmp_path, content, error):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(content))
    with pytest.raises(BadInput, match=error):
        Recording.load(path)


def test_damaged_data_is_refused(tmp_path):
    recording = Recording((TensorSpec("a", "F32", (2,)),), (Rule("a", "data", data="F32:AAAA"),))
    with pytest.raises(BadInput, match="data is malformed"):
        checkpoint.plan(recording)
    short = Recording((TensorSpec("a", "F32", (3,)),), (Rule("a", "data", data=packed(np.ones(2))),))
    with pytest.raises(BadInput, match="data has 2 elements"):
        checkpoint.plan(short)


def test_the_table_names_what_is_outside_the_contract():
    assert str(experts()).splitlines()[-1] == "outside the contract: nothing"
