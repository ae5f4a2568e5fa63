export VLLM_PP_LAYER_PARTITION=17,15
nohup vllm serve /models/8x7b --pipeline-parallel-size 2 --tensor-parallel-size 4 --data-parallel-size 2 \
    --enable-expert-parallel --disable-log-requests >server.log 2>&1 &
