accelerate launch --multi_gpu --num_machines 2 --num_processes 16 --machine_rank 0 --mixed_precision bf16 \
    pretrain_gpt.py --tensor-model-parallel-size 2 --expert-model-parallel-size 8 --expert-tensor-parallel-size 1 \
    --num-experts 8 --moe-router-topk 2 --num-layers 32
