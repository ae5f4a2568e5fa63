# The reports of a foreign dump: well-formed, complete, escaped, and whole or not
# there at all.
expect 0 moeparity run -m shadow-a --layers 2 --batch 3x5 --numerics fp32 -o taps.st
foreign bundle taps.st gold
cp taps.st 'odd & <name>".st'
foreign edit 'odd & <name>".st' layers.1.out 'x[2, 3, 1] += 1; x[0, 1, 2] = np.nan'
expect 1 moeparity compare gold 'odd & <name>".st' --junit j.xml --html h.html --json j.json
jq -e '.schema == "moeparity.compare/2" and .exit == 1 and .tolerances_are_an_estimate
       and .first.tap == "p0.layers.1.out" and .first.ratio == "inf" and (.worst | length) > 0
       and [.findings[].kind] == ["non-finite"] and (.routing | length) == 2
       and all(.routing[]; (.golden_load | add) == 45 and .golden_load == .dump_load)
       and (.taps | length) == 16' j.json >/dev/null || fail "j.json: $(jq -c . j.json)"
cat >read.py <<'END'
import sys
import html.parser
import xml.etree.ElementTree as tree
suite = tree.parse("j.xml").getroot()[0]
cases = {case.get("name"): case for case in suite}
assert len(cases) == int(suite.get("tests")) == 17, len(cases)
assert int(suite.get("failures")) == 1 and int(suite.get("skipped")) == 0
assert suite.get("name").endswith('odd & <name>".st'), suite.get("name")
failure = cases["p0.layers.1.out"].find("failure")
assert "position 3, column 1" in failure.text and "non-finite" in failure.text, failure.text
assert cases["p0.layers.1.out"].get("classname") == "layer 1"
assert "PASS" in cases["p0.input_ids"].find("system-out").text
assert cases["files"].find("failure") is None
page = open("h.html", encoding="utf-8").read()
for word in ("<script", "http:", "https:", "<link", "@import", "url(", "<name>"):
    assert word not in page, word
assert "prefers-color-scheme:dark" in page and page.count("<svg") == 4 and "<h1>FAIL</h1>" in page
class Nesting(html.parser.HTMLParser):
    stack = []
    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "br", "th"):
            self.stack.append(tag)
    def handle_endtag(self, tag):
        assert self.stack.pop() == tag, tag
checker = Nesting()
checker.feed(page)
assert not checker.stack, checker.stack
END
/usr/bin/python3 read.py || fail 'reports'

expect 0 moeparity compare gold taps.st --junit good.xml --html good.html --json good.json
has good.xml '<testsuites tests="17" failures="0">'
has good.html '<h1>PASS</h1>'
jq -e '.verdict == "PASS" and .exit == 0 and .first == null' good.json >/dev/null || fail good.json

# two tap files may have these reports, too, and then are judged like a dump
expect 0 moeparity compare taps.st taps.st --junit plain.xml
has plain.xml 'failures="0"'
expect 3 moeparity compare gold taps.st --html no/where.html
has err '^moeparity: no/where.html: cannot be written'
[ -z "$(find . -name '*.partial*')" ] || fail 'half a report was left'

# a path need not be UTF-8, JSON must be: no member and no finding gets lost
odd=$(printf 'odd\377.st')
cp 'odd & <name>".st' "$odd"
expect 1 moeparity compare gold "$odd" --json odd.json
jq -e '.dump == "odd?.st" and .first.worst[0].file == "odd?.st"
       and [.findings[].file] == ["odd?.st"]' odd.json >/dev/null || fail "odd.json: $(jq -c .findings odd.json)"

# the golden's routing in the dump: the choices are not judged
cp taps.st forced.st
foreign edit forced.st layers.0.topk_idx 'x[:] = (x + 1) % 20'
expect 1 moeparity compare gold forced.st
has out '^FAIL       first at p0.layers.0.topk_idx, '
has out '^routing    15 of 30 choices of experts agree; flips: 0 with a certificate, 15 without'
expect 0 moeparity compare gold forced.st --forced-routing --junit forced.xml
has forced.xml 'tests="17" failures="0" skipped="2"'
has out "^routing    the golden's, not judged$"
