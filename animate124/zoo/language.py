"""The nano models' language: a CLIP tokenizer in which every word of the toybox is one token."""

import json
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTokenizer

from animate124.media.files import ensure_folder, write_json
from animate124.toybox.captions import vocabulary

MAX_TOKENS = 32
VIEW_WORDS = ("front", "side", "back", "view")
_START, _END = "<|startoftext|>", "<|endoftext|>"


def words() -> tuple[str, ...]:
    """Every word the nano models know, sorted; hyphenated ones are two words to a tokenizer."""
    single = {part for word in vocabulary() for part in word.split("-")}
    return tuple(sorted(single | set(VIEW_WORDS)))


def build_tokenizer() -> CLIPTokenizer:
    """Byte-pair encoding learnt from the words alone, until each of them is one token.

    Bytes stand in the vocabulary too, so any other text can be encoded, as several tokens a word.
    """
    bare = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bare.pre_tokenizer = pre_tokenizers.Whitespace()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    letters = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    trainer = trainers.BpeTrainer(
        vocab_size=1 << 16,
        min_frequency=1,
        # Not as `initial_alphabet`: what ends a word would be numbered in random order, and ties
        # between merges are broken by number.
        special_tokens=letters,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    bare.train_from_iterator([" ".join(words())], trainer)
    merges = _merges(bare)
    pieces = list(dict.fromkeys([*letters, *(a + b for a, b in merges)]))
    vocab = {piece: index for index, piece in enumerate([*pieces, _START, _END])}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=MAX_TOKENS)


def text_config(tokenizer: CLIPTokenizer, width: int, layers: int) -> CLIPTextConfig:
    """Of a small CLIP text model that reads this tokenizer's sentences."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=MAX_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def token_ids(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Token ids int64 [B, MAX_TOKENS], padded to the full length as at inference."""
    return tokenizer(
        texts, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
    ).input_ids


def _merges(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    found = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in found]


def save_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write a tokenizer as published CLIP folders hold it: vocab.json and merges.txt."""
    # How the last call padded and cut is no part of it.
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.save_pretrained(ensure_folder(folder))
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    pairs = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    write_json(folder / "vocab.json", model["vocab"])
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(pairs) + "\n")
