"""Models of transformers by their published sizes, made from their config classes: nothing is fetched."""

from __future__ import annotations

import sys
from typing import Any

# No model here needs it, and transformers does not import if torchvision is for another torch.
sys.modules.setdefault("torchvision", None)

import transformers  # noqa: E402

_BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "vocab_size": 50304}
_TINY_LLAMA = {"hidden_size": 2048, "num_hidden_layers": 22, "num_attention_heads": 32, "vocab_size": 32000}

#: The class, less its last part, and what the config has of its own.
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "GPT-2": ("GPT2", "LMHeadModel", {}),
    "OPT-125M": (
        "OPT",
        "ForCausalLM",
        {**_BASE, "vocab_size": 50272, "ffn_dim": 3072, "word_embed_proj_dim": 768},
    ),
    "RoBERTa-base": (
        "Roberta",
        "ForMaskedLM",
        {**_BASE, "vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1},
    ),
    "T5-small": ("T5", "ForConditionalGeneration", {"decoder_start_token_id": 0}),
    "Pythia-160M": ("GPTNeoX", "ForCausalLM", {**_BASE, "intermediate_size": 3072, "rotary_pct": 0.25}),
    "TinyLlama-1.1B": (
        "Llama",
        "ForCausalLM",
        {**_TINY_LLAMA, "num_key_value_heads": 4, "intermediate_size": 5632},
    ),
    "Llama-7B": ("Llama", "ForCausalLM", {}),
}


def config_of(name: str) -> Any:
    """Return a model's config, which names its class."""
    family, head, values = MODELS[name]
    return getattr(transformers, f"{family}Config")(**values, architectures=[family + head])


def class_of(name: str) -> Any:
    """Return a model's class."""
    return getattr(transformers, "".join(MODELS[name][:2]))


def built(name: str) -> Any:
    """Return a model, as its library builds it."""
    return class_of(name)(config_of(name))
