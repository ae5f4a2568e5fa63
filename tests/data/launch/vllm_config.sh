#!/bin/sh
# A server whose arguments stand in a file; those of the line go before it.
exec vllm serve --config serve.yaml --tensor-parallel 4 --no-enable-log-requests
