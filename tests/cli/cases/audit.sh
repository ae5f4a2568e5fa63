# The audit: the seed's page is the program's output; the consistent document
# raises nothing; refusals with their place, and nothing left half written.
docs=$DATA/../../docs
expect 1 moeparity audit "$docs/claims/seed.yaml" --json seed.json
[ ! -s err ] || fail 'words on stderr'
sed -n '/^## The output/,$p' "$docs/seed-audit.md" | sed '1,/^```$/d; /^```$/,$d' >page
[ "$(wc -l <page)" -gt 100 ] || fail 'no output on the page'
cmp -s page out || fail "docs/seed-audit.md is not the output: $(diff page out | head -5)"

# The table of the six requirements says what the program says.
verdict()
{
    jq -er ".readings[0].claims[] | select(.id == \"$1\") | .verdict" seed.json
}
row() # NUMBER ID: the page's word for a verdict
{
    local word
    case $(verdict "$2") in
    holds) word=stands ;;
    undefined) word=undefined ;;
    *) word='does not stand' ;;
    esac
    has "$docs/seed-audit.md" "^\| $1 [^|]*\| $word \|"
}
row 1 R1-memory
row 2 R2-latency
row 3 R3-throughput
row 4 R4-communication
row 5 R5-balance
row 6 R6-utilisation

jq -e '.schema == "moeparity.audit/1" and .exit == 1 and .searched > 1000
       and (.readings[0].plan | startswith("seed-16 "))
       and ([.readings[] | select(.best)] | length) == 1
       and (.readings | map(.plan | split(" ")[0])
            | (index("seed-32") and index("seed-32-stage") and index("seed-512")))
       and all(.readings[]; .holds + ."not reached" + .contradicted + .impossible
               + .undefined == (.claims | length))' seed.json >/dev/null ||
    fail "seed.json: $(jq -c '[.readings[].plan]' seed.json)"
jq -e '[.readings[0].claims[] | select(.id == "R2-latency") | .undefined_words[]] == ["latency"]' \
    seed.json >/dev/null || fail 'words of R2'
# every quoted line is there to be read
jq -e 'all(.readings[0].claims[]; .line > 0)' seed.json >/dev/null || fail 'lines'

# Posts of others: their page has what the program prints of each.
pages=0
while read -r name; do
    moeparity audit "$docs/claims/$name" >out 2>err
    [ ! -s err ] || fail "words on stderr of $name"
    sed -n "\\|^## claims/$name\$|,\$p" "$docs/public-audits.md" | sed '1,/^```$/d; /^```$/,$d' >page
    [ "$(wc -l <page)" -gt 5 ] || fail "no output of $name on the page"
    cmp -s page out || fail "docs/public-audits.md is not the output of $name: $(diff page out | head -5)"
    pages=$((pages + 1))
done < <(sed -n 's/^## claims\///p' "$docs/public-audits.md")
[ $pages -ge 9 ] || fail "$pages pages"

expect 0 moeparity audit "$docs/claims/consistent.yaml" --json good.json
has out '^AUDIT      ([0-9]+) claims: \1 hold, 0 not reached'
jq -e '.exit == 0 and .readings[0].holds == (.readings[0].claims | length)' good.json >/dev/null ||
    fail good.json

sed 's/value: 9.14/value: 91.4/' "$docs/claims/consistent.yaml" >wrong.yaml
expect 1 moeparity audit wrong.yaml
has out '^  latency .*: contradicted by .*sequences'
sed 's/unit: ms, means/unit: GB, means/' "$docs/claims/consistent.yaml" >unit.yaml
refused 3 'unit.yaml:[0-9]+:[0-9]+: unit: latency is measured in us, ms, s, found .GB.' \
    moeparity audit unit.yaml --json unit.json
[ ! -e unit.json ] || fail 'unit.json of a refused file'
refused 3 'none.yaml: No such file' moeparity audit none.yaml
refused 3 "nobody: no such model" moeparity audit <(sed 's/seed-mini/nobody/' wrong.yaml)
(echo 'plan: tp=3'; cat wrong.yaml) >plan.yaml
refused 2 'H % tp = 16 % 3 = 1' moeparity audit plan.yaml
sed '1s/.*/plan: tp=2,cp=2/' plan.yaml >cp.yaml
expect 1 moeparity audit cp.yaml
has out 'tp=2,cp=2'
sed '1s/.*/plan: tp=2,dp=2/' plan.yaml >cp.yaml
expect 1 moeparity audit cp.yaml
refused 3 'nowhere/x.json: cannot be written' moeparity audit wrong.yaml --json nowhere/x.json
expect 2 moeparity audit
expect 0 moeparity audit --quantities
has out '^latency +us, ms, s +time of one forward pass'
