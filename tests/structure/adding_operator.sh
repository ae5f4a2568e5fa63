#!/usr/bin/env bash
# docs/adding-an-operator.md, done to a scratch copy: its blocks of C are written, its blocks of diff applied.
#   adding_operator.sh SOURCE_DIR
set -euo pipefail
source_dir=$(cd "$1" && pwd)
page=$source_dir/docs/adding-an-operator.md
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() { echo "FAILED: $*"; exit 1; }

mkdir "$scratch/copy"
cd "$source_dir"
tar -c CMakeLists.txt CMakePresets.json core ref parallel golden/*.* harness | tar -x -C "$scratch/copy"
cd "$scratch/copy"
python3 "$source_dir/tests/structure/apply_page.py" "$page" .

# unoptimised: it runs for two seconds
build() {
    cmake --build "$scratch/build" --target moeparity >"$scratch/log" 2>&1 || { tail -40 "$scratch/log"; fail "does not build"; }
}
cmake -S . -B "$scratch/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DMOEPARITY_BUILD_TESTS=OFF \
    -DCMAKE_C_FLAGS="-O0 -g0 -w -Werror=implicit-function-declaration" >/dev/null
build
moeparity=$scratch/build/harness/moeparity
python3 "$source_dir/tests/structure/circles.py" "$scratch"/build/{ref/libref.a,parallel/libparallel.a,harness/perf/cost/libharness_cost.a,harness/perf/machine/libharness_machine.a}

"$moeparity" spec shadow-a --yaml >scaled.yaml
echo 'shared_scale: true' >>scaled.yaml
"$moeparity" spec scaled.yaml --taps >taps
grep -q "^layers.0.mlp.scaled " taps || fail "spec --taps does not list the tap"
mapfile -t plans < <(sed -n 's/^    moeparity verify scaled.yaml --plan //p' "$page")
[ ${#plans[@]} = 2 ] || fail "expected two plans on the page, found ${#plans[@]}"
for plan in "${plans[@]}"; do
    "$moeparity" verify scaled.yaml --plan "$plan" >out 2>err || { cat out err; fail "plan $plan"; }
    grep -q '^VERIFIED' out || fail "plan $plan is not VERIFIED"
done

sed -i 's/\*= scale\[d\]/+= scale[d]/' parallel/shared_scale.c
build
! "$moeparity" verify scaled.yaml --plan "${plans[0]}" >out 2>err || fail "a wrong operator is VERIFIED"
grep -q 'DIFFERS    first at layers.0.mlp.scaled: scaled shared expert' out || { cat out err; fail "a wrong operator is not named"; }
