"""pages_browser.py CHROMIUM PAGE...: how a browser lays out pages that stand alone.

Each page on a phone (420 pixels), there in dark colours, and as it is printed: nothing is cut, nothing makes the page or a section scroll
sideways (a wide table or picture does so in a box of its own, and on paper has room), and all words stand out from what they lie on, as far
as WCAG 2.1 AA asks: a contrast of 4.5, of 3 for large ones.  Then each measure is shown a page that was tampered with and must find fault.
"""
import html
import json
import re
import subprocess
import sys
import tempfile

MEASURE = r"""
const number = text => text.match(/[\d.]+/g).map(Number);
const light = c => [0.2126, 0.7152, 0.0722].reduce((sum, w, i) => {
    const x = c[i] / 255;
    return sum + w * (x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
}, 0);
const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
const over = (top, share, below) => below.map((b, i) => share * top[i] + (1 - share) * b);

function measure(frame, width, isPaper) {
    const page = frame.contentDocument, view = frame.contentWindow, found = new Map();
    const say = (kind, what, e) => {
        const name = e.tagName.toLowerCase() + (e.getAttribute('class') ? '.' + e.getAttribute('class') : '');
        const key = kind + ' ' + what + ' ' + name;
        if (!found.has(key)) found.set(key, [kind, what, name, (e.textContent || '').trim().slice(0, 40)]);
    };
    const style = e => view.getComputedStyle(e);
    const scrolls = e => ['auto', 'scroll'].includes(style(e).overflowX);
    for (const e of page.querySelectorAll('details')) e.open = true;

    if (page.documentElement.scrollWidth > width)
        say('sideways', page.documentElement.scrollWidth + ' pixels', page.documentElement);
    for (const e of page.body.querySelectorAll('*')) {
        if (e.closest('svg') && e.tagName != 'svg') continue;
        let box = e.parentElement;
        while (box && !scrolls(box)) box = box.parentElement;
        const own = box && box.children.length == 1 && !['SECTION', 'HEADER', 'MAIN', 'BODY', 'DETAILS'].includes(box.tagName);
        if (!own && e.getBoundingClientRect().right > width + 1) say('sideways', 'beyond the page', e);
        if (e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0) {
            if (['hidden', 'clip'].includes(style(e).overflowX)) say('cut', 'wider than its box', e);
            else if (scrolls(e) && isPaper) say('cut', 'would have to be scrolled', e);
        }
        if (isPaper && scrolls(e) && e.scrollHeight > e.clientHeight + 1) say('cut', 'would have to be scrolled', e);
    }
    for (const text of page.querySelectorAll('svg text')) {
        const a = text.getBoundingClientRect(), b = text.ownerSVGElement.getBoundingClientRect();
        if (text.textContent.trim() && (a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1))
            say('cut', 'words beyond the picture', text);
    }

    const below = e => { /* the colour behind an element of HTML */
        const layers = [];
        for (; e; e = e.parentElement) {
            const c = number(style(e).backgroundColor);
            layers.push(c);
            if (c.length == 3 || c[3] == 1) break;
        }
        return layers.reverse().reduce((b, c) => over(c, c.length == 4 ? c[3] : 1, b), [255, 255, 255]);
    };
    const shapes = new Map();
    for (const svg of page.querySelectorAll('svg'))
        shapes.set(svg, [...svg.querySelectorAll('rect, circle, path, polygon')].map(e => [e, e.getBoundingClientRect(), style(e)])
            .filter(([e, r, s]) => s.fill.startsWith('rgb')));
    const behind = text => {
        const r = text.getBoundingClientRect(), x = (r.left + r.right) / 2, y = (r.top + r.bottom) / 2;
        let colour = below(text.ownerSVGElement);
        for (const [e, box, s] of shapes.get(text.ownerSVGElement))
            if ((e.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING) &&
                box.left <= x && x <= box.right && box.top <= y && y <= box.bottom)
                colour = over(number(s.fill), s.fillOpacity * s.opacity, colour);
        return colour;
    };
    const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const e = walker.currentNode.parentElement, s = style(e);
        if (!walker.currentNode.data.trim() || e.closest('title, style, script') || !e.getBoundingClientRect().width) continue;
        const isDrawn = e.closest('svg') != null;
        const back = isDrawn ? behind(e.closest('text')) : below(e);
        const c = number(isDrawn ? s.fill : s.color);
        const ratio = contrast(over(c, c.length == 4 ? c[3] : 1, back), back);
        const size = parseFloat(s.fontSize), isLarge = size >= 24 || (size >= 18.66 && s.fontWeight >= 600);
        if (ratio < (isLarge ? 3 : 4.5)) say('contrast', ratio.toFixed(2) + ' of ' + c.join() + ' on ' + back.map(Math.round).join(), e);
    }
    return [...found.values()];
}
async function main() {
    const all = {};
    for (const [name, text, width, isPaper] of PAGES) {
        const frame = document.createElement('iframe');
        frame.style.cssText = 'border:0;height:900px;width:' + width + 'px';
        const loaded = new Promise(done => frame.onload = done);
        frame.srcdoc = text;
        document.body.append(frame);
        await loaded;
        all[name] = measure(frame, width, isPaper);
        frame.remove();
    }
    document.getElementById('found').textContent = JSON.stringify(all);
}
main();
"""
PHONE, PAPER = 420, 718  # pixels: a phone upright; A4 without its margins


def with_media(text, words):
    """The page with a media query that always holds."""
    assert f"@media {words}" in text or words != "(prefers-color-scheme:dark)", "a page without dark colours"
    return text.replace(f"@media {words}", "@media all")


def views(name, text):
    return [(f"{name}, phone", text, PHONE, False), (f"{name}, dark", with_media(text, "(prefers-color-scheme:dark)"), PHONE, False),
            (f"{name}, paper", with_media(text, "print"), PAPER, True)]


def tampered(text):
    """(kind of what must be found, a view of a page that has it)."""
    body = "<main>"
    for kind, more, width, is_paper in (
            ("sideways", '<section><p style="width:600px">far</p></section>', PHONE, False),
            ("sideways", '<section style="overflow-x:auto"><h2>one</h2><p style="width:600px">far</p></section>', PHONE, False),
            ("cut", '<p style="width:99px;overflow:hidden;white-space:nowrap">words that have no room here, at all</p>', PHONE, False),
            ("cut", '<div style="width:99px;overflow:auto"><p style="width:200px">far</p></div>', PAPER, True),
            ("cut", '<svg width="50" height="20"><text x="0" y="15">words that have no room</text></svg>', PHONE, False),
            ("contrast", '<p style="color:#999">pale</p>', PHONE, False),
            ("contrast", '<svg width="90" height="20"><rect width="90" height="20" fill="#444"/><text x="5" y="15">dark</text></svg>', PHONE, False)):
        assert body in text
        yield kind, (f"tampered: {kind}: {more}", text.replace(body, body + more), width, is_paper)


def look(chromium, pages):
    """{name of a view: what was found}."""
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/all.html", "w", encoding="utf-8") as out:
            listed = json.dumps(pages).replace("</", "<\\/").replace("<!--", "<\\!--")
            out.write(f'<!doctype html><meta charset="utf-8"><pre id="found"></pre><script>const PAGES = {listed};{MEASURE}</script>')
        done = subprocess.run([chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile",
                               "--virtual-time-budget=60000", "--dump-dom", f"file://{folder}/all.html"],
                              text=True, capture_output=True, timeout=110, env={"PATH": "/usr/bin:/bin", "HOME": folder})
    found = re.search(r'<pre id="found">(.+?)</pre>', done.stdout, re.S)
    if not found:
        sys.exit(f"{chromium}: exit {done.returncode}, no answer: {done.stderr[-600:]}")
    return json.loads(html.unescape(found[1]))


def main():
    chromium, paths = sys.argv[1], sys.argv[2:]
    pages, faults = [], []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        pages += views(path, text)
    bad = list(tampered(text))
    found = look(chromium, pages + [view for _, view in bad])
    for name, *_ in pages:
        faults += [f"{name}: {' | '.join(fault)}" for fault in found[name]]
    clean = {kind for kind, view in bad if kind not in [fault[0] for fault in found[view[0]]]}
    faults += [f"a tampered page has no fault: {kind}" for kind in sorted(clean)]
    print(*faults, f"{len(pages)} views of {len(paths)} pages, {len(faults)} faults", sep="\n")
    sys.exit(1 if faults else 0)


main()
