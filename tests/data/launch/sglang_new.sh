sglang serve /models/120b --tp-size 8 --attn-dp-size 4 --ep-size 2 --moe-dp-size 2 --cuda-graph-max-bs-decode 64
