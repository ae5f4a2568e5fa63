# The report and compare pages in a browser: on a phone, in dark colours and on paper.  Debian's package chromium.
chromium=$(command -v chromium) || {
    echo 'NOT RUN: no chromium' >&2
    exit 0
}
expect 0 moeparity verify shadow-a --plan tp=2,pp=3,dp=2,ep=4,mb=5 --json verify.json
expect 0 moeparity report shadow-a --plan tp=2,pp=3,dp=2,ep=4,mb=5 --batch 60x16 --popularity zipf:1 --gpus 12..24 \
    --verify verify.json --claims "$DATA/../../docs/claims/seed.yaml" --out report.html
expect 0 moeparity report --plan seed-32 --out seed.html
expect 0 moeparity run -m shadow-a --layers 2 --batch 3x5 --numerics fp32 -o taps.st
foreign bundle taps.st gold
cp taps.st dump.st
foreign edit dump.st layers.1.out 'x[2, 3, 1] += 1; x[0, 1, 2] = np.nan'
foreign edit dump.st layers.0.attn_out 'x[1, 2, 1] *= 1 + 1e-6'
expect 1 moeparity compare gold dump.st --html compare.html
/usr/bin/python3 -B "$DATA/../cli/pages_browser.py" "$chromium" report.html seed.html compare.html >out 2>err || fail 'the pages in a browser'
