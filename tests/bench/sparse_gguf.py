"""sparse_gguf.py FILE [TENSORS]: a GGUF file of the size that large models have, its values a hole in the file.

An OLMoE of 60 layers, an expert's matrices one by one: 100,000 tensors and 118 GB of Q4_K take 7 MB on disk.
"""
import struct
import sys

LAYERS, HIDDEN, INNER, HEADS, VOCABULARY = 60, 2048, 1024, 16, 256
F32, Q4_K = 0, 12  # ggml's types
BYTES = {F32: (1, 4), Q4_K: (256, 144)}  # values of a block and its bytes
UINT32, FLOAT32, STRING = 4, 6, 8  # GGUF's types of metadata
ALIGNMENT = 32


def tensors(n_expert):
    """Names, dimensions (the fastest first) and types."""
    yield "token_embd.weight", [HIDDEN, VOCABULARY], Q4_K
    yield "output.weight", [HIDDEN, VOCABULARY], Q4_K
    yield "output_norm.weight", [HIDDEN], F32
    for layer in range(LAYERS):
        at = f"blk.{layer}."
        for what in ("attn_norm", "ffn_norm", "attn_q_norm", "attn_k_norm"):
            yield f"{at}{what}.weight", [HIDDEN], F32
        for what in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"{at}{what}.weight", [HIDDEN, HIDDEN], Q4_K
        yield f"{at}ffn_gate_inp.weight", [HIDDEN, n_expert], F32
        for expert in range(n_expert):
            yield f"{at}ffn_gate.{expert}.weight", [HIDDEN, INNER], Q4_K
            yield f"{at}ffn_up.{expert}.weight", [HIDDEN, INNER], Q4_K
            yield f"{at}ffn_down.{expert}.weight", [INNER, HIDDEN], Q4_K


def metadata(n_expert):
    yield "general.architecture", STRING, "olmoe"
    for key, n in (("block_count", LAYERS), ("context_length", 4096), ("embedding_length", HIDDEN), ("feed_forward_length", INNER),
                   ("attention.head_count", HEADS), ("attention.head_count_kv", HEADS), ("expert_count", n_expert),
                   ("expert_used_count", 8), ("vocab_size", VOCABULARY)):
        yield "olmoe." + key, UINT32, n
    yield "olmoe.rope.freq_base", FLOAT32, 10000.0
    yield "olmoe.attention.layer_norm_rms_epsilon", FLOAT32, 1e-5


def string(text):
    return struct.pack("<Q", len(text)) + text.encode()


def said(kind, value):
    return string(value) if kind == STRING else struct.pack("<I" if kind == UINT32 else "<f", value)


def aligned(n):
    return -(-n // ALIGNMENT) * ALIGNMENT


def main():
    n_tensor = int(sys.argv[2]) if len(sys.argv) > 2 else 100000
    n_expert = -(-n_tensor // (3 * LAYERS))
    everything, keys = list(tensors(n_expert)), list(metadata(n_expert))
    header = [b"GGUF", struct.pack("<IQQ", 3, len(everything), len(keys))]
    header += [string(key) + struct.pack("<I", kind) + said(kind, value) for key, kind, value in keys]
    end = 0
    for name, dimensions, kind in everything:
        header.append(string(name) + struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, kind, end))
        size = 1
        for n in dimensions:
            size *= n
        values, n_byte = BYTES[kind]
        end += aligned(size // values * n_byte)
    whole = b"".join(header)
    with open(sys.argv[1], "wb") as file:
        file.write(whole)
        file.truncate(aligned(len(whole)) + end)


main()
