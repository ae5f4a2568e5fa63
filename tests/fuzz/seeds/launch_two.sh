if x; then
 vllm serve m -tp 2 --no-enable-eplb
else
 vllm serve m --tensor-par 4 --config f
fi
