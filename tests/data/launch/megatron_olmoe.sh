# mpirun, and one line of arguments in a variable that is evaluated.
N=16
CMD="mpirun -np ${N} --hostfile hosts -x NCCL_DEBUG=WARN -x PATH --bind-to none -map-by slot \
  python pretrain_gpt.py --tensor-model-parallel-size 2 --pipeline-model-parallel-size 1 \
  --expert-model-parallel-size 8 --num-layers 16 --hidden-size 2048 --num-attention-heads 16 \
  --num-experts 64 --moe-router-topk 8 --moe-ffn-hidden-size 1024 --moe-router-pre-softmax \
  --expert-tensor-parallel-size 1 --disable-bias-linear --sequence-parallel \
  --micro-batch-size 4 --global-batch-size 128 --qk-layernorm"
mkdir -p logs && date > logs/start
eval $CMD > logs/out 2> logs/err
