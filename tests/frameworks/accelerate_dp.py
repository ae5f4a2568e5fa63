"""A model under accelerate's data parallelism: its loader deals the rows of a golden, one a step and rank, and what its
gather_for_metrics gives back in the order of the rows is the dump: what production returns, and no other tap.

    torchrun --nproc-per-node N tests/frameworks/accelerate_dp.py CHECKPOINT GOLDEN DUMP
"""
import sys
from pathlib import Path

import accelerate
import torch
import transformers
from torch.utils.data import DataLoader

from layers import Bundle, Dump


@torch.no_grad()
def main(checkpoint: str, golden: str, dump: str) -> None:
    transformers.utils.logging.disable_progress_bar()
    bundle, accelerator = Bundle(golden), accelerate.Accelerator(cpu=True)
    whole = transformers.AutoModelForCausalLM.from_pretrained(Path(checkpoint), dtype=torch.float32).eval()
    model, loader = accelerator.prepare(whole, DataLoader(bundle.input_ids(), batch_size=1))
    logits = torch.cat([accelerator.gather_for_metrics(model(input_ids=ids, use_cache=False).logits) for ids in loader])
    kept, rank = Dump(bundle), accelerator.process_index
    kept.keep("logits", logits.numpy(), range(len(logits)), range(bundle.tokens))
    kept.write(dump, rank, accelerator.num_processes,
               f"accelerate {accelerate.__version__}, transformers {transformers.__version__}, torch {torch.__version__}",
               sum(weight.numel() for weight in whole.parameters()), {"dp": rank})
    accelerator.wait_for_everyone()
    torch.distributed.destroy_process_group()


main(*sys.argv[1:])
