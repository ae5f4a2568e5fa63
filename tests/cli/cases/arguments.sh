# Values of options: the name of the option, what was expected and found.
bad() # REGEX ARGS...
{
    refused "${@:1:2}" moeparity "${@:3}"
}
bad 2 "--batch: expected ROWSxTOKENS .*found '3'" verify --batch 3
bad 2 "--batch: .*found '0x3'" verify --batch 0x3
bad 2 "--batch: .*found '3x'" verify --batch 3x
bad 2 "--seed: expected a positive number, found '0'" verify --seed 0
bad 2 "--seed: .*found '1e3'" verify --seed 1e3
bad 2 "--layers: seed-mini has 16 layers, found 17" verify --layers 17
bad 2 "--stall: .*found 'x'" verify --stall x
bad 2 "--numerics: .*found 'fp64,fp64'" verify --numerics fp64,fp64
bad 2 "--numerics: .*found 'exact,exact'" verify --numerics exact,exact
bad 2 "--gpus: .*found '0'" plan seed-mini --gpus 0
bad 3 "nobody: no such model, expected a preset \(seed-30b, " verify nobody
bad 3 "nobody: no such model" spec nobody
bad 3 "none: " golden check none
bad 3 'nothing.json: ' compare nothing.json nothing.json
bad 4 'needs at least .* of memory' verify --plan dp=1000000

expect 0 moeparity verify shadow-a --layers 3 --batch 2x7 --seed 7 --stall 9 \
    --numerics exact --plan tp=2
has out '^model      shadow-a: 3 layers'
has out 'seed 7$'
has out '^VERIFIED   bit-identical$'
expect 0 moeparity spec seed-mini --yaml
cp out mine.yaml
expect 0 moeparity spec mine.yaml
printf '# 7 %% gr\303\266\303\237er\n' | cat - mine.yaml >large.yaml
expect 0 moeparity spec large.yaml
printf '# 7 %% gr\366\337er\n%%\377\n' | cat - mine.yaml >latin1.yaml
bad 3 'latin1.yaml:1:9: expected UTF-8, found the byte 0xF6$' spec latin1.yaml
printf '%%TAG ! ' >tag.yaml
bad 3 'tag.yaml:1:1: expected no directive$' spec tag.yaml
printf '# nothing' >none.yaml
bad 3 'none.yaml:1:1: no YAML document$' spec none.yaml
expect 0 moeparity spec shadow-a --taps
[ "$(wc -l <out)" -gt 100 ] || fail 'taps'
expect 0 moeparity plan seed-mini --gpus 8
while read -r plan <&3; do
    moeparity plan --model seed-mini "$plan" >/dev/null 2>err || fail "$plan"
done 3<out
