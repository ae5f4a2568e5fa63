torchrun --nproc_per_node=8 --nnodes=4 -m torchtitan.train --job.config_file torchtitan.toml \
    --parallelism.tensor_parallel_degree=1 --parallelism.pipeline_parallel_degree=2
