#!/usr/bin/env bash
# install.sh BUILD_FOLDER [--packages]: what is installed can be used where it lies: program, pages for man, completions,
# the library with its example.  --packages: a .deb and a tarball hold the same.
set -euo pipefail
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "install: $*" >&2; exit 1; }

if [ "${2-}" = --packages ]; then
    (cd "$work" && cpack --config "$build/CPackConfig.cmake" -G 'DEB;TGZ' >/dev/null)
    dpkg-deb -c "$work"/*.deb | sed 's#.* \./##; s#^usr/##' | grep -v '/$' | grep . | sort >"$work/deb"
    tar -tzf "$work"/moeparity-*.tar.gz | sed 's#^[^/]*/##' | grep -v '/$' | sort >"$work/tar"
    diff <(sed 's/ -> .*//' "$work/deb") "$work/tar" || fail 'the packages hold different files'
    dpkg-deb -f "$work"/*.deb Depends | grep -q 'mpich.*libopenblas' || fail 'what the package needs'
    exit 0
fi

prefix=$work/there
cmake --install "$build" --prefix "$prefix" >/dev/null
cd "$work"
PATH=$prefix/bin:$PATH
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig:$(echo "$prefix"/lib/*/pkgconfig)

for command in $(moeparity --words); do
    page=$prefix/share/man/man1/moeparity-$command.1
    [ -s "$page" ] || fail "no page of $command"
    help=$(moeparity "$command" --help)
    for option in $(moeparity "$command" --words); do
        grep -q -- "$option" <<<"$help" || fail "$command --help has no $option"
        grep -q -- "\\\\-\\\\-$(echo "${option#--}" | sed 's/-/\\\\-/g')" "$page" || fail "$page has no $option"
    done
done
[ "$(moeparity --words | wc -l)" -ge 13 ] || fail 'few commands'
if command -v man >/dev/null; then
    man --warnings -l "$prefix"/share/man/man1/*.1 >/dev/null 2>warnings
    [ ! -s warnings ] || fail "man: $(head -3 warnings)"
fi

. "$prefix/share/bash-completion/completions/moeparity"
COMP_WORDS=(moeparity ve) COMP_CWORD=1
_moeparity
[ "${COMPREPLY[*]}" = verify ] || fail "completion of ve: ${COMPREPLY[*]}"
COMP_WORDS=(moeparity verify --nu) COMP_CWORD=2
_moeparity
[ "${COMPREPLY[*]}" = --numerics ] || fail "completion of verify --nu: ${COMPREPLY[*]}"

examples=$prefix/share/moeparity/examples
# shellcheck disable=SC2046 # words
cc -Wall -Werror "$examples/example.c" $(pkg-config --cflags --libs moeparity) -o example
ask() # EXIT GOLDEN DUMP
{
    local code=0
    ./example "$2" "$3" >out 2>err || code=$?
    [ "$code" = "$1" ] || fail "example $2 $3: exit $code: $(cat out err)"
}
ask 0 "$examples/shadow-a" "$examples/shadow-a/exact.safetensors"
grep -q '^PASS: 45 taps, bit for bit (45 of 45 taps)$' out || fail "example: $(cat out)"
grep -Eq '^32 GPUs: [0-9.]+ ms \([0-9.]+ to [0-9.]+\), [0-9]+ tokens/s, [0-9.]+ GB$' out || fail "example: $(cat out)"
moeparity run -m shadow-a --seed 2 --batch 6x11 --numerics exact -o other.safetensors >/dev/null
ask 1 "$examples/shadow-a" other.safetensors
grep -q '^FAIL: first at ' out || fail "example: $(cat out)"
ask 3 "$examples/shadow-a" /nowhere
grep -q '^example: /nowhere: No such file or directory$' err || fail "example: $(cat err)"
moeparity verify "$examples/tiny" --plan tp=2,ep=2 --batch 2x5 --numerics exact --allow-partial >out || fail "$(tail -1 out)"
moeparity predict seed-30b --plan tp=4 --machine "$prefix/share/moeparity/machines/a100-sxm.yaml" >/dev/null
