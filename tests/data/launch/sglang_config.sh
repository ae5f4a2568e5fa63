CONFIG=/etc/serve.yaml
python3 -m sglang.launch_server --config $CONFIG --attn-dp 2 --enable-dp-lm-head
