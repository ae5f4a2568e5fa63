/* parallel/grad/tape.c -- what the forward pass showed on this rank.
 *
 * Token taps are kept by micro-batch, this rank's columns side by side (a kv
 * head is a piece of its own).  Rows of choices are found by their number: who
 * serves an expert reads on the way back the rows that arrived on the way
 * there, in whatever order and beside whatever other layer they came.
 */
#include "parallel/grad/grad_impl.h"

#include <stdlib.h>
#include <string.h>

typedef struct choice_rows {
    int32_t *at; /* [N*K] 1 + row, 0: none; NULL: nothing came                */
    double *rows;
    int64_t n, room, n_col; /* room in doubles                                */
} choice_rows;

struct par_tape {
    const par_layout *layout;
    const core_spec *spec;
    int64_t n_token;
    core_status status;
    int64_t n_part;  /* rounds * mb                                       */
    double **tokens; /* [kinds * L * n_part]                              */
    choice_rows *choices; /* [kinds * L]                                      */
};

bool par__tape_keeps(core_tap_kind kind)
{
    static const core_tap_kind READ[] = {
        CORE_TAP_IN,         CORE_TAP_ATTN_NORM,   CORE_TAP_Q_ROPE,
        CORE_TAP_K_ROPE,     CORE_TAP_V,           CORE_TAP_CONTEXT,
        CORE_TAP_MID,        CORE_TAP_FFN_NORM,    CORE_TAP_ROUTER_PROBS,
        CORE_TAP_TOPK_IDX,   CORE_TAP_TOPK_WEIGHT, CORE_TAP_SLOT,
        CORE_TAP_RECV,       CORE_TAP_EXPERT_GATE, CORE_TAP_EXPERT_UP,
        CORE_TAP_EXPERT_ACT, CORE_TAP_BACK,        CORE_TAP_MLP_GATE,
        CORE_TAP_MLP_UP,     CORE_TAP_MLP_ACT,     CORE_TAP_OUT,
        CORE_TAP_FINAL_NORM};
    for (size_t i = 0; i < sizeof READ / sizeof READ[0]; i++)
        if (READ[i] == kind)
            return true;
    return false;
}

void par__grad_columns(const par_layout *layout, const core_spec *spec,
                       core_tap tap, int64_t *c0, int64_t *n_col)
{
    const par_heads *heads = &layout->heads[0];
    const int64_t n_dh = heads->all.n_dh, n = core_tap_cols(spec, tap);
    *c0 = 0;
    *n_col = n;
    switch ((int)tap.kind) {
    case CORE_TAP_Q:
    case CORE_TAP_Q_ROPE:
    case CORE_TAP_CONTEXT:
        *c0 = heads->h0 * n_dh;
        *n_col = heads->n_h * n_dh;
        break;
    case CORE_TAP_K:
    case CORE_TAP_K_ROPE:
    case CORE_TAP_V:
        *c0 = heads->kv0 * n_dh;
        *n_col = heads->n_kv * n_dh;
        break;
    case CORE_TAP_MLP_GATE:
    case CORE_TAP_MLP_UP:
    case CORE_TAP_MLP_ACT:
        *c0 = core_split_first(n, layout->plan.tp, layout->t);
        *n_col = core_split_first(n, layout->plan.tp, layout->t + 1) - *c0;
        break;
    case CORE_TAP_EXPERT_GATE:
    case CORE_TAP_EXPERT_UP:
    case CORE_TAP_EXPERT_ACT:
        *c0 = layout->first_f[layout->etp_i];
        *n_col = layout->first_f[layout->etp_i + 1] - *c0;
        break;
    default: /* whole rows */
        break;
    }
}

core_status par_tape_open(par_tape **out, const par_layout *layout,
                          const core_spec *spec, int64_t n_token)
{
    const int64_t n_tap = CORE_N_TAP_KINDS * spec->n_l;
    void *memory;
    CORE_TRY(core_alloc(&memory, 1, sizeof(par_tape), "a tape"));
    par_tape *tape = memory;
    *tape =
        (par_tape){.layout = layout,
                   .spec = spec,
                   .n_token = n_token,
                   .n_part = (int64_t)layout->plan.rounds * layout->plan.mb};
    tape->tokens = calloc((size_t)(n_tap * tape->n_part), sizeof(double *));
    tape->choices = calloc((size_t)n_tap, sizeof(choice_rows));
    if (tape->tokens == NULL || tape->choices == NULL) {
        par_tape_close(tape);
        return core_fail(CORE_E_MEMORY, "no memory for a tape");
    }
    *out = tape;
    return CORE_OK;
}

void par_tape_close(par_tape *tape)
{
    if (tape == NULL)
        return;
    const int64_t n_tap = CORE_N_TAP_KINDS * tape->spec->n_l;
    for (int64_t i = 0; tape->tokens != NULL && i < n_tap * tape->n_part; i++)
        free(tape->tokens[i]);
    for (int64_t i = 0; tape->choices != NULL && i < n_tap; i++) {
        free(tape->choices[i].at);
        free(tape->choices[i].rows);
    }
    free(tape->tokens);
    free(tape->choices);
    free(tape);
}

static void copy_row(double *to, const par_piece *piece, int64_t row)
{
    const int64_t at = row * piece->ld;
    for (int64_t c = 0; c < piece->n_col; c++)
        to[c] = piece->values != NULL ? piece->values[at + c]
                                      : (double)piece->ints[at + c];
}

static double **block_of(const par_tape *tape, core_tap_kind kind, int layer,
                         int round, int mb)
{
    const int64_t part = (int64_t)round * tape->layout->plan.mb + mb;
    return &tape->tokens[((int64_t)kind * tape->spec->n_l + layer) *
                             tape->n_part +
                         part];
}

static core_status record_tokens(par_tape *tape, const par_piece *piece)
{
    double **block = block_of(tape, piece->tap.kind, piece->tap.layer,
                              piece->round, piece->mb);
    int64_t c0, n_col;
    par__grad_columns(tape->layout, tape->spec, piece->tap, &c0, &n_col);
    void *room = *block;
    if (room == NULL)
        CORE_TRY(core_alloc(&room, piece->n_row * n_col + 1, sizeof(double),
                            "a tape"));
    *block = room;
    for (int64_t i = 0; i < piece->n_row; i++)
        copy_row(*block + i * n_col + piece->col0 - c0, piece, i);
    return CORE_OK;
}

static core_status record_choices(par_tape *tape, const par_piece *piece)
{
    const int64_t at =
        (int64_t)piece->tap.kind * tape->spec->n_l + piece->tap.layer;
    choice_rows *to = &tape->choices[at];
    to->n_col = piece->n_col;
    if (piece->n_row == 0)
        return CORE_OK;
    if (to->at == NULL)
        to->at =
            calloc((size_t)(tape->n_token * tape->spec->n_k), sizeof *to->at);
    CORE_FAIL_IF(to->at == NULL, CORE_E_MEMORY, "no memory for a tape");
    double *grown =
        core_grow(to->rows, &to->room, (to->n + piece->n_row) * piece->n_col,
                  sizeof *grown, "a tape");
    CORE_FAIL_IF(grown == NULL, CORE_E_MEMORY, "no memory for a tape");
    to->rows = grown;
    for (int64_t i = 0; i < piece->n_row; i++) {
        copy_row(to->rows + to->n * to->n_col, piece, i);
        to->at[piece->row_ids[i]] = (int32_t)++to->n;
    }
    return CORE_OK;
}

void par_tape_record(par_tape *tape, const par_piece *piece)
{
    if (!par__tape_keeps(piece->tap.kind) || tape->status != CORE_OK)
        return;
    tape->status = core_tap_row_kind(piece->tap.kind) == CORE_ROWS_TOKEN
                       ? record_tokens(tape, piece)
                       : record_choices(tape, piece);
}

const double *par__g_tap(const par__back *b, core_tap_kind kind, int layer)
{
    const double *rows = *block_of(b->tape, kind, layer, b->round, b->mb);
    char name[CORE_NAME_BYTES];
    if (rows == NULL)
        par_abort(b->comm, CORE_E_DIFFERS,
                  "rank %d: %s was not shown, and has no gradient then",
                  b->comm->rank, core_tap_name((core_tap){kind, layer}, name));
    return rows;
}

const double *par__tape_choice(const par_tape *tape, core_tap_kind kind,
                               int layer, int64_t choice)
{
    const choice_rows *from =
        &tape->choices[(int64_t)kind * tape->spec->n_l + layer];
    if (from->at == NULL || from->at[choice] == 0)
        return NULL;
    return from->rows + (from->at[choice] - 1) * from->n_col;
}

core_status par__tape_status(const par_tape *tape)
{
    return tape->status;
}
