# Every bad file is named and refused; the good ones are listed.
n_good=0 n_bad=0
for file in "$DATA"/safetensors/*.safetensors; do
    case $file in
    */ok_*)
        expect 0 moeparity inspect "$file"
        has out '^# [0-9]+ tensors, [0-9]+ bytes$'
        n_good=$((n_good + 1)) ;;
    *)
        refused 3 "$(basename "$file")[:0-9]*: ." moeparity inspect "$file"
        n_bad=$((n_bad + 1)) ;;
    esac
done
[ $n_good -ge 2 ] && [ $n_bad -ge 15 ] || fail "$n_good good, $n_bad bad files"
refused 3 'none.safetensors: No such file' moeparity inspect none.safetensors
refused 3 '\.: neither model.safetensors nor model.safetensors.index.json' moeparity inspect .
