# A golden of seed-mini, read by NumPy and sharded as a 2 x 2 plan would: the
# shards pass; with one row of one shard changed, compare names the tap, the row
# and position, and the rank.
expect 0 moeparity run -m seed-mini --batch 16x64 --numerics fp32 -o taps.st
foreign bundle taps.st gold
foreign shard gold/fp32.safetensors good --tp 2 --dp 2
expect 0 moeparity compare gold good
has out '^dump       good: 4 files of 4 ranks, 396 tensors placed$'
has out '^compared   99 taps: 99 pass, 0 marginal, 0 undecided, 0 fail'
has out '^PASS       99 taps, by tolerances per token row, which are an estimate$'

located() # TAP TOKEN RANK OWNER: b and t of the token, and the owner in the text
{
    rm -rf bad
    foreign shard gold/fp32.safetensors bad --tp 2 --dp 2 --perturb "$1:$2:$3:0.5"
    expect 1 moeparity compare gold bad --json bad.json
    has out "^FAIL       first at $1, "
    jq -e --arg tap "$1" --argjson b $(($2 / 64)) --argjson t $(($2 % 64)) --argjson rank "$3" \
        '.verdict == "FAIL" and .exit == 1 and .first.tap == $tap
         and .first.failed_rows == 1 and ([.taps[] | select(.verdict == "FAIL")] | length) == 1
         and (.first.first_bad | .row == $b and .position == $t and .rank == $rank)' \
        bad.json >/dev/null || fail "bad.json: $(jq -c .first bad.json)"
    has out "row $(($2 / 64)), position $(($2 % 64)), column .*; rank $3 \($4\)"
}
located p0.layers.5.attn_out 700 3 'tp 1, dp 1'
located p0.logits 3 0 'tp 0, dp 0'
located p0.layers.15.router_logits 511 1 'tp 1, dp 0'

# a value that two ranks hold is a replica that differs, whichever rank is wrong
foreign shard gold/fp32.safetensors replica --tp 2 --dp 2 --perturb p0.layers.2.out:900:3:0.5
expect 1 moeparity compare gold replica
has out '^  replica    rank 3 \(tp 1, dp 1\), p0.layers.2.out: row 14, position 4, column 0: expected .* as on rank 2 \(tp 0, dp 1\), found'
has out '^FAIL       first at p0.layers.2.out, '
rm good/rank_00002.safetensors
expect 1 moeparity compare gold good
has out "^  missing    \(a rank's file\): expected 4 ranks, found 3; the first that is missing is rank 2$"
has out '^  missing    p0.layers.0.attn_out: expected 1024 rows, 512 of them are not whole; the first is row 8, position 0, from column 0 on$'
