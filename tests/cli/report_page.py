"""Is a page of `moeparity report` what it should be?

    report_page.py PAGE PREDICT.json VERIFY.json AUDIT.json

Holds the page against what the other commands say of the same question, and
its structure against itself.  Then every check is shown a page or an answer
that was tampered with and must find fault: a check that cannot fail is none.
"""
import html.parser
import json
import re
import sys
import xml.etree.ElementTree

SECTIONS = ["figures", "plan", "verify", "memory", "load", "traffic", "timeline",
            "roofline", "front", "audit", "basis"]
VOID = {"meta", "br"}


class Element:
    def __init__(self, tag, attributes):
        self.tag, self.attributes = tag, dict(attributes)
        self.children, self.text = [], ""

    def all(self, tag, **want):
        """Descendants of a tag whose attributes are these; _ stands for -."""
        for child in self.children:
            if child.tag == tag and all(
                    child.attributes.get(k.rstrip("_").replace("_", "-")) == v
                    for k, v in want.items()):
                yield child
            yield from child.all(tag, **want)

    def words(self):
        return self.text + "".join(child.words() for child in self.children)


class Page(html.parser.HTMLParser):
    """A tree of elements; anything opened and not closed is an error."""

    def __init__(self, text):
        super().__init__()
        self.root = Element("page", [])
        self.stack, self.error, self.everything = [self.root], None, []
        self.feed(text)
        self.close()
        if len(self.stack) > 1:
            self.error = self.error or f"<{self.stack[-1].tag}> is not closed"

    def handle_starttag(self, tag, attributes):
        element = Element(tag, attributes)
        self.stack[-1].children.append(element)
        self.everything.append(element)
        if tag not in VOID:
            self.stack.append(element)

    def handle_startendtag(self, tag, attributes):
        element = Element(tag, attributes)
        self.stack[-1].children.append(element)
        self.everything.append(element)

    def handle_endtag(self, tag):
        if self.stack[-1].tag != tag:
            self.error = self.error or f"</{tag}> closes <{self.stack[-1].tag}>"
        else:
            self.stack.pop()

    def handle_data(self, data):
        self.stack[-1].text += data

    def section(self, name):
        found = list(self.root.all("section", id=name))
        return found[0] if found else Element("section", [])

    def table(self, name):
        """Rows of the body of a table, as elements."""
        for table in self.root.all("table", id=name):
            return [row for body in table.all("tbody") for row in body.all("tr")]
        return []


def numbers(row):
    return [float(data.attributes["value"]) for data in row.all("data")]


def cells(row):
    return [cell.words() for cell in row.all("td")]


# --- checks: each returns "" or what is wrong ---------------------------------

def nested(text, page, answer):
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        try:
            xml.etree.ElementTree.fromstring(svg)
        except xml.etree.ElementTree.ParseError as error:
            return f"a picture is not well-formed: {error}"
    return page.error or ""


def sections(text, page, answer):
    found = [s.attributes.get("id") for s in page.root.all("section")]
    return "" if found == SECTIONS else f"{found}"


def has_pictures(text, page, answer):
    """How many pictures each section has, whoever drew them."""
    want = {"plan": 1, "memory": 1, "load": 2, "traffic": 1, "timeline": 2,
            "roofline": 1, "front": 1}
    found = {name: len(list(page.section(name).all("svg"))) for name in want}
    return "" if found == want else f"{found}"


def stands_alone(text, page, answer):
    for word in ("<script", "http:", "https:", "<link", "@import", "url(", " src=",
                 "xlink", "javascript", "onmouse", "onclick", "<img", "<iframe"):
        if word in text:
            return word
    for element in page.everything:
        link = element.attributes.get("href", "#")
        if not link.startswith("#"):
            return link
    return ""


def ids(text, page, answer):
    found = [e.attributes["id"] for e in page.everything if "id" in e.attributes]
    twice = [i for i in found if found.count(i) > 1]
    links = [e.attributes["href"][1:] for e in page.everything if "href" in e.attributes]
    lost = [link for link in links if link not in found]
    return f"{twice} {lost}" if twice or lost or len(links) < len(SECTIONS) else ""


def both_schemes(text, page, answer):
    """Every colour has a dark one, and no picture has one of its own."""
    style = re.search("<style>(.*?)</style>", text, re.S).group(1)
    dark = "".join(re.findall(r"prefers-color-scheme:dark\)\{:root\{(.*?)\}\}", style, re.S))
    light = "".join(re.findall(r"^:root\{(.*?)\}", style, re.S | re.M))
    names = [set(re.findall(r"(--\w+):", part)) for part in (light, dark)]
    used = set(re.findall(r"var\((--\w+)\)", text)) - {"--verdict"}
    if names[0] != names[1] or not used <= names[0] or len(names[0]) < 12:
        return f"{names[0] ^ names[1]}, {used - names[0]}"
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        own = re.search(r"(fill|stroke|color)=[\"'](?!var\(|none|currentColor)[^\"']*", svg)
        if own:
            return own.group()
    return ""


def modules(text, page, answer):
    ranks = [int(row.attributes["data-rank"]) for row in page.table("modules")]
    return "" if ranks == list(range(answer["predict"]["gpus"])) else f"{ranks}"


def tracks(text, page, answer):
    found = [int(g.attributes["data-rank"])
             for g in page.section("timeline").all("g", class_="track")]
    return "" if found == list(range(answer["predict"]["gpus"])) else f"{found}"


def figures(text, page, answer):
    want = answer["predict"]["figures"]
    found = {row.attributes["data-figure"]: numbers(row)
             for row in page.section("figures").all("tr") if "data-figure" in row.attributes}
    for key, figure in want.items():
        if found.get(key) != [figure["value"], figure["low"], figure["high"]]:
            return f"{key}: {found.get(key)}, predict says {figure}"
    return "" if len(found) == len(want) else "more figures than predict has"


def memory(text, page, answer):
    found = [numbers(row) for row in page.section("memory").all("tr")
             if "data-stage" in row.attributes]
    want = [[s[k] for k in ("weights", "kv", "activations", "buffers", "total")]
            for s in answer["predict"]["memory"]]
    return "" if found == want else f"{found}"


def operators(text, page, answer):
    found = sorted(numbers(row)[0] for row in page.table("operators"))
    want = sorted(o["seconds"] for o in answer["predict"]["operators"] if o["seconds"] > 0)
    return "" if found == want else f"{len(found)} operators, predict has {len(want)}"


def load(text, page, answer):
    match = re.search(r"Of ([0-9,]+) choices ([0-9,]+) found a slot",
                      page.section("load").words())
    if not match:
        return "no choices"
    choices, kept = (int(n.replace(",", "")) for n in match.groups())
    dropped = answer["predict"]["dropped"]
    return "" if abs(1 - kept / choices - dropped) <= 1e-9 else f"{kept} of {choices}"


def traffic(text, page, answer):
    """Sent over the links: in all what the parts are, and something."""
    for row in page.section("traffic").all("tr"):
        if "data-flow" in row.attributes:
            *parts, whole = numbers(row)
            if not abs(sum(parts) - whole) <= 1e-9 * whole or not whole > 0:
                return f"{parts} are not {whole}"
    return ""


def verdicts(text, page, answer):
    found = [cells(row)[2:4] for row in page.table("verdicts")]
    want = [[c["numerics"], c["verdict"]]
            for plan in answer["verify"]["plans"] for c in plan["cases"]]
    return "" if found == want else f"{found}"


def claims(text, page, answer):
    """Those of the audit, what does not hold before what does."""
    found = [(cells(row)[2], next(row.all("td")).text) for row in page.table("claims")]
    want = [(c["verdict"], c["id"]) for c in answer["audit"]["readings"][0]["claims"]]
    holds = [verdict == "holds" for verdict, _ in found]
    return "" if sorted(found) == sorted(want) and holds == sorted(holds) else f"{found}"


def front(text, page, answer):
    rows = page.table("rivals")
    ours = [row for row in rows if row.attributes.get("class") == "ours"]
    if len(ours) != 1:
        return f"{len(ours)} rows are this plan"
    want = answer["predict"]["figures"]
    latency, tokens = numbers(ours[0])[:2]
    # the page's table holds seconds, predict's figure milliseconds
    if not abs(latency * 1e3 - want["latency_ms"]["value"]) <= 1e-9 * latency * 1e3:
        return f"latency {latency}"
    if tokens != want["tokens_per_s"]["value"]:
        return f"tokens/s {tokens}"
    for row in rows:
        latency, tokens = numbers(row)[:2]
        beaten = any(x <= latency and y >= tokens and (x < latency or y > tokens)
                     for x, y, *_ in map(numbers, rows))
        if beaten == ("not beaten" in cells(row)[-1]):
            return f"{cells(row)}"
    return ""


def words_apart(text, page, answer):
    """Words of a plot lie in the picture and on no other words."""
    for svg in re.findall('<svg class="plot".*?</svg>', text, re.S):
        width, height = map(float, re.search('viewBox="0 0 (.*?) (.*?)"', svg).groups())
        boxes = []
        for x, y, more, size, anchor, words in re.findall(
                r'translate\(([-0-9.]+),([-0-9.]+)\)( rotate[^"]*)?"[^>]*font-size="([0-9.]+)"'
                r'\s+text-anchor="(\w+)">\s*<text>([^<]*)<', svg):
            w = 0.52 * float(size) * len(words.strip()) * (not more)
            x0 = float(x) - w * {"start": 0, "middle": 0.5, "end": 1}[anchor]
            boxes.append((x0, x0 + w, float(y) - 0.7 * float(size), float(y), words))
        if len(boxes) < 8:
            return f"only {len(boxes)} words"
        for i, (a0, a1, b0, b1, words) in enumerate(boxes):
            if a0 < 0 or a1 > width or b0 < 0 or b1 > height:
                return f"{words} is cut off"
            for c0, c1, d0, d1, others in boxes[:i]:
                if a0 < c1 and c0 < a1 and b0 < d1 and d0 < b1:
                    return f"{words} lies on {others}"
    return ""


CHECKS = [nested, sections, has_pictures, stands_alone, ids, both_schemes, modules,
          tracks, figures, memory, operators, load, traffic, verdicts, claims, front, words_apart]


# --- what each must find fault with -------------------------------------------

def without(pattern):
    return lambda text: re.sub(pattern, "", text, count=1, flags=re.S)


def instead(pattern, by):
    return lambda text: re.sub(pattern, by, text, count=1, flags=re.S)


TAMPERED = [
    (nested, without("</section>")),
    (nested, instead("<rect x=", "<rect y=\"1\" y=\"2\" x=")),
    (nested, instead("</tbody></table>", "</table></tbody>")),
    *((sections, without(f'<section id="{name}">.*?</section>')) for name in SECTIONS),
    (has_pictures, without('<svg class="plot".*?</svg>')),
    (stands_alone, instead("<main>", '<main><img src="https://example.org/x.png">')),
    (stands_alone, instead("<style>", "<style>@import 'x.css';")),
    (stands_alone, instead('href="#plan"', 'href="other.html"')),
    (ids, instead('id="plan"', 'id="verify"')),
    (ids, instead('href="#plan"', 'href="#plans"')),
    (both_schemes, instead("prefers-color-scheme:dark", "prefers-color-scheme:light")),
    (both_schemes, instead("--g3:#", "--g9:#")),
    (both_schemes, instead(r"var\(--g3\)", "var(--g8)")),
    (both_schemes, instead(r'stroke=.var\(--line\).', 'stroke="rgb(1, 2, 2)"')),
    (modules, without('<tr data-rank="3">.*?</tr>')),
    (modules, instead('<tr data-rank="3">', '<tr data-rank="2">')),
    (tracks, without('<g class="track" data-rank="7">.*?</g>')),
    (figures, without('<tr data-figure="bubble">.*?</tr>')),
    (figures, instead(r'(data-figure="latency_ms">.*?value=")[0-9]', r"\g<1>99")),
    (memory, instead(r'(data-stage="1">.*?value=")[0-9]', r"\g<1>99")),
    (operators, instead(r'(<table id="operators">.*?<tbody>\n)<tr>.*?</tr>', r"\1")),
    (load, instead(r"Of [0-9]", "Of 9")),
    (traffic, instead(r'(data-flow="1">.*?value=")[0-9]', r"\g<1>99")),
    (verdicts, instead(r'(<table id="verdicts">.*?)PASS">PASS', r'\1FAIL">FAIL')),
    (verdicts, without(r'<tr class="ours">.*?</tr>')),
    (claims, instead(">contradicted<", ">holds<")),
    (claims, instead("(<table id=\"claims\">.*?<tbody>\n)(<tr>.*?</tr>\n)(.*?)</tbody>",
                     r"\1\3\2</tbody>")),
    (words_apart, instead(r"translate\([-0-9.]+,[-0-9.]+\)(?=[^>]*text-anchor)",
                          "translate(2,20)")),
    (words_apart, instead(r"(translate\([-0-9.]+,[-0-9.]+\))([^>]*text-anchor.*?)"
                          r"translate\([-0-9.]+,[-0-9.]+\)(?=[^>]*text-anchor)",
                          r"\1\2\1")),
    (front, instead('(<table id="rivals">.*?)class="ours"', r'\1class=""')),
    (front, instead("not beaten</td>", "</td>")),
    (front, instead(r'(<table id="rivals">.*?<tr class="ours">.*?value=")[0-9]', r"\g<1>99")),
]


def fault(check, text, answer):
    return check(text, Page(text), answer)


def main():
    page, predict, verify, audit = sys.argv[1:]
    with open(page, encoding="utf-8") as file:
        text = file.read()
    answer = {}
    for name, path in (("predict", predict), ("verify", verify), ("audit", audit)):
        with open(path, encoding="utf-8") as file:
            answer[name] = json.load(file)
    for check in CHECKS:
        found = fault(check, text, answer)
        assert not found, f"{check.__name__}: {found}"
    for check, tamper in TAMPERED:
        changed = tamper(text)
        assert changed != text, f"{check.__name__}: the page was not tampered with"
        assert fault(check, changed, answer), f"{check.__name__} finds no fault"
    idle = {check.__name__ for check in CHECKS} - {check.__name__ for check, _ in TAMPERED}
    assert not idle, f"never seen to fail: {idle}"


main()
