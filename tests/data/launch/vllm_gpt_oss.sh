CUDA_VISIBLE_DEVICES=0,1,2,3 vllm serve /models/120b -tp 4 --async-scheduling --max-num-batched-tokens 8192 \
    --compilation-config '{"cudagraph_capture_sizes": [1, 2, 4]}' --port 8000 --host 0.0.0.0
