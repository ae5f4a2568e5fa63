# moeparity report: the page against what the other commands say, its refusals.
PLAN=tp=2,pp=3,dp=2,ep=4,mb=5
ASKED="shadow-a --plan $PLAN --batch 60x16 --popularity zipf:1"
CLAIMS=$DATA/../../docs/claims/seed.yaml
expect 0 moeparity verify shadow-a --plan $PLAN --json verify.json
expect 1 moeparity audit "$CLAIMS" --json audit.json
expect 0 moeparity predict $ASKED --json predict.json
expect 0 moeparity report $ASKED --verify verify.json --claims "$CLAIMS" --out page.html
has out '^report     page.html$'
[ ! -s err ] || fail 'words on stderr'
/usr/bin/python3 -B "$DATA/../cli/report_page.py" page.html predict.json verify.json audit.json 2>err || fail 'page.html'
# each share of a pass with its interval: four lines below the bar, four keys
[ "$(grep -c ': 90 % interval</title>' page.html)" = 4 ] || fail 'intervals below the bar'
has page.html '>computing [0-9.]+ % .[0-9.]+ to [0-9.]+.<'

# the same question, the same page, to the byte, whatever the threads did
expect 0 moeparity report $ASKED --verify verify.json --claims "$CLAIMS" -o again.html
cmp -s page.html again.html || fail 'two pages of one question differ'

# what the seed says of itself, without any option; nothing given is said so
expect 0 moeparity report
has report.html '<h1>seed-30b on 32 . gpu-400t-64g</h1>'
has report.html 'No verdicts were given'
has report.html 'No claims were given'
has report.html 'Nothing on this page says whether the plan computes the right'
has report.html '^<tr data-rank="31">'
! grep -q 'does not fit' report.html || fail 'the seed fits'

# one GPU, one that is too small; more GPUs than tracks
expect 0 moeparity report --plan tp=1 -o one.html
has one.html 'One GPU holds the whole model'
has one.html 'The plan does not fit: its fullest GPU needs [0-9.]+ GB and has 64 GB'
has one.html 'One GPU: nothing is sent'
expect 0 moeparity report seed-mini --plan dp=66,ep=2 --batch 66x4 --gpus 66..66 -o many.html
has many.html 'Of 66 GPUs every 2nd is shown'
[ "$(grep -c 'class="track"' many.html)" = 33 ] || fail 'tracks of many.html'
[ "$(grep -c '^<tr data-rank=' many.html)" = 66 ] || fail 'modules of many.html'

# what is under way beside computing is seen where the plan overlaps, and only there
expect 0 moeparity report shadow-a --plan tp=2,dp=2,ep=2,mb=4,overlap=dispatch --batch 60x16 -o over.html
has over.html 'GPU 3, transfers to experts and back, under way: [0-9.]+ ms'
has over.html 'all-to-all under way, layer 0'
expect 0 moeparity report shadow-a --plan tp=2,dp=2,ep=2,mb=4 --batch 60x16 -o bare.html
! grep -q '<title>.*under way' bare.html || fail 'under way without overlap'

# a layer that the search does not know still has its page; so have latent
# attention, decoding, and the choices of a run
for layer in "$ORACLE"/switch_layer/*/; do
    expect 0 moeparity report "$layer" --plan tp=1 --batch 4x16 -o layer.html
    has layer.html 'No other plans were searched: switch_transformers: a single sub-layer'
done
expect 0 moeparity report "$ORACLE/deepseek_v2/grouped_yarn" --plan tp=2 --batch 4x16 -o latent.html
has latent.html '<table id="rivals">'
expect 0 moeparity run -m shadow-a --batch 12x11 -o taps.st
expect 0 moeparity report shadow-a --plan $PLAN --routing measured:taps.st -o measured.html
has measured.html 'Routing: measured in taps.st'
has measured.html 'a pass over 12 rows of 11 tokens'
expect 0 moeparity report --decode --kv 1024 --batch 64 -o decode.html
has decode.html 'one token for each of 64 rows with 1024 cached'

# words from files are words
jq '.plans[0].cases[0].reason = "<script>alert(1)</script>" | .model.name = "a&b<c>"' verify.json >words.json
expect 0 moeparity report $ASKED --verify words.json -o words.html
has words.html '&lt;script&gt;alert\(1\)&lt;/script&gt;'
has words.html 'a&amp;b&lt;c&gt;'
! grep -q '<script' words.html || fail 'a script from a file'
cp "$DATA/../../harness/perf/machine/presets/gpu-400t-64g.yaml" machine.yaml
sed -i 's/^machine:.*/machine: "<b> \& '"'"'c"/' machine.yaml
expect 0 moeparity report $ASKED --machine machine.yaml -o machine.html
has machine.html '&lt;b&gt; &amp; &#39;c'

# a verdict of another model, which the head does not repeat; of another plan; one that differs
expect 0 moeparity report --verify verify.json -o model.html
has model.html 'The verdicts given are of another model, shadow-a'
! sed '/<\/header>/q' model.html | grep -q VERIFIED || fail "the head has another model's verdict"
expect 0 moeparity report shadow-a --plan tp=2 --batch 12x11 --verify verify.json -o other.html
has other.html 'None of these is the plan of this page'
has other.html 'The verdicts given \(VERIFIED\) are of other plans'
jq '.verdict = "DIFFERS" | .plans[0].cases[1].verdict = "FAIL"' verify.json >differs.json
expect 0 moeparity report $ASKED --verify differs.json -o differs.html
has differs.html 'class="note bad">Does the plan compute the model&#39;s function\? DIFFERS'

# refusals: no page, and no part of one
no_page()
{
    refused "$@" -o none.html
    [ -z "$(find . -name 'none.html*')" ] || fail "a refusal left a file: $*"
}
no_page 3 'nobody: no such model' moeparity report nobody
no_page 2 'H % tp' moeparity report --plan tp=3
no_page 3 'absent.json: No such file or directory, while reading a report of verify --json' moeparity report --verify absent.json
no_page 3 'predict.json: schema: expected moeparity.verify/1, .* found none' moeparity report --verify predict.json
no_page 3 'audit.json: schema: expected moeparity.verify/1, .* found moeparity.audit/1' moeparity report --verify audit.json
echo '{' >broken.json
no_page 3 'broken.json:' moeparity report --verify broken.json
jq 'del(.plans[0].cases[1].verdict)' verify.json >short.json
no_page 3 'short.json: plans.cases.verdict: expected it in a report of verify' moeparity report --verify short.json
jq '.plans[0].world = "12"' verify.json >typed.json
no_page 3 'typed.json: plans.world: .* a value of another type' moeparity report --verify typed.json
no_page 3 'absent.yaml: No such file' moeparity report --claims absent.yaml
no_page 2 'routing: a report shows every GPU' moeparity report --routing expected
no_page 2 "collectives: a report draws the library's rings" moeparity report --collectives shot
no_page 2 "gpus: expected a positive number, found ''" moeparity report --gpus ..8
no_page 2 "gpus: expected N or N..N2, rising, at most 4096, found '8..4'" moeparity report --gpus 8..4
no_page 2 "decode and --kv L go together" moeparity report --decode
refused 3 'no/where.html: cannot be written' moeparity report -o no/where.html

# gnuplot: not there, failing, drawing nothing; the control finds it
moeparity=$(command -v moeparity)
mkdir empty fails silent works
printf '#!/bin/sh\ncase $2 in --version) exit 0;; esac\necho "gnuplot> plot" >&2\necho "line 7: no disc" >&2\nexit 2\n' >fails/gnuplot
printf '#!/bin/sh\nexit 0\n' >silent/gnuplot
printf '#!/bin/sh\nexec %s "$@"\n' "$(command -v gnuplot)" >works/gnuplot
chmod +x ./*/gnuplot
no_page 4 'gnuplot: expected the program on the path .*, found none' env PATH="$PWD/empty" "$moeparity" report
no_page 4 'gnuplot: expected a plot, found exit code 2: line 7: no disc' env PATH="$PWD/fails" "$moeparity" report
no_page 4 'gnuplot: expected a whole SVG picture, found 0 bytes' env PATH="$PWD/silent" "$moeparity" report
expect 0 env PATH="$PWD/works" "$moeparity" report $ASKED -o works.html
