# attention by data, experts over all of it
python3 -m sglang.launch_server --model-path /models/671b --tp 16 --dp 16 --enable-dp-attention \
    --moe-a2a-backend deepep --deepep-mode auto --dist-init-addr 10.0.0.1:5000 --nnodes 2 --node-rank $RANK \
    --trust-remote-code --mem-fraction-static 0.85 --enable-dp-lm-head --moe-dense-tp-size 1 --chunked-prefill-size 65536
