sglang serve /models/120b --tp-size 8 --attn-dp-size 4 --ep-size 4 --cuda-graph-max-bs-decode 64
