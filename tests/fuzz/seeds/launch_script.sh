#!/bin/bash
#SBATCH --nodes=2 --ntasks-per-node=1
export N=$((4 * 2)) M="--num-layers 16 --num-experts 64"
if [ -z "$P" ]; then P=2; fi
ARGS=(--tensor-model-parallel-size ${T:-2} # tp
      --pipeline-model-parallel-size 2 --lr "1 e" 'x $y')
ARGS+=(--pipeline-model-parallel-layout 'Et*8|t*8L')
srun -l bash -c "torchrun --nnodes=$SLURM_NNODES --nproc_per_node=$N pretrain_gpt.py $M ${ARGS[*]}" >log 2>&1 <<EOF
text
EOF
