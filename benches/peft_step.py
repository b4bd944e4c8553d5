#!/usr/bin/env python3
"""The training step of `cmpt-train` as one would write it with PyTorch, transformers and peft.

usage: peft_step.py [--device cuda] [--precision bf16] [--threads N] [--batch N] [--frames N] [--depth N]

CLIP ViT-B/16 on BATCH x FRAMES pictures and AST base on BATCH sounds, frozen, random weights; a proxy token in front
of each; peft's LoRA of rank 1 on query, key, value and output of every block; the sum of the class tokens into a
linear head; cross entropy plus 0.2 times the alignment of proxies and class tokens; AdamW.

Speaks with `compare.py`: says what it is in a line of JSON, then for each line on stdin makes one step and prints its
seconds, loss and the process's peak memory as a line of JSON.
"""
import argparse
import json
import resource
import sys
import time

import peft
import torch
import transformers
from torch import nn
from torch.nn import functional as F

CLASSES = 31


class WithProxy(nn.Module):
    """Embeddings with a learnable token in front."""

    def __init__(self, embeddings, width):
        super().__init__()
        self.embeddings = embeddings
        self.proxy = nn.Parameter(torch.randn(1, 1, width) * 0.02)

    def forward(self, values, **_):
        tokens = self.embeddings(values)
        return torch.cat([self.proxy.expand(len(tokens), -1, -1), tokens], 1)


def adapted(model, embeddings, targets):
    """`model` frozen, with adapters on the layers named `targets`, and a proxy in front of `embeddings`."""
    owner, name = embeddings
    with_proxy = WithProxy(getattr(owner, name), model.config.hidden_size)
    setattr(owner, name, with_proxy)
    model = peft.get_peft_model(model, peft.LoraConfig(r=1, lora_alpha=1, lora_dropout=0.1, target_modules=targets))
    with_proxy.proxy.requires_grad_(True)
    return model


class Cmpt(nn.Module):
    def __init__(self, depth):
        super().__init__()
        clip = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(patch_size=16, num_hidden_layers=depth))
        ast = transformers.ASTModel(transformers.ASTConfig(num_hidden_layers=depth))
        self.clip = adapted(clip, (clip.vision_model, "embeddings"), r".*self_attn\.(q|k|v|out)_proj")
        self.ast = adapted(ast, (ast, "embeddings"), r".*attention\.(attention\.(query|key|value)|output\.dense)")
        self.norm = clip.vision_model.post_layernorm
        self.head = nn.Linear(768, CLASSES)

    def forward(self, sounds, pictures):
        batch, frames = pictures.shape[:2]
        heard = self.ast(sounds).last_hidden_state
        seen = self.norm(self.clip(pictures.flatten(0, 1)).last_hidden_state[:, :2])
        seen = seen.unflatten(0, (batch, frames)).mean(1)
        return (heard[:, 0], heard[:, 1:3].mean(1)), (seen[:, 0], seen[:, 1])

    def loss(self, sounds, pictures, classes):
        (proxy_heard, cls_heard), (proxy_seen, cls_seen) = self(sounds, pictures)
        task = F.cross_entropy(self.head(cls_heard + cls_seen), classes)
        alignment = F.mse_loss(proxy_heard, cls_seen) + F.mse_loss(proxy_seen, cls_heard)
        return task + 0.2 * alignment


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="f32", choices=["f32", "bf16"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--frames", type=int, default=3)
    parser.add_argument("--depth", type=int, default=12)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(7)
    model = Cmpt(args.depth).to(args.device).train()
    learnable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learnable, lr=1e-4, weight_decay=0.02, eps=1e-8)
    sounds = torch.randn(args.batch, 1024, 128, device=args.device)
    pictures = torch.randn(args.batch, args.frames, 3, 224, 224, device=args.device)
    classes = torch.arange(args.batch, device=args.device) % CLASSES
    autocast = torch.autocast(args.device, torch.bfloat16, enabled=args.precision == "bf16")
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}"
    about = {"name": versions, "threads": torch.get_num_threads(), "learnable": sum(p.numel() for p in learnable)}
    print(json.dumps(about), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        with autocast:
            loss = model.loss(sounds, pictures, classes)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        # Waits for the device.
        loss = loss.item()
        seconds = time.perf_counter() - start
        peak = torch.cuda.max_memory_allocated() if args.device == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"seconds": seconds, "loss": loss, "peak_bytes": peak}), flush=True)


if __name__ == "__main__":
    main()
