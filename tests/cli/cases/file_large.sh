# A file of 40 GB, most of it a hole, opens and is listed; so is a header of
# 12 MB.
sparse() # FILE TENSORS BYTES: BF16 tensors of that size each
{
    awk -v n="$2" -v bytes="$3" 'BEGIN {
        printf "{"
        for (i = 0; i < n; i++)
            printf "%s\"model.layers.%d.block_sparse_moe.experts.%d.w%d.weight.of.a.rather.long.name\":{\"dtype\":\"BF16\",\"shape\":[%d],\"data_offsets\":[%.0f,%.0f]}",
                (i ? "," : ""), i / 192, i % 192 / 3, i % 3 + 1, bytes / 2, i * bytes, (i + 1) * bytes
        printf "}"
    }' >header
    local size
    size=$(stat -c %s header)
    printf "$(printf '\\x%02x' $((size & 255)) $((size >> 8 & 255)) $((size >> 16 & 255)) $((size >> 24 & 255)) 0 0 0 0)" >"$1"
    cat header >>"$1"
    truncate -s $((8 + size + $2 * $3)) "$1"
}

sparse large.safetensors 11520 3472222
[ "$(stat -c %s large.safetensors)" -gt 40000000000 ] || fail "the file is small"
expect 0 moeparity inspect large.safetensors
[ "$(grep -c '^model\.layers\..* BF16 ' out)" = 11520 ] || fail "not every tensor is listed"

sparse wide.safetensors 95000 8
[ "$(stat -c %s header)" -gt 12000000 ] || fail "the header is short"
expect 0 moeparity inspect wide.safetensors
[ "$(grep -c '^model\.layers\..* BF16 ' out)" = 95000 ] || fail "not every tensor is listed"

truncate -s -1 large.safetensors
refused 3 'large.safetensors: ' moeparity inspect large.safetensors
