/* core/model/file_experts.c -- the ways in which savers write routed experts.
 *
 * Published files, the trainers and transformers 5 keep one model's experts one
 * by one, with gate and up in one tensor, or all in one tensor with either side
 * first.  A family says one of them (way 0); the others follow from the names
 * of its experts.  Traps: transformers 5 keeps [E, 2F, D] where Llama-4 and
 * GPT-OSS publish [E, D, 2F]; gate and up of GPT-OSS alternate wherever they
 * stand together.
 */
#include "core/model/file_tensor.h"

#include "core/model/families/family.h"

#include <stdio.h>
#include <string.h>

typedef struct way {
    bool stacked;    /* all experts in one tensor                             */
    bool transposed; /* [in, out]                                             */
    bool joined;     /* gate and up in one tensor                             */
    const char *gate, *up, *down; /* after the name of the experts            */
} way;

static const way WAYS[] = {
    [CORE_FILE_WAY_ALONE - 1] = {false, false, false, ".%d.gate_proj",
                                 ".%d.up_proj", ".%d.down_proj"},
    {false, false, false, ".%d.w1", ".%d.w3", ".%d.w2"},
    {false, false, true, ".%d.gate_up_proj", ".%d.gate_up_proj",
     ".%d.down_proj"},
    {true, false, true, ".gate_up_proj", ".gate_up_proj", ".down_proj"},
    {true, true, true, ".gate_up_proj", ".gate_up_proj", ".down_proj"},
    [CORE_FILE_WAY_STACKED - 1] = {true, false, false, ".gate_proj", ".up_proj",
                                   ".down_proj"},
};

enum { N_WAYS = 1 + sizeof WAYS / sizeof WAYS[0] };

/* Which part of a tensor a weight is. */
typedef enum part { WHOLE, FIRST, LAST, EVEN, ODD, N_PARTS } part;

static core_layout layout_of(const way *w, part which, bool is_bias)
{
    static const core_layout MATRICES[3][N_PARTS] = {
        {CORE_LAYOUT_MATRIX, CORE_LAYOUT_FIRST_ROWS, CORE_LAYOUT_LAST_ROWS,
         CORE_LAYOUT_EVEN_ROWS, CORE_LAYOUT_ODD_ROWS},
        {CORE_LAYOUT_E_OUT_IN, CORE_LAYOUT_E_TOP, CORE_LAYOUT_E_BOTTOM,
         CORE_LAYOUT_E_EVEN_ROWS, CORE_LAYOUT_E_ODD_ROWS},
        {CORE_LAYOUT_E_IN_OUT, CORE_LAYOUT_E_LEFT, CORE_LAYOUT_E_RIGHT,
         CORE_LAYOUT_E_EVEN, CORE_LAYOUT_E_ODD}};
    static const core_layout BIASES[2][N_PARTS] = {
        {CORE_LAYOUT_VECTOR, CORE_LAYOUT_FIRST_COLS, CORE_LAYOUT_LAST_COLS,
         CORE_LAYOUT_EVEN_COLS, CORE_LAYOUT_ODD_COLS},
        {CORE_LAYOUT_E_VECTOR, CORE_LAYOUT_E_VECTOR_FIRST,
         CORE_LAYOUT_E_VECTOR_LAST, CORE_LAYOUT_E_VECTOR_EVEN,
         CORE_LAYOUT_E_VECTOR_ODD}};
    return is_bias ? BIASES[w->stacked][which]
                   : MATRICES[w->stacked + w->transposed][which];
}

/* Gate and up alternate if they do so in the family's own files. */
static part joined_part(const core_spec *spec, bool is_gate)
{
    char name[CORE_FILE_TENSOR_BYTES];
    const bool alternate =
        core_file_tensor(spec, (core_weight){CORE_W_EXPERT_UP, 0, 0}, name) ==
        CORE_LAYOUT_E_ODD;
    if (is_gate)
        return alternate ? EVEN : FIRST;
    return alternate ? ODD : LAST;
}

int core_file_ways(void)
{
    return N_WAYS;
}

void core_file_experts(const core_spec *spec, int layer,
                       char prefix[CORE_FILE_TENSOR_BYTES])
{
    static const char EXPERTS[] = ".experts";
    (void)core_file_tensor(spec, (core_weight){CORE_W_EXPERT_UP, layer, 0},
                           prefix);
    char *end = strstr(prefix, EXPERTS);
    if (end == NULL) { /* MODULE.input_linear.weight: beside it */
        for (int i = 0; i < 2 && (end = strrchr(prefix, '.')) != NULL; i++)
            *end = '\0';
        end = prefix + strlen(prefix);
    }
    snprintf(end, CORE_FILE_TENSOR_BYTES - (size_t)(end - prefix), EXPERTS);
}

core_layout core_file_tensor_in(const core_spec *spec, core_weight id, int way_,
                                char name[CORE_FILE_TENSOR_BYTES])
{
    if (way_ == 0 || core_weight_scope_of(id.kind) != CORE_SCOPE_EXPERT)
        return core_file_tensor(spec, id, name);
    const way *w = &WAYS[way_ - 1];
    const bool is_gate =
        id.kind == CORE_W_EXPERT_GATE || id.kind == CORE_W_EXPERT_GATE_BIAS;
    const bool is_down =
        id.kind == CORE_W_EXPERT_DOWN || id.kind == CORE_W_EXPERT_DOWN_BIAS;
    const bool is_bias = id.kind == CORE_W_EXPERT_GATE_BIAS ||
                         id.kind == CORE_W_EXPERT_UP_BIAS ||
                         id.kind == CORE_W_EXPERT_DOWN_BIAS;
    if (w->joined && !spec->gated)
        return CORE_LAYOUT_NONE;
    core_file_experts(spec, id.layer, name);
    size_t n = strlen(name);
    n += (size_t)snprintf(name + n, CORE_FILE_TENSOR_BYTES - n,
                          is_down   ? w->down
                          : is_gate ? w->gate
                                    : w->up,
                          id.expert);
    snprintf(name + n, CORE_FILE_TENSOR_BYTES - n, "%s%s",
             w->stacked ? is_bias ? "_" : "" : ".",
             is_bias      ? "bias"
             : w->stacked ? ""
                          : "weight");
    return layout_of(
        w, w->joined && !is_down ? joined_part(spec, is_gate) : WHOLE, is_bias);
}

bool core_file_renamed(const core_spec *spec, const char *name,
                       char renamed[CORE_FILE_TENSOR_BYTES])
{
    const core__rename *rename = core__family_of(spec->family)->renames;
    for (; rename != NULL && rename->from != NULL; rename++) {
        const char *at = strstr(name, rename->from);
        if (at == NULL)
            continue;
        snprintf(renamed, CORE_FILE_TENSOR_BYTES, "%.*s%s%s", (int)(at - name),
                 name, rename->to, at + strlen(rename->from));
        return true;
    }
    return false;
}
