/* parallel/plan_keys.c -- what each key of a plan may hold.
 *
 * A plan decides what a verdict is about, so nothing is guessed: no sign, no
 * leading zero, no blank, no key twice, no number too large to multiply.  A
 * degree is at most MAX_NUMBER, and so is the number of ranks, so that every
 * product of two of them fits 64 bits and the world fits an int.
 */
#include "parallel/plan_keys.h"

#include <stdio.h>
#include <string.h>

enum { MAX_NUMBER = 1 << 20 };

static const struct {
    const char *name, *values, *what;
} keys[PAR__N_KEYS] = {
    [PAR__KEY_TP] = {"tp", "degree",
                     "tensor-parallel ranks that share attention, MLPs and the "
                     "vocabulary (1)"},
    [PAR__KEY_CP] = {"cp", "degree",
                     "ranks that share the tokens of every row: context "
                     "parallel (1)"},
    [PAR__KEY_CP_KIND] = {"cp_kind", "gather, ring, ulysses",
                          "how they attend to tokens of one another: keys and "
                          "values gathered, or going round; or each with all "
                          "tokens for some heads (gather)"},
    [PAR__KEY_PP] = {"pp", "degree", "pipeline stages (1)"},
    [PAR__KEY_VPP] = {"vpp", "degree",
                      "runs of layers of each stage, which take turns: virtual "
                      "stages (1)"},
    [PAR__KEY_DP] = {"dp", "degree",
                     "data-parallel replicas, which deal the rows of a batch "
                     "among them (1)"},
    [PAR__KEY_EP] = {"ep", "degree",
                     "expert-parallel parts that share the experts (1)"},
    [PAR__KEY_ETP] = {"etp", "degree",
                      "ranks that share the inner columns of an expert (1)"},
    [PAR__KEY_EDP] = {"edp", "degree",
                      "replicas of the experts, which the others make: stated "
                      "to be checked"},
    [PAR__KEY_SP] = {"sp", "0, 1",
                     "1: tensor ranks share the tokens of the stream between "
                     "blocks, too: sequence parallel (0)"},
    [PAR__KEY_OVERLAP] = {"overlap", "dispatch, shared, p2p, joined by +",
                          "what goes on beside other work: rows on their way "
                          "while the next micro-batch computes, or the shared "
                          "expert; what a stage sends (none)"},
    [PAR__KEY_BATCH_REDUCE] = {"batch_reduce", "number",
                               "micro-batches whose sums over tensor ranks are "
                               "one collective; a stage goes layer by layer "
                               "over them (1)"},
    [PAR__KEY_MB] = {"mb", "number",
                     "micro-batches of a replica in a round (1)"},
    [PAR__KEY_ROUNDS] = {"rounds", "number",
                         "successive parts of the batch, between which the "
                         "pipeline drains (1)"},
    [PAR__KEY_SCOPE] = {"scope", "stage, replica",
                        "the ranks that experts are spread over: those of a "
                        "stage, or of all stages of a replica (stage)"},
    [PAR__KEY_STAGES] = {"stages", "numbers, 3/2/2; in YAML [3, 2, 2]",
                         "layers of each stage, of each virtual one where there "
                         "are some (even, first ones longer)"},
    [PAR__KEY_PLACEMENT] = {"placement",
                            "ep indices, 0/0+3/1; in YAML [0, [0, 3], 1]",
                            "where each expert is, the copies of a hot one "
                            "too (contiguous)"},
    [PAR__KEY_PHYSICAL] = {"physical",
                           "experts, 0/1/1/2+2/0/1/0; in YAML [[0, 1, 1, 2], "
                           "[2, 0, 1, 0]]",
                           "of each layer with experts the logical expert of "
                           "every physical one, as many for each ep index "
                           "(placement)"},
};

const char *par_cp_kind_name(par_cp_kind kind)
{
    static const char *const name[PAR_N_CP_KINDS] = {"gather", "ring",
                                                     "ulysses"};
    return name[kind];
}

const char *par__key_name(par__key key) { return keys[key].name; }

void par_plan_write_fields(FILE *out)
{
    fputs("| field | value | what it is (what its absence means) |\n"
          "|---|---|---|\n",
          out);
    for (int key = 0; key < PAR__N_KEYS; key++)
        fprintf(out, "| `%s` | %s | %s |\n", keys[key].name, keys[key].values,
                keys[key].what);
}

void par__plan_unit(par_plan *out)
{
    memset(out, 0, sizeof *out);
    out->dp = out->cp = out->pp = out->vpp = out->tp = 1;
    out->ep = out->etp = 1;
    out->batch_reduce = out->mb = out->rounds = 1;
    out->scope = PAR_SCOPE_STAGE;
}

static bool text_is(par__text text, const char *word)
{
    return text.n == strlen(word) && memcmp(text.s, word, text.n) == 0;
}

/* For "%.*s": long values are cut, the start is enough to find them. */
static int shown(par__text text) { return text.n < 40 ? (int)text.n : 40; }

core_status par__read_key(par__reader *reader, par__text name, par__key *out)
{
    for (int key = 0; key < PAR__N_KEYS; key++) {
        if (!text_is(name, keys[key].name))
            continue;
        CORE_FAIL_IF((reader->seen >> key & 1u) != 0, reader->status,
                     "%s: key '%s' is given twice", reader->where,
                     keys[key].name);
        reader->seen |= 1u << key;
        *out = (par__key)key;
        return CORE_OK;
    }
    CORE_FAIL(reader->status,
              "%s: unknown key '%.*s', expected tp, cp, cp_kind, pp, vpp, dp, "
              "ep, etp, edp, sp, overlap, batch_reduce, mb, rounds, scope, "
              "stages, placement or physical",
              reader->where, shown(name), name.s);
}

/* A decimal number in [min, max]: digits only, no leading zero. */
static core_status read_number(const par__reader *reader, par__key key,
                               par__text text, int min, int max, int *out)
{
    bool good = text.n >= 1 && text.n <= 9 && (text.n == 1 || text.s[0] != '0');
    int number = 0;
    for (size_t i = 0; good && i < text.n; i++) {
        good = text.s[i] >= '0' && text.s[i] <= '9';
        number = 10 * number + (text.s[i] - '0');
    }
    CORE_FAIL_IF(!(good && number >= min && number <= max), reader->status,
                 "%s: %s: expected a whole number from %d to %d, found '%.*s'",
                 reader->where, keys[key].name, min, max, shown(text), text.s);
    *out = number;
    return CORE_OK;
}

core_status par__read_stage(par__reader *reader, par__text value)
{
    par_plan *p = reader->plan;
    CORE_FAIL_IF(p->n_stage == CORE_MAX_LAYERS, reader->status,
                 "%s: stages: more than %d stages", reader->where,
                 CORE_MAX_LAYERS);
    CORE_TRY(read_number(reader, PAR__KEY_STAGES, value, 1, CORE_MAX_LAYERS,
                         &p->stage_layers[p->n_stage]));
    p->n_stage++;
    return CORE_OK;
}

core_status par__read_expert(par__reader *reader)
{
    par_plan *p = reader->plan;
    CORE_FAIL_IF(p->n_placed == PAR_MAX_EXPERTS, reader->status,
                 "%s: placement: more than %d experts", reader->where,
                 PAR_MAX_EXPERTS);
    p->n_replica[p->n_placed++] = 0;
    return CORE_OK;
}

core_status par__read_replica(par__reader *reader, par__text value)
{
    par_plan *p = reader->plan;
    const int e = p->n_placed - 1;
    int ep_i;
    CORE_FAIL_IF(p->n_replica[e] == PAR_MAX_REPLICAS, reader->status,
                 "%s: placement: expert %d has more than %d replicas",
                 reader->where, e, PAR_MAX_REPLICAS);
    CORE_TRY(read_number(reader, PAR__KEY_PLACEMENT, value, 0,
                         PAR_MAX_EXPERTS - 1, &ep_i));
    p->replica[e][p->n_replica[e]++] = (uint16_t)ep_i;
    return CORE_OK;
}

core_status par__read_physical(par__reader *reader, par__text value, int n)
{
    par_plan *p = reader->plan;
    const int64_t at = (int64_t)p->n_mapped * p->n_physical + n;
    int e;
    CORE_FAIL_IF(at >= PAR_MAX_PHYSICAL, reader->status,
                 "%s: physical: more than %d physical experts", reader->where,
                 PAR_MAX_PHYSICAL);
    CORE_TRY(read_number(reader, PAR__KEY_PHYSICAL, value, 0,
                         PAR_MAX_EXPERTS - 1, &e));
    p->physical[at] = (uint16_t)e;
    return CORE_OK;
}

core_status par__end_layer(par__reader *reader, int n)
{
    par_plan *p = reader->plan;
    if (p->n_mapped == 0)
        p->n_physical = n;
    CORE_FAIL_IF(n == 0 || n != p->n_physical, reader->status,
                 "%s: physical: list %d has %d experts, expected %s%d",
                 reader->where, p->n_mapped, n,
                 n == 0 ? "at least " : "as list 0: ", n == 0 ? 1 : p->n_physical);
    p->n_mapped++;
    return CORE_OK;
}

/* Cut the text before the first `separator`; false when nothing is left.  "a/"
 * has two pieces, the second one empty (and refused as a number).            */
static bool next_piece(par__text *rest, char separator, par__text *piece)
{
    if (rest->s == NULL)
        return false;
    const char *end = memchr(rest->s, separator, rest->n);
    *piece = *rest;
    if (end == NULL) {
        rest->s = NULL;
        return true;
    }
    piece->n = (size_t)(end - rest->s);
    rest->n -= piece->n + 1;
    rest->s = end + 1;
    return true;
}

static core_status read_stages(par__reader *reader, par__text value)
{
    par__text piece;
    while (next_piece(&value, '/', &piece))
        CORE_TRY(par__read_stage(reader, piece));
    return CORE_OK;
}

static core_status read_placement(par__reader *reader, par__text value)
{
    par__text expert, replica;
    while (next_piece(&value, '/', &expert)) {
        CORE_TRY(par__read_expert(reader));
        while (next_piece(&expert, '+', &replica))
            CORE_TRY(par__read_replica(reader, replica));
    }
    return CORE_OK;
}

static core_status read_physical(par__reader *reader, par__text value)
{
    par__text layer, expert;
    while (next_piece(&value, '+', &layer)) {
        int n = 0;
        while (next_piece(&layer, '/', &expert))
            CORE_TRY(par__read_physical(reader, expert, n++));
        CORE_TRY(par__end_layer(reader, n));
    }
    return CORE_OK;
}

static core_status read_scope(par__reader *reader, par__text value)
{
    const bool replica = text_is(value, "replica");
    CORE_FAIL_IF(!replica && !text_is(value, "stage"), reader->status,
                 "%s: scope: expected stage or replica, found '%.*s'",
                 reader->where, shown(value), value.s);
    reader->plan->scope = replica ? PAR_SCOPE_REPLICA : PAR_SCOPE_STAGE;
    return CORE_OK;
}

static core_status read_cp_kind(par__reader *reader, par__text value)
{
    for (int kind = 0; kind < (int)PAR_N_CP_KINDS; kind++)
        if (text_is(value, par_cp_kind_name((par_cp_kind)kind))) {
            reader->plan->cp_kind = (par_cp_kind)kind;
            return CORE_OK;
        }
    CORE_FAIL(reader->status,
              "%s: cp_kind: expected gather, ring or ulysses, found '%.*s'",
              reader->where, shown(value), value.s);
}

static core_status read_switch(par__reader *reader, par__key key,
                               par__text value, bool *out)
{
    int number = 0;
    CORE_TRY(read_number(reader, key, value, 0, 1, &number));
    *out = number == 1;
    return CORE_OK;
}

const char *par__overlap_word(int i)
{
    static const char *const words[] = {"dispatch", "shared", "p2p", NULL};
    return words[i];
}

static core_status read_overlap(par__reader *reader, par__text value)
{
    par__text word;
    reader->plan->overlap = 0;
    while (next_piece(&value, '+', &word)) {
        int i = 0;
        while (par__overlap_word(i) != NULL &&
               !text_is(word, par__overlap_word(i)))
            i++;
        CORE_FAIL_IF(par__overlap_word(i) == NULL, reader->status,
                     "%s: overlap: expected dispatch, shared or p2p, joined by "
                     "+, found '%.*s'",
                     reader->where, shown(word), word.s);
        CORE_FAIL_IF((reader->plan->overlap >> i & 1U) != 0, reader->status,
                     "%s: overlap: %s is given twice", reader->where,
                     par__overlap_word(i));
        reader->plan->overlap |= 1U << i;
    }
    return CORE_OK;
}

core_status par__read_value(par__reader *reader, par__key key, par__text value)
{
    par_plan *p = reader->plan;
    int *number = NULL;
    switch (key) {
    case PAR__KEY_TP: number = &p->tp; break;
    case PAR__KEY_CP: number = &p->cp; break;
    case PAR__KEY_PP: number = &p->pp; break;
    case PAR__KEY_VPP: number = &p->vpp; break;
    case PAR__KEY_DP: number = &p->dp; break;
    case PAR__KEY_EP: number = &p->ep; break;
    case PAR__KEY_ETP: number = &p->etp; break;
    case PAR__KEY_EDP: number = &reader->edp; break;
    case PAR__KEY_BATCH_REDUCE: number = &p->batch_reduce; break;
    case PAR__KEY_MB: number = &p->mb; break;
    case PAR__KEY_ROUNDS: number = &p->rounds; break;
    case PAR__KEY_SP: return read_switch(reader, key, value, &p->sp);
    case PAR__KEY_OVERLAP: return read_overlap(reader, value);
    case PAR__KEY_SCOPE: return read_scope(reader, value);
    case PAR__KEY_CP_KIND: return read_cp_kind(reader, value);
    case PAR__KEY_STAGES:
        p->n_stage = 0; /* a preset's or file's value is replaced */
        return read_stages(reader, value);
    case PAR__KEY_PLACEMENT:
        p->n_placed = 0;
        return read_placement(reader, value);
    case PAR__KEY_PHYSICAL:
        p->n_mapped = p->n_physical = 0;
        return read_physical(reader, value);
    case PAR__N_KEYS: break;
    }
    core_assert(number != NULL);
    return read_number(reader, key, value, 1, MAX_NUMBER, number);
}

const char *par__degrees(char out[PAR__DEGREES], int a, int cp, int b)
{
    if (cp > 1)
        snprintf(out, PAR__DEGREES, "%d*%d*%d", a, cp, b);
    else
        snprintf(out, PAR__DEGREES, "%d*%d", a, b);
    return out;
}

core_status par__read_end(const par__reader *reader)
{
    const par_plan *p = reader->plan;
    const int64_t n_row_rank = (int64_t)p->cp * p->tp;
    CORE_FAIL_IF(n_row_rank > MAX_NUMBER || n_row_rank * p->dp > MAX_NUMBER ||
                     n_row_rank * p->dp * p->pp > MAX_NUMBER,
                 CORE_E_PLAN,
                 "%s: dp*cp*pp*tp = %d*%d*%d*%d ranks, at most %d are "
                 "supported",
                 reader->where, p->dp, p->cp, p->pp, p->tp, MAX_NUMBER);
    const int64_t n_stage_rank = n_row_rank * p->dp;
    if (reader->edp == 0)
        return CORE_OK;
    char product[PAR__DEGREES];
    const int64_t n_set = (int64_t)p->ep * p->etp;
    if (p->scope == PAR_SCOPE_REPLICA)
        CORE_FAIL_IF(reader->edp != p->dp, CORE_E_PLAN,
                     "%s: edp = %d, expected dp = %d (scope=replica)",
                     reader->where, reader->edp, p->dp);
    else
        CORE_FAIL_IF(n_set * reader->edp != n_stage_rank, CORE_E_PLAN,
                     "%s: ep*etp*edp = %d*%d*%d = %lld, expected %s = "
                     "%s = %lld (scope=stage)",
                     reader->where, p->ep, p->etp, reader->edp,
                     (long long)(n_set * reader->edp),
                     p->cp > 1 ? "dp*cp*tp" : "dp*tp",
                     par__degrees(product, p->dp, p->cp, p->tp),
                     (long long)n_stage_rank);
    return CORE_OK;
}
