# attention by data, experts over all of it
python3 -m sglang.launch_server --model-path /models/671b --tp 16 --dp 8 --enable-dp-attention \
    --ep-size 16 --moe-a2a-backend deepep --deepep-mode auto --dist-init-addr 10.0.0.1:5000 --nnodes 2 --node-rank $RANK \
    --trust-remote-code --mem-fraction-static 0.85 --enable-dp-lm-head --chunked-prefill-size 65536
