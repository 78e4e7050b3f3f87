"""Rules: what is read, what wins, what is worked out, and what is refused."""

import glob
import math
import re
from pathlib import Path

import ml_dtypes
import mpmath
import numpy as np
import pytest
import torch

from fastinit import init
from fastinit.checkpoint import BadInput, Rule, TensorSpec, expressions, rules
from fastinit.random import PCG64, Generator


def f32(name, *shape):
    return TensorSpec(name, "F32", shape)


def made(choice, start=0, stop=None):
    """Elements of a choice's tensor, as `generate` makes them."""
    out = np.empty((choice.spec.size if stop is None else stop) - start, choice.spec.storage)
    choice.fill(out, Generator(PCG64(3)).fold_in(choice.spec.name), start)
    return out


@pytest.fixture
def toml(tmp_path):
    def write(text):
        path = tmp_path / "rules.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


class TestMatch:
    @pytest.mark.parametrize(
        ("match", "name", "matches"),
        [
            ("*.weight", "fc.weight", True),
            ("*.weight", "fc.weight_g", False),
            ("*.weight", "fc.Weight", False),
            ("fc", "fc.weight", False),
            ("layer.[0-3].*", "layer.2.bias", True),
            ("layer.[0-3].*", "layer.4.bias", False),
            ("/weight/", "fc.weight_g", True),
            ("/^weight/", "fc.weight_g", False),
            (r"/\.\d+\.(q|k)\./", "h.11.k.weight", True),
            ("/", "a/b", False),
        ],
    )
    def test_globs_take_the_whole_name_and_regexes_any_part(self, match, name, matches):
        choices = rules.resolve([f32(name, 3)], [Rule(match, "ones"), Rule("*", "zeros")])
        assert (choices[0].rule == match) is matches

    def test_the_first_match_wins(self):
        ordered = [Rule("a.*", "zeros"), Rule("*", "ones"), Rule("b.*", "zeros")]
        choices = rules.resolve([f32("b.x", 1), f32("a.x", 1)], ordered)
        assert [choice.rule for choice in choices] == ["*", "a.*"]

    @pytest.mark.parametrize("name", ["a", "a[0].b", "a*b?", "[", "[*]", "a]"])
    def test_rules_of_one_name_keep_their_place(self, name):
        named, other = Rule(glob.escape(name), "ones"), Rule("*", "zeros")
        specs = [f32(name, 2), f32(f"{name}.", 2)]
        assert [choice.rule for choice in rules.resolve(specs, [named, other])] == [named.match, "*"]
        assert [choice.rule for choice in rules.resolve(specs, [other, named])] == ["*", "*"]
        passed_over = Rule(glob.escape(name), "ones", min_ndim=2)
        assert [choice.rule for choice in rules.resolve(specs, [passed_over, other, named])] == ["*", "*"]

    def test_axes_are_counted(self):
        ordered = [Rule("*", "ones", max_ndim=1), Rule("*", "zeros", min_ndim=3), Rule("*", "normal")]
        specs = [f32("a", *(2,) * n) for n in range(5)]
        labels = [rules.resolve([spec], ordered)[0].label for spec in specs]
        assert labels == ["ones", "ones", "normal", "zeros", "zeros"]

    def test_rules_may_be_mappings(self):
        given = [{"match": "a", "init": "ones"}, Rule("*", "zeros")]
        assert [choice.label for choice in rules.resolve([f32("a", 1), f32("b", 1)], given)] == [
            "ones",
            "zeros",
        ]
        with pytest.raises(BadInput, match="init: rule 1: unknown key 'matches'"):
            rules.resolve([f32("a", 1)], [{"matches": "a"}])

    @pytest.mark.parametrize("init", [None, 3, Rule("*", "zeros")])
    def test_what_is_no_rules(self, init):
        with pytest.raises(BadInput, match="init must be a preset's name, a TOML file or a list of rules"):
            rules.resolve([f32("a", 1)], init)

    def test_rules_that_made_nothing_are_named(self, toml):
        path = toml('extends = "he"\n[[rule]]\nmatch = "haed.*"\ninit = "zeros"\n')
        assert rules.resolve([f32("head.weight", 4, 5)], path).unused == ["haed.*"]
        assert rules.resolve([f32("head.weight", 4, 5)], "he").unused == []

    def test_an_unmatched_tensor_is_named(self):
        with pytest.raises(BadInput, match=r"no rule matches tensor 'b\.x', F32 \[1, 2\]"):
            rules.resolve([f32("a", 1), f32("b.x", 1, 2)], [Rule("a", "zeros")])

    def test_layout_and_axes_reach_the_fans(self):
        conv = f32("c", 7, 5, 3, 2)
        for layout, fans in (("oi", (5 * 6, 7 * 6)), ("io", (3 * 35, 2 * 35))):
            choice = rules.resolve([conv], [Rule("*", "he_normal", layout=layout)])[0]
            assert choice.fans == fans
            assert choice.std == math.sqrt(2 / fans[0])
        experts = rules.resolve([f32("e", 8, 6, 4)], [Rule("*", "lecun_normal(batch_axis=0)")])[0]
        assert experts.fans == (4, 6)

    def test_fans_are_shown_where_a_layout_is_named(self):
        specs = [f32("w", 6, 4)]
        assert rules.resolve(specs, [Rule("*", "normal", layout="io")])[0].fans == (6, 4)
        assert rules.resolve(specs, [Rule("*", "normal")])[0].fans is None
        assert rules.resolve([f32("b", 6)], [Rule("*", "normal", layout="io")])[0].fans is None


class TestFiles:
    def test_any_name_of_a_file_that_is_there(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("mine.txt").write_text('[[rule]]\nmatch = "*"\ninit = "ones"\n', "utf-8-sig")
        assert rules.resolve([f32("a", 1)], "mine.txt").picked == "mine.txt"

    def test_a_file(self, toml):
        path = toml("""
            [[rule]]
            match = '/^a/'
            init = "normal(std=0.5)"
            layout = "io"

            [[rule]]
            match = "*"
            init = "zeros"
        """)
        choices = rules.resolve([f32("b", 2, 3), f32("ab", 2, 3)], path)
        assert [choice.label for choice in choices] == ["zeros", "normal(std=0.5) layout=io"]
        assert choices.picked == str(path)
        assert choices.rules == [Rule("/^a/", "normal(std=0.5)", layout="io"), Rule("*", "zeros")]

    def test_own_rules_come_before_those_of_the_preset_they_extend(self, toml):
        path = toml('extends = "he"\n[[rule]]\nmatch = "head.*"\ninit = "zeros"\n')
        choices = rules.resolve([f32("head.weight", 4, 5), f32("body.weight", 4, 5)], path)
        assert [choice.std for choice in choices] == [0.0, math.sqrt(2 / 5)]

    @pytest.mark.parametrize("preset", rules.PRESETS)
    def test_a_preset_is_a_file_to_start_from(self, preset, toml):
        specs = [
            f32("h.0.attn.c_proj.weight", 4, 5, 1, 1),
            f32("classifier.1.weight", 4, 5),
            f32("n.bias", 4),
        ]
        assert rules.resolve(specs, toml(rules.source(preset))).rules == rules.resolve(specs, preset).rules

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", r"has no \[\[rule\]\]"),
            ("rule = []", r"has no \[\[rule\]\]"),
            ("rule = 3", "must be a list"),
            ("rule = [3]", "rule 1: must be a table"),
            ("[[rule]", "is not valid TOML"),
            (b"\xff = 1", "is not UTF-8"),
            ("[[rules]]\nmatch='*'\ninit='zeros'", "unknown key 'rules'"),
            (
                "[[rule]]\nmatch='*'\ninit='zeros'\n[[rule]]\nmatch='*'\ninti='zeros'",
                "rule 2: unknown key 'inti'",
            ),
            ("[[rule]]\nmatch='*'", "rule 1: lacks init"),
            ("[[rule]]\nlayout='oi'", "rule 1: lacks init and match"),
            ("[[rule]]\nmatch=''\ninit='zeros'", "rule 1: match is empty"),
            ("[[rule]]\nmatch=3\ninit='zeros'", "rule 1: match must be a string, not 3"),
            ("[[rule]]\nmatch='/(/'\ninit='zeros'", r"rule 1: match '/\(/' is not a regular expression"),
            ("[[rule]]\nmatch='*'\ninit='zeroes'", "rule 1: init 'zeroes': unknown initialiser"),
            ("[[rule]]\nmatch='*'\ninit='normal(std=-1)'", "rule 1: init .*must not be negative"),
            ("[[rule]]\nmatch='*'\ninit='normal(std={0.02 / depth})'", "rule 1: init .*unknown name 'depth'"),
            ("[[rule]]\nmatch='*'\ninit='normal(std={2 ** 3})'", r"rule 1: init .*'2 \*\* 3' is not made of"),
            ("[[rule]]\nmatch='*'\ninit='inv_freq(base=0)'", "rule 1: init 'inv_freq"),
            (
                "[[rule]]\nmatch='*'\ninit='zeros'\nlayout='hwio'",
                "rule 1: unknown layout 'hwio'; known are oi, io",
            ),
            ("[[rule]]\nmatch='*'\ninit='zeros'\nmin_ndim=true", "rule 1: min_ndim must be an integer"),
            ("[[rule]]\nmatch='*'\ninit='zeros'\npadding_idx=-1", "rule 1: padding_idx cannot be negative"),
            ("extends = 'gpt3'", "unknown preset 'gpt3'; known are bert, gpt2"),
            ("extends = 3", "unknown preset 3"),
        ],
    )
    def test_a_malformed_file_is_one_clear_line(self, text, message, toml):
        path = toml(text)
        with pytest.raises(BadInput, match=message) as raised:
            rules.resolve([f32("a", 1)], path)
        assert "\n" not in str(raised.value)
        assert str(path) in str(raised.value) or "preset" in str(raised.value)

    def test_unknown_presets_list_the_known(self, tmp_path):
        with pytest.raises(
            BadInput, match="unknown preset 'kaiming'; known are bert, gpt2, he, lecun, llama, mistral"
        ):
            rules.resolve([f32("a", 1)], "kaiming")
        with pytest.raises(BadInput, match="No such file"):
            rules.resolve([f32("a", 1)], str(tmp_path / "none.toml"))


class TestArithmetic:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("{1 / 3}", 1 / 3),
            ("{0.02 / sqrt(2 * layers)}", 0.02 / math.sqrt(2 * 12)),
            ("{-(1 - 2.5) * +0 - -3}", None),
            ("{-(1 - 2.5) * 4 - -3}", 9.0),
            ("{1e-3}", 1e-3),
        ],
    )
    def test_values_are_pythons(self, text, value):
        if value is None:
            with pytest.raises(ValueError, match="is not made of"):
                expressions.substitute(text, {"layers": 12})
        else:
            assert float(expressions.substitute(text, {"layers": 12})) == value

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{1 / 0}", "division by zero"),
            ("{sqrt(0 - 1)}", "math domain error|nonnegative"),
            ("{sqrt(1, 2)}", "is not made of"),
            ("{abs(1)}", "is not made of"),
            ("{__import__('os')}", "is not made of"),
            ("{True}", "is not made of"),
            ("{}", "is not an expression"),
            ("{1 +}", "is not an expression"),
            ("{n}", "unknown name 'n'; known are sqrt, layers"),
        ],
    )
    def test_nothing_else_is_an_expression(self, text, message):
        with pytest.raises(ValueError, match=message):
            expressions.substitute(text, {"layers": 12})

    @pytest.mark.parametrize(
        ("names", "layers"),
        [
            (["experts.7.layers.3.x", "heads.9.y"], 4),
            (["h.2.experts.40.x", "layer.5.y"], 6),
            (["enc.11.x", "9.y"], 12),
        ],
    )
    def test_layers_stand_behind_their_name(self, names, layers):
        choices = rules.resolve([f32(name, 1) for name in names], [Rule("*", "constant(value={layers})")])
        assert choices.layers == choices[0].mean == layers
        assert rules.resolve([f32(name, 1) for name in names], [Rule("*", "ones")]).layers is None

    def test_layers_are_the_highest_number_of_a_block(self):
        rule = Rule("*", "constant(value={layers})")
        specs = [f32(name, 1) for name in ("wte", "h.0.a.7.x", "h.11.a", "h.2.b")]
        assert rules.resolve(specs, [rule])[0].mean == 12
        with pytest.raises(BadInput, match="uses layers, which nothing in the manifest tells"):
            rules.resolve(specs[:1], [rule])

    def test_fan_in_is_that_of_the_weight_beside(self):
        ordered = [
            Rule("*.bias", "constant(value={fan_in})"),
            Rule("io.*", "normal", layout="io"),
            Rule("*", "zeros"),
        ]
        specs = [f32(f"{at}.weight", 5, 7, 3) for at in ("oi", "io")]
        specs += [f32("norm.weight", 4), *(f32(f"{at}.bias", 9) for at in ("oi", "io", "norm", "lone"))]
        means = {choice.spec.name: choice.mean for choice in rules.resolve(specs, ordered)}
        assert means["oi.bias"] == 7 * 3
        assert means["io.bias"] == 5 * 7
        assert means["norm.bias"] == means["lone.bias"] == 0


class TestRecord:
    MODEL = (
        f32("h.0.a.weight", 4, 6),
        f32("h.0.a.bias", 4),
        f32("h.0[x].weight", 3, 8),
        f32("h.0[x].bias", 4),
        f32("h.3.norm.weight", 4),
    )
    RULES = (
        Rule("*.bias", "uniform(low={-1 / sqrt(fan_in)}, high={1 / layers})"),
        Rule("never", "ones"),
        Rule("*", "normal(std={1 / layers})"),
    )

    def test_what_won_makes_the_same_of_any_part(self):
        whole = rules.resolve(self.MODEL, self.RULES)
        recorded = rules.of_metadata({"fastinit.rules": rules.dumps(whole.rules)}, "file")
        for choice in whole:
            alone = rules.resolve([choice.spec], recorded)[0]
            assert alone.label == choice.label
            assert (made(alone) == made(choice)).all()
        assert not any(rule.match == "never" or "{" in rule.init for rule in recorded)

    def test_spelling_does_not_show(self):
        spellings = ["he_normal(mode=fan_in)", "kaiming_normal", "kaiming_normal( a = 0 )"]
        assert {rules.resolve([f32("a", 2, 2)], [Rule("*", text)])[0].label for text in spellings} == {
            "kaiming_normal"
        }
        mixed = [f32("a", 2), TensorSpec("b", "I64", (2,))]
        (recorded,) = rules.resolve(mixed, [Rule("*", "constant( value=1)")]).rules
        assert [choice.label for choice in rules.resolve(mixed, [recorded])] == [recorded.init] * 2

    def test_damaged_metadata_is_refused(self):
        assert rules.of_metadata({}, "file") is None
        for text in ("[", "3", '[{"match":"*"}]', "[" * 10**6):
            with pytest.raises(BadInput, match=r"^file: metadata"):
                rules.of_metadata({"fastinit.rules": text}, "file")


class TestChoices:
    def test_a_tensor_is_what_its_initialiser_makes_of_its_name(self):
        spec = TensorSpec("a.weight", "F16", (30, 40))
        choice = rules.resolve([spec], [Rule("*", "xavier_uniform", layout="io")])[0]
        rng = Generator(PCG64(3)).fold_in("a.weight")
        wanted = init.xavier_uniform((30, 40), layout="io", dtype=np.float16, rng=rng)
        assert (made(choice).reshape(30, 40) == wanted).all()
        assert (made(choice, 17, 900) == wanted.ravel()[17:900]).all()

    def test_a_row_is_padding(self):
        spec = f32("e.weight", 50, 8)
        padded, plain = (
            rules.resolve([spec], [Rule("*", "normal(mean=1, std=2)", padding_idx=row)])[0]
            for row in (3, None)
        )
        wanted = made(plain).reshape(50, 8)
        wanted[3] = 0
        assert (made(padded).reshape(50, 8) == wanted).all()
        for start, stop in ((0, 24), (25, 31), (28, 60), (32, 400), (20, 28)):
            assert (made(padded, start, stop) == wanted.ravel()[start:stop]).all()
        # One row of fifty: mean and variance of a mixture.
        assert padded.mean == pytest.approx(0.98)
        assert padded.std == pytest.approx(math.sqrt(0.98 * 4 + 0.98 * 0.02))

    def test_a_row_that_is_not_there(self):
        with pytest.raises(BadInput, match=r"tensor 'e', matched by '\*': padding_idx 5 is no row"):
            rules.resolve([f32("e", 5, 8)], [Rule("*", "normal", padding_idx=5)])

    def test_an_impossible_initialiser_names_its_tensor(self):
        with pytest.raises(BadInput, match=r"tensor 'b', matched by '\*': fans need two axes"):
            rules.resolve([f32("b", 5)], [Rule("*", "xavier_normal")])


class TestBuffers:
    @pytest.mark.parametrize("dtype", ["I64", "U8", "BOOL", "F32", "BF16"])
    @pytest.mark.parametrize(("text", "value"), [("zeros", 0), ("ones", 1), ("constant(value=1)", 1)])
    def test_constants_of_every_dtype(self, dtype, text, value):
        choice = rules.resolve([TensorSpec("b", dtype, (3, 2))], [Rule("*", text)])[0]
        values = made(choice)
        values = values.view(ml_dtypes.bfloat16) if dtype == "BF16" else values
        assert (values == value).all()
        assert (choice.mean, choice.std) == (value, 0)

    def test_position_ids(self):
        choice = rules.resolve([TensorSpec("position_ids", "I64", (2, 77))], [Rule("*", "arange")])[0]
        wanted = torch.arange(77).expand(2, -1).numpy()
        assert (made(choice).reshape(2, 77) == wanted).all()
        assert (made(choice, 70, 90) == wanted.ravel()[70:90]).all()

    @pytest.mark.parametrize("dtype", ["BOOL", "U8", "F32"])
    def test_causal_mask(self, dtype):
        choice = rules.resolve([TensorSpec("attn.bias", dtype, (1, 2, 9, 9))], [Rule("*", "tril")])[0]
        wanted = np.broadcast_to(np.tril(np.ones((9, 9))), (1, 2, 9, 9))
        assert (made(choice).reshape(wanted.shape) == wanted).all()

    @pytest.mark.parametrize(
        ("dtype", "kind"), [("F32", np.float32), ("F64", np.float64), ("BF16", ml_dtypes.bfloat16)]
    )
    def test_inverse_frequencies_are_correctly_rounded(self, dtype, kind):
        choice = rules.resolve([TensorSpec("inv_freq", dtype, (64,))], [Rule("*", "inv_freq(base=10000)")])[0]
        with mpmath.workdps(50):
            wanted = [kind(float(mpmath.mpf(10000) ** (-mpmath.mpf(i) / 64))) for i in range(64)]
        assert (made(choice).view(kind) == np.array(wanted)).all()

    def test_inverse_frequencies_are_the_models(self):
        choice = rules.resolve([f32("inv_freq", 64)], [Rule("*", "inv_freq(base=10000)")])[0]
        theirs = 1.0 / (10000.0 ** (torch.arange(0, 128, 2, dtype=torch.int64).float() / 128))
        # Theirs is rounded three times, in float32.
        np.testing.assert_allclose(made(choice), theirs.numpy(), rtol=2.5e-7)

    @pytest.mark.parametrize(
        ("dtype", "shape", "text", "message"),
        [
            ("I64", (3,), "normal", "normal makes floats; I64 can be zeros"),
            ("BOOL", (3,), "constant(value=2)", "BOOL cannot hold 2"),
            ("U8", (3,), "constant(value=-1)", "U8 cannot hold -1"),
            ("I32", (3,), "constant(value=0.5)", "I32 cannot hold 0.5"),
            ("I64", (), "arange", "arange needs 1 axes"),
            ("BOOL", (3,), "tril", "tril needs 2 axes"),
            ("F32", (), "inv_freq(base=10000)", "needs 1 axes"),
        ],
    )
    def test_what_a_buffer_cannot_be(self, dtype, shape, text, message):
        with pytest.raises(BadInput, match=rf"tensor 'b', matched by '\*': .*{message}"):
            rules.resolve([TensorSpec("b", dtype, shape)], [Rule("*", text)])


def test_the_documentations_examples_are_rules(toml):
    text = (Path(__file__).parents[1] / "docs" / "rules.md").read_text()
    examples = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 3
    specs = [f32(name, 4, 4) for name in ("h.1.c_proj.weight", "lm_head.weight", "h.0.q.weight")]
    labels = [[choice.label for choice in rules.resolve(specs, toml(example))] for example in examples]
    assert labels[0][2] == "xavier_uniform(gain=0.5) layout=io"
    assert labels[1][0] == "normal(std=0.01)"
    assert labels[2][1] == "zeros"
