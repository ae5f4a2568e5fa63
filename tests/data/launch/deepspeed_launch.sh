deepspeed --num_nodes 2 --num_gpus 8 --hostfile hosts --master_port 29501 \
    train.py --deepspeed --deepspeed_config deepspeed_auto.json
