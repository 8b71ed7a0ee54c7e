"""A tiny model with random weights for every kind that `AutoModelForSequenceClassification` knows."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import CONFIG_MAPPING, AutoModelForSequenceClassification, PretrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

from src.params import ModelSource

NOT_INSTALLED = {"layoutlmv2"}  # its code needs a library that is not among the pins
KINDS = sorted(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES)
TEXTS = [("the film was good",), ("bad",), ("a story a plot a scene was awful and poor",), ("great music",)]
LAYERS, WIDTH, VOCABULARY = 4, 32, 64
SIZES = {
    **dict.fromkeys(("vocab_size", "entity_vocab_size", "shape_vocab_size", "pronunciation_vocab_size"), VOCABULARY),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len", "segment_means_seq_len"), 64),
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "emb_dim", "embedding_size", "d_latents"), WIDTH),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner", "d_ff", "d_inner", "hidden_dim"), 64),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), LAYERS),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_experts_per_tok"), 2),
    **dict.fromkeys(("head_dim", "d_head", "v_head_dim", "qk_rope_head_dim", "qk_nope_head_dim", "index_head_dim"), 8),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "dff", "entity_emb_size", "moe_intermediate_size"), 16),
    **dict.fromkeys(("shared_expert_intermediate_size", "moe_shared_expert_intermediate_size"), 16),
    **dict.fromkeys(("n_routed_experts", "num_experts", "num_local_experts", "n_shared_experts"), 4),
    **dict.fromkeys(("linear_num_key_heads", "linear_num_value_heads", "linear_key_head_dim"), 4),
    **dict.fromkeys(("linear_value_head_dim", "index_n_heads"), 4),
    **dict.fromkeys(("n_group", "topk_group"), 1),
}


def tiny_config(kind: str, **settings: Any) -> PretrainedConfig:
    """A config of a kind of model with the smallest sizes that it accepts. `settings` replace defaults."""
    return _shrunk(CONFIG_MAPPING[kind], EXCEPTIONS.get(kind, {}) | settings)


def save_tiny_model(kind: str, tokenizer: Any, folder: Path, **settings: Any) -> ModelSource:
    """A folder of a model with random weights. A kind that its config alone refuses gets one unused weight."""
    torch.manual_seed(0)
    config = tiny_config(kind, **settings)
    if config.is_encoder_decoder or kind in NOT_INSTALLED:
        config.save_pretrained(folder)
        save_file({"unused": torch.zeros(1)}, folder / "model.safetensors")
    else:
        model = AutoModelForSequenceClassification.from_config(config)
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.data *= 3  # as far from zero as those of a trained model
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelSource(source="folder", name=str(folder))


def _shrunk(config_class: type[PretrainedConfig], exceptions: dict[str, Any]) -> PretrainedConfig:
    default = config_class()
    known = default.to_dict()
    sizes = {key: size for key, size in SIZES.items() if isinstance(known.get(key, ""), int | None)}
    tokens = {key: 1 for key, value in known.items() if key.endswith("_token_id") and isinstance(value, int)}
    parts = {key: getattr(default, key) for key in config_class.sub_configs if getattr(default, key) is not None}
    parts = {key: _shrunk(type(part), exceptions.get(key, {})) for key, part in parts.items()}
    own = {key: value for key, value in exceptions.items() if key not in parts}
    return config_class(**(sizes | tokens | parts | {"pad_token_id": 0} | own))


EXCEPTIONS: dict[str, dict[str, Any]] = {
    **{kind: {"num_key_value_heads": 4} for kind in ("axk1", "axk2", "deepseek_v2", "deepseek_v3", "esmc", "minicpm3")},
    "cohere_compass_text": {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 10000.0}}},
    "funnel": {"block_sizes": [2, 2]},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "gptj": {"rotary_dim": 4},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "layoutlmv3": {"coordinate_size": 4, "shape_size": 8},
    "lilt": {"hidden_size": 48},
    "longformer": {"attention_window": [8] * LAYERS},
    "mistral4": {"num_key_value_heads": 4, "head_dim": 16},
    "reformer": {"axial_pos_embds_dim": [8, 24]},
    "zamba": {"layers_block_type": ["mamba", "hybrid"] * 2},
    "zamba2": {"layers_block_type": ["mamba", "hybrid"] * 2, "num_mem_blocks": 1},
}
