torchrun --nnodes 2 --nproc-per-node 8 -m torchtitan.train --module moe --config moe_30b \
    --parallelism.data_parallel_shard_degree 8 --parallelism.tensor_parallel_degree 2 \
    --parallelism.expert_parallel_degree 16 --parallelism.expert_parallel_comm_backend deepep \
    --training.local_batch_size 2 --training.global_batch_size 32 --training.seq_len 8192 \
    --compile.enable --checkpoint.enable --parallelism.no-enable-fsdp-symm-mem
