# A performance script's own flags, 64 ranks by Slurm alone.
srun --nodes=8 --ntasks-per-node=8 python run_script.py --task pretrain --gpu h100 \
    --tensor_model_parallel_size 1 --pipeline_model_parallel_size 4 \
    --expert_model_parallel_size 8 --expert_tensor_parallel_size 1 \
    --context_parallel_size 1 --micro_batch_size 1 --global_batch_size 512 \
    --compute_dtype fp8_cs model.moe_token_dispatcher_type=flex
