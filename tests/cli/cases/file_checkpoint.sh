# A checkpoint with one fault at a time: file, field or tensor are named, and
# nothing is written.  The healthy one runs.
tiny=$ORACLE/mixtral/tiny
input=$tiny/expected.safetensors

broken() # REGEX: the checkpoint in ./case is refused by run and verify
{
    refused 3 "$1" moeparity run -m case -i "$input" -o out.st
    refused 3 "$1" moeparity run -m case -i "$input" -o out.st -p tp=2
    expect 3 moeparity verify case -p tp=2
    [ ! -s out ] || fail 'a report of nothing'
    has err "$1"
    [ -z "$(ls | grep -v -x -e case -e out -e err)" ] || fail "files: $(ls)"
    copy_case "$tiny"
}

copy_case "$tiny"
expect 0 moeparity run -m case -i "$input" -o out.st
rm out.st

echo '{"model_type": "mixtral",' >case/config.json
broken 'case/config.json:[0-9]+:[0-9]+: '
jq '.num_hidden_layers = null' "$tiny/config.json" >case/config.json
broken 'case/config.json: .*num_hidden_layers'
jq '.num_local_experts = -8' "$tiny/config.json" >case/config.json
broken 'case/config.json:.*num_local_experts'
jq '.model_type = "nothing"' "$tiny/config.json" >case/config.json
broken 'case/config.json:.*nothing'
rm case/config.json
broken 'case/config.json: No such file'
rm case/model.safetensors
broken 'case'
head -c 5000 "$tiny/model.safetensors" >case/model.safetensors
broken 'case/model.safetensors: '
edit case/model.safetensors model.norm.weight model.morn.weight
broken "model.norm.weight"
edit case/model.safetensors '"shape":\[160,64\],"data_offsets":\[0,' \
    '"shape":[64,160],"data_offsets":[0,'
broken 'lm_head.weight.*160.*64'
refused 3 'a checkpoint is opened by its folder' moeparity spec case/config.json
