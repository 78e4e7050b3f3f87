"""Small models of transformers, timm, torchvision, diffusers and torch, built without a network."""

import functools
import importlib
import warnings

import torch
from torch import nn

#: The sizes of small transformers, under all names that configs have for them.
_SMALL = {
    **dict.fromkeys(["hidden_size", "d_model", "n_embd", "dim", "embedding_size", "intermediate_dim"], 32),
    **dict.fromkeys(["num_hidden_layers", "n_layer", "num_layers", "n_layers"], 2),
    **dict.fromkeys(["encoder_layers", "decoder_layers"], 2),
    **dict.fromkeys(["num_attention_heads", "n_head", "num_heads", "n_heads"], 4),
    **dict.fromkeys(["encoder_attention_heads", "decoder_attention_heads"], 4),
    **dict.fromkeys(["intermediate_size", "d_ff", "ffn_dim", "hidden_dim"], 64),
    **dict.fromkeys(["encoder_ffn_dim", "decoder_ffn_dim"], 64),
    **dict.fromkeys(["num_local_experts", "num_experts", "n_routed_experts"], 4),
    **{"num_key_value_heads": 2, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "rotary_dim": 4},
    **{"head_dim": 8, "d_kv": 8, "vocab_size": 99, "max_position_embeddings": 40},
    **{"pad_token_id": 1, "bos_token_id": None, "eos_token_id": None},
}

_AUDIO = {"conv_dim": [8, 8], "conv_stride": [2, 2], "conv_kernel": [3, 3]}
_IMAGE = {"image_size": 32, "patch_size": 8}
_DEEPSEEK = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4}
_DEEPSEEK |= {"v_head_dim": 8, "n_group": 2, "topk_group": 1, "first_k_dense_replace": 1, "head_dim": None}
_TEXT = {key: _SMALL[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size")}
_TEXT |= {"num_attention_heads": 4, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
_CLIP_IMAGE = {key: _TEXT[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers")}
_CLIP_IMAGE |= {"num_attention_heads": 4, **_IMAGE}
_SWIN = {**_IMAGE, "patch_size": 4, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4}

_TRANSFORMERS = {
    "Albert:ForMaskedLM": {},
    "Bart:ForConditionalGeneration": {},
    "Beit:Model": _IMAGE,
    "Bert:ForMaskedLM": {},
    "Bert:ForSequenceClassification": {},
    "Bloom:ForCausalLM": {},
    "CLIP:Model": {"text_config": _TEXT, "vision_config": _CLIP_IMAGE, "projection_dim": 16},
    "CodeGen:ForCausalLM": {},
    "Cohere:ForCausalLM": {},
    "ConvNext:Model": {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2},
    "Deberta:ForMaskedLM": {},
    "DebertaV2:ForMaskedLM": {},
    "DeepseekV3:ForCausalLM": _DEEPSEEK,
    "DeiT:Model": _IMAGE,
    "Dinov2:Model": {"image_size": 28, "patch_size": 14},
    "DistilBert:ForMaskedLM": {},
    "Electra:ForPreTraining": {},
    "Falcon:ForCausalLM": {},
    "GPT2:LMHeadModel": {},
    "GPT2:Model": {},
    "GPTBigCode:ForCausalLM": {},
    "GPTJ:ForCausalLM": {},
    "GPTNeo:ForCausalLM": {"attention_types": [[["global", "local"], 1]]},
    "GPTNeoX:ForCausalLM": {},
    "Gemma2:ForCausalLM": {},
    "Gemma3Text:ForCausalLM": {},
    "Gemma:ForCausalLM": {},
    "GptOss:ForCausalLM": {},
    "Granite:ForCausalLM": {},
    "Hubert:Model": _AUDIO,
    "Llama:ForCausalLM": {},
    "Llama:ForSequenceClassification": {},
    "Longformer:ForMaskedLM": {},
    "MBart:ForConditionalGeneration": {},
    "MPNet:ForMaskedLM": {},
    "MT5:ForConditionalGeneration": {},
    "Mamba2:ForCausalLM": {"num_heads": 8, "state_size": 8, "n_groups": 1},
    "Mamba:ForCausalLM": {"state_size": 4},
    "Marian:MTModel": {},
    "Mistral:ForCausalLM": {},
    "Mixtral:ForCausalLM": {},
    "ModernBert:ForMaskedLM": {"pad_token_id": 0},
    "Mpt:ForCausalLM": {},
    "Nystromformer:ForMaskedLM": {},
    "OPT:ForCausalLM": {"word_embed_proj_dim": 32},
    "Olmo2:ForCausalLM": {},
    "Olmo:ForCausalLM": {},
    "Pegasus:ForConditionalGeneration": {},
    "Persimmon:ForCausalLM": {},
    "Phi3:ForCausalLM": {},
    "Phi:ForCausalLM": {},
    "Qwen2:ForCausalLM": {},
    "Qwen2Moe:ForCausalLM": {"shared_expert_intermediate_size": 16},
    "Qwen3:ForCausalLM": {},
    "Qwen3Moe:ForCausalLM": {},
    "ResNet:ForImageClassification": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
    "Roberta:ForCausalLM": {},
    "Roberta:ForMaskedLM": {},
    "Rwkv:ForCausalLM": {"attention_hidden_size": 32},
    "SmolLM3:ForCausalLM": {},
    "StableLm:ForCausalLM": {},
    "Starcoder2:ForCausalLM": {},
    "Swin:Model": _SWIN,
    "T5:ForConditionalGeneration": {},
    "ViT:ForImageClassification": _IMAGE,
    "Wav2Vec2:ForCTC": _AUDIO,
    "Whisper:ForConditionalGeneration": {
        "max_source_positions": 20,
        "max_target_positions": 20,
        "decoder_start_token_id": 0,
    },
    "XLMRoberta:ForMaskedLM": {},
}

# These follow from others.
_FIXED = {
    "Falcon": ["head_dim"],
    "Swin": ["num_attention_heads", "num_hidden_layers", "num_layers", "hidden_size"],
}

_VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
_TIMM = {
    "cait_xxs24_224": {"img_size": 32, "embed_dim": 32, "depth": 2, "num_heads": 2},
    "beit_base_patch16_224": {**_VIT, "init_values": 0.1},
    "convnext_atto": {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)},
    "densenet121": {"growth_rate": 4, "block_config": (1, 1)},
    "eva02_tiny_patch14_336": {**_VIT, "patch_size": 8},
    "mixer_s32_224": {"img_size": 64},
    "mobilenetv3_small_050": {},
    "nfnet_l0": {},
    "regnetx_002": {},
    "resnet10t": {"channels": (8, 8, 16, 16)},
    "swin_tiny_patch4_window7_224": {"img_size": 56, "embed_dim": 12, "depths": (1, 1), "num_heads": (2, 2)},
    "vit_tiny_patch16_224": _VIT,
    "xcit_nano_12_p16_224": {"embed_dim": 32, "depth": 2},
}

_TORCHVISION = {
    "efficientnet_b0": {},
    "googlenet": {"init_weights": True},
    "mnasnet0_5": {},
    "mobilenet_v2": {},
    "mobilenet_v3_small": {},
    "resnet18": {},
    "shufflenet_v2_x0_5": {},
    "squeezenet1_0": {},
}

_DIFFUSERS = {
    "AutoencoderKL": {"block_out_channels": (32,), "norm_num_groups": 8},
    "DiTTransformer2DModel": {
        **{"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 2, "sample_size": 8},
        "norm_num_groups": 8,
    },
    "FluxTransformer2DModel": {
        **{"num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2},
        **{"joint_attention_dim": 16, "pooled_projection_dim": 16, "axes_dims_rope": (4, 4, 8)},
    },
    "PixArtTransformer2DModel": {
        **{"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 1, "sample_size": 8},
        **{"caption_channels": 8, "cross_attention_dim": 16},
    },
    "SD3Transformer2DModel": {
        **{"sample_size": 8, "num_layers": 1, "attention_head_dim": 8, "num_attention_heads": 2},
        **{"joint_attention_dim": 16, "caption_projection_dim": 16, "pooled_projection_dim": 16},
    },
    "UNet2DModel": {
        **{"sample_size": 8, "block_out_channels": (32, 64)},
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    },
}

_TORCH = {
    "AdaptiveLogSoftmaxWithLoss": (16, 50, [10, 20]),
    "BatchNorm2d": (4,),
    "Bilinear": (5, 6, 7),
    "Conv2d": (8, 16, 3),
    "ConvTranspose1d": (4, 6, 3),
    "Embedding": (50, 20, 3),
    "EmbeddingBag": (10, 4),
    "GRU": (10, 20),
    "GroupNorm": (2, 4),
    "LSTM": (10, 20, 2),
    "LayerNorm": ((4, 5),),
    "Linear": (40, 30),
    "MultiheadAttention": (32, 4, 0.0, True, True),
    "PReLU": (4,),
    "RNN": (10, 20),
}


def _with_operators():
    """Let torchvision import if its compiled operators don't fit this build of torch."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _with_operators.library = library  # torch forgets the operators of a library that is gone


def transformers_model(name, *, own_tokens=False, **more):
    """Return a small model of transformers, such as ``"Llama:ForCausalLM"``.

    Its padding token is 1, unless it shall have its library's own, if that is in the small vocabulary.
    """
    transformers = importlib.import_module("transformers")
    family, head = name.split(":")
    config = getattr(transformers, f"{family}Config")
    standard = config()
    small = {key: value for key, value in _SMALL.items() if getattr(standard, key, None) is not None}
    small |= {key: None for key in ("bos_token_id", "eos_token_id") if hasattr(standard, key)}
    given = {**small, **_TRANSFORMERS[name], **more}
    tokens = ("pad_token_id", "bos_token_id", "eos_token_id") if own_tokens else ()
    own = [key for key in tokens if (getattr(standard, key, None) or 0) < _SMALL["vocab_size"]]
    for key in (*_FIXED.get(family, ()), *own):
        given.pop(key, None)
    return getattr(transformers, family.removesuffix("Text") + head)(config(**given))


def _built(name, library, function, arguments):
    module = importlib.import_module(library)
    if library == "diffusers":
        return getattr(module, name)(**arguments)
    return getattr(module, function)(name, **arguments)


#: A function that returns each model, by the library's name and the model's.
MODELS = {
    **{("transformers", name): functools.partial(transformers_model, name) for name in _TRANSFORMERS},
    **{("timm", n): functools.partial(_built, n, "timm", "create_model", a) for n, a in _TIMM.items()},
    **{
        ("torchvision", n): functools.partial(
            _built, n, "torchvision.models", "get_model", {"weights": None, **a}
        )
        for n, a in _TORCHVISION.items()
    },
    **{("diffusers", n): functools.partial(_built, n, "diffusers", "", a) for n, a in _DIFFUSERS.items()},
    **{("torch", n): functools.partial(getattr(nn, n), *a) for n, a in _TORCH.items()},
    ("torch", "weight_norm"): lambda: nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 8, 3)),
    ("torch", "Transformer"): lambda: nn.Transformer(32, 4, 2, 2, 64, batch_first=True),
    ("torch", "TransformerEncoder"): lambda: nn.TransformerEncoder(
        nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), 3
    ),
}  # fmt: skip

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    _with_operators()
