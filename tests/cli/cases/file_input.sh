# Prompts with one fault at a time; the healthy ones run.
tiny=$ORACLE/mixtral/tiny
bad_input() # FILE REGEX
{
    refused 3 "$2" moeparity run -m "$tiny" -i "$1" -o out.st
    refused 3 "$2" moeparity run -m "$tiny" -i "$1" -o out.st -p dp=2
    [ ! -e out.st ] || fail 'out.st was written'
}
cp "$tiny/expected.safetensors" good.st
chmod u+w good.st

cp good.st bad.st # an id of 64 bits gets its 32nd bit
flip bad.st p1.input_ids 4 1
bad_input bad.st 'bad.st: .*p1.input_ids.*4294967'
cp good.st bad.st # -2^63 and more
flip bad.st p0.input_ids 7 128
bad_input bad.st 'bad.st: .*p0.input_ids.* -9223372'
bad_input "$tiny/model.safetensors" 'expected a tensor input_ids or p0.input_ids'
bad_input none.st 'none.st: No such file'
bad_input . 'expected a regular file, found a directory'
bad_input "$DATA/safetensors/truncated_data.safetensors" 'truncated_data'

expect 0 moeparity run -m "$tiny" -i good.st -o out.st
refused 3 'none/out.st.*: No such file' moeparity run -m "$tiny" -i good.st -o none/out.st
refused 3 'none/out.st.*: No such file' moeparity run -m "$tiny" -i good.st -o none/out.st -p dp=2
mkdir folder
expect 3 moeparity run -m "$tiny" -i good.st -o folder
[ -z "$(find . -name '*partial*')" ] || fail 'a partial file is left'
