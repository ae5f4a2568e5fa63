python -m sglang.launch_server --model /models/30b --tp-size 8 --pp-size 5 --ep-size 4 \
    --quantization fp8 --disable-radix-cache --attention-backend fa3 --host 0.0.0.0 --port 30000 --log-level info
