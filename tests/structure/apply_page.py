"""Do what a page says: write its blocks of C, apply its blocks of diff.

    apply_page.py PAGE FOLDER

A block of C is a new file; its first line names it.  In a block of diff, "@@" alone separates the places; each place must stand exactly
once in its file, without the lines that begin with "+".
"""
import os
import re
import sys


def write_file(folder, text):
    path = re.match(r"/\* (\S+) -- ", text)
    if path is None:
        sys.exit(f"a block of C does not begin with /* PATH -- :\n{text[:80]}")
    with open(os.path.join(folder, path[1]), "x", encoding="utf-8") as out:
        out.write(text)


def apply_diff(folder, text):
    for part in re.split(r"^--- a/", text, flags=re.M)[1:]:
        head, *places = re.split(r"^@@\n", part, flags=re.M)
        path = head.split("\n")[0]
        with open(os.path.join(folder, path), encoding="utf-8") as source:
            body = source.read()
        for place in places:
            lines = place.splitlines(keepends=True)
            old = "".join(line[1:] for line in lines if line[0] != "+")
            new = "".join(line[1:] for line in lines if line[0] != "-")
            if body.count(old) != 1:
                sys.exit(f"{path}: stands {body.count(old)} times, expected once:\n{old}")
            body = body.replace(old, new)
        with open(os.path.join(folder, path), "w", encoding="utf-8") as out:
            out.write(body)


page, folder = sys.argv[1:]
with open(page, encoding="utf-8") as source:
    blocks = re.findall(r"^```(c|diff)\n(.*?)^```$", source.read(), flags=re.M | re.S)
for kind, text in blocks:
    (write_file if kind == "c" else apply_diff)(folder, text)
