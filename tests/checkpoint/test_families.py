"""Families: lists of names, as models of libraries save them, against what the libraries' own code does."""

import json
import math
import warnings

import numpy as np
import pytest
from families import NAMES, build, save
from specs import f32

from fastinit.checkpoint import TensorSpec, families, plan
from fastinit.checkpoint.errors import Unmatched
from fastinit.checkpoint.recipe import resolve
from fastinit.random import PCG64, Generator

#: Their names leave a doubt, or they have tensors that no rule knows.
UNSURE = {
    *(
        f"transformers:{name}"
        for name in (
            "Beit:Model",
            "Cohere:ForCausalLM",
            "ConvNext:Model",
            "DeiT:Model",
            "Dinov2:Model",
            "Gemma:ForCausalLM",
            "GptOss:ForCausalLM",
            "MPNet:ForMaskedLM",
            "ModernBert:ForMaskedLM",
            "Pegasus:ForConditionalGeneration",
            "Phi3:ForCausalLM",
            "SmolLM3:ForCausalLM",
            "Starcoder2:ForCausalLM",
            "Whisper:ForConditionalGeneration",
        )
    ),
    *(name for name in NAMES if not name.startswith("transformers:")),
}


def values(choice, seed):
    out = np.empty(choice.spec.size, choice.spec.storage)
    choice.fill(out, Generator(PCG64(seed)).fold_in(choice.stream))
    return choice.spec.as_numbers(out)


def differs(true, guess):
    """Return in what a choice differs from the true one, or None."""
    theirs, again, ours = values(true, 1), values(true, 2), values(guess, 1)
    fixed = theirs == again
    # log rounds as the C library does, not exactly.
    exact = {"rtol": 0 if guess.plan.exact else 1e-6, "atol": 0}
    if theirs.size == 0 or fixed.all():
        return None if np.allclose(theirs, ours, **exact) else "values"
    if fixed.sum() > max(2, theirs.size / 1000) and not np.allclose(theirs[fixed], ours[fixed], **exact):
        return "slices"
    if not fixed.any() and None not in (true.std, guess.std):
        same = math.isclose(true.std, guess.std, rel_tol=1e-5)
        return None if same and abs(true.mean - guess.mean) <= 1e-5 * true.std else f"{true.label}"
    theirs, ours = theirs[~fixed], ours[~fixed]
    kurtosis = ((theirs - theirs.mean()) ** 4).mean() / theirs.var() ** 2
    error = theirs.std() * math.sqrt(2 / theirs.size)
    if abs(theirs.mean() - ours.mean()) > 6 * error:
        return "mean"
    return "std" if abs(theirs.std() - ours.std()) > 6 * error * math.sqrt((kurtosis - 1) / 4) else None


def recorded(name):
    recorder = pytest.importorskip("fastinit.torch.recorder")
    from fastinit.torch.models import Model

    return recorder.record_model(Model(lambda: build(name), save))


@pytest.mark.parametrize("name", NAMES)
def test_names_alone_are_right_or_warned_about(name):
    recording = recorded(name)
    true = resolve(recording.specs, recording)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            guess = resolve(recording.specs, "auto")
        except Unmatched:
            assert name in UNSURE
            return
    pairs = zip(true.choices, guess.choices, strict=True)
    wrong = {pair[0].spec.name: fault for pair in pairs if (fault := differs(*pair)) is not None}
    if name in UNSURE:
        assert told
    else:
        assert (wrong, [str(each.message) for each in told]) == ({}, [])


def test_many_are_known():
    assert len([name for name in NAMES if name not in UNSURE]) >= 40


def test_torch_modules_are_right_in_spite_of_the_doubt():
    for name in ("Linear", "Conv2d", "LSTM", "GRU", "RNN", "MultiheadAttention", "LayerNorm", "BatchNorm2d"):
        recording = recorded(f"torch:{name}")
        pairs = zip(
            resolve(recording.specs, recording).choices,
            resolve(recording.specs, "torch").choices,
            strict=True,
        )
        assert {pair[0].spec.name: differs(*pair) for pair in pairs if differs(*pair) is not None} == {}, name


LLAMA = [
    f32("model.embed_tokens.weight", 50, 8),
    f32("model.layers.0.input_layernorm.weight", 8),
    f32("model.layers.0.post_attention_layernorm.weight", 8),
    f32("model.layers.0.mlp.gate_proj.weight", 16, 8),
    f32("lm_head.weight", 50, 8),
]


def test_a_config_is_surer_than_names():
    names = [spec for spec in LLAMA if spec.name != "lm_head.weight"]
    with pytest.warns(UserWarning, match=r"those of llama and of gemma: preset llama .*config\.json"):
        resolve(names, "auto")
    recipe = resolve(
        names, "auto", config={"model_type": "gemma", "initializer_range": 0.5, "pad_token_id": 3}
    )
    assert recipe.rules_from == "gemma, picked by model_type gemma"
    assert [choice.label for choice in recipe.choices[1:3]] == ["zeros", "zeros"]
    assert recipe.choices[3].std == 0.5
    assert recipe.choices[0].rule.padding_idx == 3
    with pytest.warns(UserWarning, match="no preset is for model_type 'mine'"):
        resolve(LLAMA, "auto", config={"model_type": "mine"})


def test_the_config_beside_a_file_is_read(tmp_path):
    from safetensors.numpy import save_file

    save_file({spec.name: np.zeros(spec.shape, np.float32) for spec in LLAMA}, tmp_path / "model.safetensors")
    config = {"model_type": "qwen2", "initializer_range": 0.25, "tie_word_embeddings": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for source in (tmp_path / "model.safetensors", tmp_path):
        recipe = plan(source).recipe
        assert recipe.rules_from == "llama, picked by model_type qwen2"
        by_name = {choice.spec.name: choice for choice in recipe.choices}
        assert by_name["lm_head.weight"].std == 0.25
        assert by_name["lm_head.weight"].stream == "model.embed_tokens.weight"
    (tmp_path / "config.json").write_text('{"initializer_range": "wide"}')
    assert plan(tmp_path / "model.safetensors").recipe.choices[0].std in (0.02, 1)


def test_names_that_a_family_lacks_are_told():
    with pytest.warns(UserWarning, match=r"llama has no 'model\.odd\.weight': preset llama may be wrong"):
        resolve([*LLAMA, f32("model.odd.weight", 4, 4)], "auto")


def test_what_names_do_not_tell_is_said():
    opt = [f32("model.decoder.embed_positions.weight", 9, 8), f32("model.decoder.layers.0.fc1.weight", 8, 8)]
    assert resolve(opt).rules_from == "roberta, picked by names, initializer_range 0.02, padding token 1"
    assert resolve(LLAMA).rules_from == "llama, picked by names, initializer_range 0.02, no padding token"
    torch = [f32("layer1.0.bn1.weight", 8), f32("layer1.0.conv1.weight", 8, 8, 1, 1), f32("fc.weight", 9, 8)]
    assert resolve(torch).rules_from == "resnet, picked by names"


def test_a_variant_comes_after_what_it_extends():
    names = [f32(f"embeddings.{name}", 1, 5, 8) for name in ("cls_token", "position_embeddings")]
    names.append(f32("embeddings.patch_embeddings.projection.weight", 8, 3, 2, 2))
    with pytest.warns(UserWarning, match="those of vit and of deit: preset vit may be wrong"):
        assert resolve(names).choices[0].std == pytest.approx(0.02)
    recipe = resolve([*names, f32("embeddings.distillation_token", 1, 1, 8)])
    assert recipe.rules_from.startswith("deit, picked by names")
    assert [choice.label for choice in recipe.choices[:2]] == ["zeros", "zeros"]


def test_names_of_transformers_of_no_known_family():
    with pytest.warns(UserWarning, match="of no known family: preset transformers may be wrong"):
        recipe = resolve([f32("new.layers.0.self_attn.q.weight", 8, 8)], "auto")
    assert recipe.choices[0].std == 0.02


GPT2 = [
    f32("transformer.wte.weight", 50, 8),
    f32("transformer.h.0.attn.c_attn.weight", 8, 24),
    f32("transformer.h.0.attn.c_attn.bias", 24),
    f32("lm_head.weight", 50, 8),
]


def test_tied_tensors_are_equal():
    wte, *_, head = resolve(GPT2, "auto").choices
    assert head.stream == wte.stream == "transformer.wte.weight"
    assert (values(head, 3) == values(wte, 3)).all()
    assert resolve(LLAMA, "auto").choices[-1].stream == "lm_head.weight"


def test_tied_tensors_that_would_differ_are_told():
    with pytest.warns(
        UserWarning, match=r"lm_head\.weight and transformer\.wte\.weight are one tensor in gpt2"
    ):
        resolve(GPT2, "he")


def test_the_bias_tells_the_layout():
    linear = [spec if spec.shape != (8, 24) else f32(spec.name, 24, 8) for spec in GPT2]
    assert [resolve(specs, "auto").choices[1].rule.layout for specs in (GPT2, linear)] == ["io", "oi"]
    assert [resolve(specs, "he").choices[1].fans for specs in (GPT2[:3], linear[:3])] == [(8, 24)] * 2


def test_lora():
    stem = "base_model.model.model.layers.0.self_attn.q_proj"
    first, second = resolve([f32(f"{stem}.lora_A.weight", 4, 9), f32(f"{stem}.lora_B.weight", 9, 4)]).choices
    assert first.std == pytest.approx(1 / math.sqrt(3 * 9))
    assert second.label == "zeros"


def test_every_model_type_is_of_one_preset():
    types = [name for family in families._families() for name in family.model_types]
    assert len(types) == len(set(types)) > 40


def test_embeddings_have_two_axes_and_no_bias():
    specs = [
        f32("word_embeddings_layernorm.weight", 8),
        f32("patch_embedding.weight", 8, 3, 4, 4),
        f32("x_embedder.weight", 8, 12),
        f32("x_embedder.bias", 8),
        f32("token_embedding.weight", 50, 8),
    ]
    norm, conv, linear, _, embedding = resolve(specs, "torch").choices
    assert (norm.label, embedding.label) == ("ones", "normal")
    assert [conv.std, linear.std] == pytest.approx([1 / math.sqrt(3 * 48), 1 / math.sqrt(3 * 12)])


def test_an_initialiser_is_a_rule_for_all_matrices():
    specs = [f32("a.weight", 3, 4), f32("a.bias", 3), f32("norm.weight", 3), f32("experts", 2, 3, 4)]
    recipe = resolve(specs, "normal(std=0.5)")
    assert [choice.std for choice in recipe.choices] == [0.5, 0, 0, 0.5]
    assert [choice.mean for choice in recipe.choices] == [0, 0, 1, 0]
    assert recipe.rules_from == "normal(std=0.5) for every matrix"
    with pytest.raises(ValueError, match=r"init 'normal\(sd=1\)': .*no argument 'sd'"):
        resolve(specs, "normal(sd=1)")


def test_dummy_makes_any_tensor():
    from fastinit.checkpoint.spec import DTYPES

    names = ("a.weight", "position_ids", "x.attn.bias", "rotary_emb.inv_freq", "A_log", "bn.running_var", "s")
    shapes = ((), (3,), (0,), (3, 4), (2, 3, 4))
    specs = [
        TensorSpec(f"{dtype}{len(s)}{s[:1]}.{name}", dtype, s)
        for dtype in DTYPES
        for name in names
        for s in shapes
        if math.prod(s) % DTYPES[dtype].packed == 0  # F4 has two elements in a byte
    ]
    recipe = resolve(specs, "dummy")
    for choice in recipe.choices:
        made = np.asarray(values(choice, 1))
        assert np.isfinite(made).all()
        assert (np.abs(made) <= 1).all()
    assert (values(next(c for c in recipe.choices if c.spec.name == "F321(3,).bn.running_var"), 1) == 1).all()


def test_a_tied_tensor_without_the_other_is_made_as_it_would_be():
    stem = "roberta.encoder.layer.0.attention.self.query.weight"
    head = resolve(
        [f32(stem, 8, 8), f32("lm_head.layer_norm.weight", 8), f32("lm_head.decoder.weight", 9, 8)]
    )
    assert (head.choices[2].stream, head.choices[2].rule.padding_idx) == (
        "roberta.embeddings.word_embeddings.weight",
        1,
    )
