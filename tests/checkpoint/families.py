"""Small models with their libraries' own padding tokens, whose names are to be recognised.

A row has a class, and the arguments of its config or constructor. Classes of transformers have a colon in
their names: ``Llama:ForCausalLM`` is LlamaForCausalLM of a LlamaConfig.
"""

import importlib

import models  # noqa: F401 - it lets transformers import beside a torchvision for another torch

_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": 99,
    "max_position_embeddings": 40,
}
_GQA = {**_SIZES, "num_key_value_heads": 2, "head_dim": 8}
_MOE = {**_GQA, "moe_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2}
_GPT = {"vocab_size": 99, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 40}
_BART = {
    **{"d_model": 32, "vocab_size": 99, "max_position_embeddings": 40},
    **{f"{part}_layers": 2 for part in ("encoder", "decoder")},
    **{f"{part}_attention_heads": 4 for part in ("encoder", "decoder")},
    **{f"{part}_ffn_dim": 64 for part in ("encoder", "decoder")},
}
_T5 = {"vocab_size": 99, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
_PICTURE = {**{k: _SIZES[k] for k in list(_SIZES)[:4]}, "image_size": 32, "patch_size": 8}
_DEEPSEEK = {
    **{k: v for k, v in _SIZES.items()},
    **{
        "num_key_value_heads": 4,
        "moe_intermediate_size": 16,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
    },
    **{"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8},
    **{"n_group": 2, "topk_group": 1, "first_k_dense_replace": 1},
}
_CLIP = {
    "text_config": {**_SIZES, "projection_dim": 24},
    "vision_config": {**_PICTURE, "hidden_size": 48, "num_hidden_layers": 3, "projection_dim": 24},
    "projection_dim": 24,
}

TRANSFORMERS = {
    "Albert:ForMaskedLM": {**_SIZES, "embedding_size": 16},
    "Bart:ForConditionalGeneration": _BART,
    "Beit:Model": _PICTURE,
    "Bert:ForMaskedLM": _SIZES,
    "Bert:ForSequenceClassification": _SIZES,
    "Bloom:ForCausalLM": {"vocab_size": 99, "hidden_size": 32, "n_layer": 2, "n_head": 4},
    "CLIP:Model": _CLIP,
    "CodeGen:ForCausalLM": {**_GPT, "rotary_dim": 4},
    "Cohere:ForCausalLM": _SIZES,
    "ConvNext:Model": {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2},
    "Deberta:ForMaskedLM": _SIZES,
    "DebertaV2:ForMaskedLM": _SIZES,
    "DeepseekV3:ForCausalLM": _DEEPSEEK,
    "DeiT:Model": _PICTURE,
    "Dinov2:Model": _PICTURE,
    "DistilBert:ForMaskedLM": {
        **{"vocab_size": 99, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64},
        "max_position_embeddings": 40,
    },
    "Electra:ForPreTraining": {**_SIZES, "embedding_size": 16},
    "Falcon:ForCausalLM": {k: _SIZES[k] for k in (*list(_SIZES)[:3], "vocab_size")},
    "GPT2:LMHeadModel": _GPT,
    "GPT2:Model": _GPT,
    "GPTBigCode:ForCausalLM": _GPT,
    "GPTJ:ForCausalLM": {**_GPT, "rotary_dim": 4},
    "GPTNeo:ForCausalLM": {
        **{
            "vocab_size": 99,
            "hidden_size": 32,
            "num_layers": 2,
            "num_heads": 4,
            "max_position_embeddings": 40,
        },
        "attention_types": [[["global", "local"], 1]],
    },
    "GPTNeoX:ForCausalLM": _SIZES,
    "Gemma2:ForCausalLM": _GQA,
    "Gemma3Text:ForCausalLM": _GQA,
    "Gemma:ForCausalLM": _GQA,
    "GptOss:ForCausalLM": {**_GQA, "num_local_experts": 4, "num_experts_per_tok": 2},
    "Granite:ForCausalLM": _SIZES,
    "Llama:ForCausalLM": _SIZES,
    "Llama:ForSequenceClassification": _SIZES,
    "MBart:ForConditionalGeneration": _BART,
    "MPNet:ForMaskedLM": _SIZES,
    "MT5:ForConditionalGeneration": _T5,
    "Mamba2:ForCausalLM": {
        **{"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 99, "state_size": 8},
        **{"num_heads": 8, "head_dim": 8, "n_groups": 1},
    },
    "Mamba:ForCausalLM": {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 99, "state_size": 4},
    "Mistral:ForCausalLM": _GQA,
    "Mixtral:ForCausalLM": {**_GQA, "num_local_experts": 4},
    "ModernBert:ForMaskedLM": {**_SIZES, "pad_token_id": 0},
    "Mpt:ForCausalLM": {"vocab_size": 99, "d_model": 32, "n_layers": 2, "n_heads": 4},
    "OPT:ForCausalLM": {
        **{k: _SIZES[k] for k in _SIZES if k != "intermediate_size"},
        **{"ffn_dim": 64, "word_embed_proj_dim": 32},
    },
    "Olmo2:ForCausalLM": _SIZES,
    "Olmo:ForCausalLM": _SIZES,
    "Pegasus:ForConditionalGeneration": _BART,
    "Persimmon:ForCausalLM": _SIZES,
    "Phi3:ForCausalLM": {**_SIZES, "pad_token_id": 5},
    "Phi:ForCausalLM": _SIZES,
    "Qwen2:ForCausalLM": {**_SIZES, "num_key_value_heads": 2},
    "Qwen2Moe:ForCausalLM": {**_MOE, "shared_expert_intermediate_size": 16},
    "Qwen3:ForCausalLM": _GQA,
    "Qwen3Moe:ForCausalLM": _MOE,
    "ResNet:ForImageClassification": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
    "Roberta:ForCausalLM": _SIZES,
    "Roberta:ForMaskedLM": _SIZES,
    "SmolLM3:ForCausalLM": {**_SIZES, "num_key_value_heads": 2, "pad_token_id": None},
    "StableLm:ForCausalLM": _SIZES,
    "Starcoder2:ForCausalLM": _GQA,
    "T5:ForConditionalGeneration": _T5,
    "ViT:ForImageClassification": _PICTURE,
    "Whisper:ForConditionalGeneration": {
        **{k: v for k, v in _BART.items() if k != "max_position_embeddings"},
        **{"max_source_positions": 20, "max_target_positions": 20, "pad_token_id": 1},
    },
    "XLMRoberta:ForMaskedLM": _SIZES,
}

TIMM = (
    "vit_tiny_patch16_224",
    "resnet18",
    "convnext_atto",
    "efficientnet_b0",
    "swin_tiny_patch4_window7_224",
)

TORCH = {
    "Linear": (40, 30),
    "Conv2d": (8, 16, 3),
    "LSTM": (10, 20, 2, True, False, 0.0, True, 5),
    "GRU": (10, 20),
    "RNN": (10, 20),
    "MultiheadAttention": (32, 4, 0.0, True, True),
    "PReLU": (4,),
    "LayerNorm": ((4, 5),),
    "BatchNorm2d": (4,),
    "Bilinear": (5, 6, 7),
    "TransformerEncoderLayer": (32, 4, 64),
}

#: All, as ``library:name``.
NAMES = [
    *(f"transformers:{name}" for name in TRANSFORMERS),
    *(f"timm:{name}" for name in TIMM),
    *(f"torch:{name}" for name in TORCH),
]


def build(name):
    """Return a model."""
    kind, _, name = name.partition(":")
    library = importlib.import_module(kind)
    if kind == "torch":
        return getattr(library.nn, name)(*TORCH[name])
    if kind == "timm":
        return library.create_model(name)
    stem, _, head = name.partition(":")
    config = getattr(library, f"{stem}Config")(**TRANSFORMERS[name])
    return getattr(importlib.import_module("transformers"), stem.removesuffix("Text") + head)(config)


def save(model, folder):
    """Save a model as its library does, if it does."""
    if hasattr(model, "save_pretrained"):
        model.save_pretrained(folder)
