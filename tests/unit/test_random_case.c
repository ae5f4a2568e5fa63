/* tests/unit/test_random_case.c -- the dice reach what they are thrown for.
 *
 * A property test on random models proves as much as its models have in them:
 * every feature must come up often, and the steps that make a case smaller must
 * leave legal cases, change something, and come to an end.
 */
#include "core/pass/batch.h"
#include "tests/support/check_main.h"
#include "tests/support/random_case.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { N_SEED = 1500, MAX_RANK = 8, AT_LEAST = 8 };

/* Of how many cases is it true that one of their layers ...? */
typedef bool (*question)(const random_case *c, int layer);

static bool has_mamba(const random_case *c, int l)
{
    return core_spec_mixer(&c->spec, l) == CORE_MIXER_MAMBA && c->plan.tp > 1;
}

static bool has_uneven_channels(const random_case *c, int l)
{
    return has_mamba(c, l) && c->spec.mamba.n_c % c->plan.tp != 0;
}

static bool has_deltanet(const random_case *c, int l)
{
    return core_spec_mixer(&c->spec, l) == CORE_MIXER_DELTANET &&
           c->plan.tp > 1;
}

static bool has_uneven_key_heads(const random_case *c, int l)
{
    return has_deltanet(c, l) && c->spec.deltanet.n_kh % c->plan.tp != 0;
}

static bool serves_many_values(const random_case *c, int l)
{
    return has_deltanet(c, l) && c->spec.deltanet.n_vh > c->spec.deltanet.n_kh;
}

static bool decays_by_row(const random_case *c, int l)
{
    return has_deltanet(c, l) && c->spec.deltanet.by_row;
}

static bool has_short_vectors(const random_case *c, int l)
{
    return has_deltanet(c, l) && c->spec.deltanet.n_dt_rank > 0 &&
           c->spec.deltanet.n_gate_rank > 0;
}

static bool bounds_decays(const random_case *c, int l)
{
    return has_deltanet(c, l) && c->spec.deltanet.floor < 0.0;
}

static bool looks_back(const random_case *c, int l)
{
    return c->spec.attn_res.n_block > 0 && l >= c->spec.attn_res.n_block;
}

static bool is_situ(const random_case *c, int l)
{
    return core_spec_has_ffn(&c->spec, l) && c->spec.act == CORE_ACT_SITU;
}

static bool has_latent_without_rope(const random_case *c, int l)
{
    return core_spec_has_attention(&c->spec, l) && c->spec.n_kv_rank > 0 &&
           !core_spec_has_rope(&c->spec, l);
}

static bool has_ssd(const random_case *c, int l)
{
    return core_spec_mixer(&c->spec, l) == CORE_MIXER_SSD;
}

static bool splits_ssd(const random_case *c, int l)
{
    return has_ssd(c, l) && c->plan.tp > 1;
}

static bool repeats_group(const random_case *c, int l)
{
    return has_ssd(c, l) && c->spec.ssd.n_g % c->plan.tp != 0;
}

static bool limits_steps(const random_case *c, int l)
{
    return has_ssd(c, l) && (c->spec.ssd.least > 0.0 || c->spec.ssd.most > 0.0);
}

static bool has_shortconv(const random_case *c, int l)
{
    return core_spec_mixer(&c->spec, l) == CORE_MIXER_SHORTCONV &&
           c->plan.tp > 1;
}

static bool has_biased_shortconv(const random_case *c, int l)
{
    return has_shortconv(c, l) && c->spec.shortconv.bias;
}

static bool adds_to_sum(const random_case *c, int l)
{
    (void)l;
    return c->spec.sum_eps > 0.0 && c->spec.renormalise;
}

static bool mixes_mixers(const random_case *c, int l)
{
    return l > 0 && c->spec.mixer[l] != c->spec.mixer[l - 1];
}

static bool has_attention(const random_case *c, int l)
{
    return core_spec_has_attention(&c->spec, l);
}

static bool is_latent(const random_case *c, int l)
{
    return has_attention(c, l) && c->spec.n_kv_rank > 0 && c->plan.tp > 1;
}

static bool has_no_query_latent(const random_case *c, int l)
{
    return is_latent(c, l) && c->spec.n_q_rank == 0;
}

/* Rows are long enough for a query to leave keys. */
static bool chooses_keys(const random_case *c, int l)
{
    return core_spec_chooser(&c->spec, l) < CORE_N_CHOOSERS &&
           c->n_t > c->spec.n_seen;
}

static bool chooses_keys_apart(const random_case *c, int l)
{
    return chooses_keys(c, l) && c->plan.tp > 1;
}

static bool keeps_keys(const random_case *c, int l)
{
    return core_spec_has_attention(&c->spec, l) &&
           c->spec.sight[l] == CORE_SIGHT_KEPT && c->n_t > c->spec.n_seen;
}

/* A stage begins with the layer, and goes on with a choice of the one before. */
static bool keeps_keys_over_stages(const random_case *c, int l)
{
    int first = 0;
    bool begins = false;
    for (int s = 1; s < par_plan_parts(&c->plan); s++) {
        first += par_plan_layers(&c->plan, c->spec.n_l, s - 1);
        begins = begins || first == l;
    }
    return begins && keeps_keys(c, l);
}

/* A stage's layers are no single run, in whichever scope. */
static bool takes_turns(const random_case *c, int l)
{
    (void)l;
    return c->plan.vpp > 1;
}

static bool takes_turns_by_replica(const random_case *c, int l)
{
    return takes_turns(c, l) && c->plan.scope == PAR_SCOPE_REPLICA;
}

/* Groups of micro-batches, the last one short. */
static bool takes_short_turns(const random_case *c, int l)
{
    return takes_turns(c, l) && c->plan.mb > c->plan.pp &&
           c->plan.mb % c->plan.pp != 0;
}

static bool norms_heads(const random_case *c, int l)
{
    return has_attention(c, l) && c->spec.qk_norm == CORE_QK_NORM_HEAD;
}

static bool norms_all_heads(const random_case *c, int l)
{
    return has_attention(c, l) && c->spec.qk_norm == CORE_QK_NORM_ALL &&
           c->plan.tp > 1;
}

/* A kv head of two ranks, under the norm over all of them. */
static bool norms_shared_heads(const random_case *c, int l)
{
    return norms_all_heads(c, l) && c->spec.n_g % c->plan.tp != 0;
}

static bool norms_roped(const random_case *c, int l)
{
    return core_spec_has_rope(&c->spec, l) &&
           (c->spec.qk_norm == CORE_QK_NORM_ROPED ||
            c->spec.qk_norm == CORE_QK_NORM_AFTER);
}

static bool clips(const random_case *c, int l)
{
    return has_attention(c, l) && c->spec.clip_qkv > 0.0;
}

static bool tempers(const random_case *c, int l)
{
    return has_attention(c, l) && c->spec.no_rope[l] != 0 &&
           c->spec.temper_scale > 0.0;
}

static bool has_sinks(const random_case *c, int l)
{
    return has_attention(c, l) && c->spec.sinks && c->plan.tp > 1;
}

/* Fewer blocks than a row has, on ranks of their own. */
static bool chooses_blocks(const random_case *c, int l)
{
    return core_spec_chooser(&c->spec, l) == CORE_CHOOSER_BLOCK_INDEX &&
           c->spec.n_seen * c->spec.block_index.n_key < c->n_t &&
           c->plan.tp > 1;
}

static bool clamps_elsewhere(const random_case *c, int l)
{
    return core_spec_has_ffn(&c->spec, l) && c->spec.act_limit > 0.0;
}

static bool sees_chunks(const random_case *c, int l)
{
    return has_attention(c, l) && c->spec.span[l] == CORE_SPAN_CHUNK;
}

static bool sees_a_window(const random_case *c, int l)
{
    return has_attention(c, l) && c->spec.span[l] == CORE_SPAN_WINDOW &&
           c->spec.sliding_window > 0;
}

static bool has_values_of_keys(const random_case *c, int l)
{
    return has_attention(c, l) && core_spec_heads(&c->spec, l).v_is_k &&
           c->plan.tp > 1;
}

static bool norms_values(const random_case *c, int l)
{
    return has_attention(c, l) && c->spec.value_norm;
}

static bool turns_some_pairs(const random_case *c, int l)
{
    return core_spec_has_rope(&c->spec, l) &&
           core_spec_heads(&c->spec, l).rope.n_turned > 0;
}

static bool norms_behind(const random_case *c, int l)
{
    (void)l;
    return c->spec.post_norm;
}

static bool norms_branches(const random_case *c, int l)
{
    return core_spec_is_moe(&c->spec, l) && c->spec.branch_norm &&
           c->plan.tp > 1;
}

static bool scales_layers(const random_case *c, int l)
{
    (void)l;
    return c->spec.layer_scale && c->plan.pp > 1;
}

static bool norms_for_the_router(const random_case *c, int l)
{
    return core_spec_is_moe(&c->spec, l) && c->spec.router_norm;
}

static bool scales_experts(const random_case *c, int l)
{
    return core_spec_is_moe(&c->spec, l) && c->spec.expert_scale &&
           c->plan.ep > 1;
}

static bool caps_logits(const random_case *c, int l)
{
    (void)l;
    return c->spec.logits_cap > 0.0;
}

static bool rotates_a_part(const random_case *c, int l)
{
    return core_spec_has_rope(&c->spec, l) && c->spec.n_rot > 0 &&
           c->spec.n_rot < c->spec.n_dh && c->spec.n_kv_rank == 0;
}

static bool interleaves(const random_case *c, int l)
{
    return core_spec_has_rope(&c->spec, l) && c->spec.rope.interleaved;
}

static bool uses(const random_case *c, int l, core_router router)
{
    return core_spec_is_moe(&c->spec, l) && c->spec.router == router;
}

static bool is_softmax(const random_case *c, int l)
{
    return uses(c, l, CORE_ROUTER_SOFTMAX);
}

static bool is_softmax_top(const random_case *c, int l)
{
    return uses(c, l, CORE_ROUTER_SOFTMAX_TOP);
}

static bool is_sigmoid(const random_case *c, int l)
{
    return uses(c, l, CORE_ROUTER_SIGMOID);
}

static bool is_sparsemixer(const random_case *c, int l)
{
    return uses(c, l, CORE_ROUTER_SPARSEMIXER);
}

static bool has_groups(const random_case *c, int l)
{
    return core_spec_is_moe(&c->spec, l) && c->spec.n_group > 0;
}

static bool corrects(const random_case *c, int l)
{
    return core_spec_is_moe(&c->spec, l) && c->spec.correction;
}

static bool weighs_input(const random_case *c, int l)
{
    return core_spec_is_moe(&c->spec, l) && c->spec.weigh_input &&
           c->plan.ep > 1;
}

static bool scores_shared(const random_case *c, int l)
{
    return core_spec_shared(&c->spec, l) == CORE_SHARED_SHARED_GATE && c->plan.tp > 1;
}

static bool is_dense(const random_case *c, int l)
{
    return c->spec.ffn[l] == CORE_FFN_DENSE;
}

static bool only_mixes(const random_case *c, int l)
{
    return !core_spec_has_ffn(&c->spec, l);
}

static bool only_feeds(const random_case *c, int l)
{
    return core_spec_mixer(&c->spec, l) == CORE_N_MIXERS;
}

static bool narrows(const random_case *c, int l)
{
    return core_spec_is_moe(&c->spec, l) && c->spec.n_de > 0 && c->plan.tp > 1;
}

static bool squares(const random_case *c, int l)
{
    return core_spec_has_ffn(&c->spec, l) && c->spec.act == CORE_ACT_RELU2;
}

static bool is_dense_by_replica(const random_case *c, int l)
{
    return is_dense(c, l) && c->plan.scope == PAR_SCOPE_REPLICA &&
           c->plan.pp > 1;
}

static bool clamps(const random_case *c, int l)
{
    (void)l;
    return c->spec.act == CORE_ACT_CLAMPED_SWIGLU;
}

static bool limits_experts(const random_case *c, int l)
{
    return core_spec_is_moe(&c->spec, l) && c->spec.expert_most[l] > 0.0;
}

static bool limits_mlp(const random_case *c, int l)
{
    return core_spec_n_mlp(&c->spec, l) > 0 && c->spec.mlp_most[l] > 0.0;
}

static bool gates_context(const random_case *c, int l)
{
    return has_attention(c, l) && c->spec.context_gate && c->plan.tp > 1;
}

static bool adds_one(const random_case *c, int l)
{
    (void)l;
    return c->spec.norm == CORE_NORM_RMS_PLUS_ONE;
}

static bool is_layernorm(const random_case *c, int l)
{
    (void)l;
    return c->spec.norm == CORE_NORM_LAYER;
}

static bool scales(const random_case *c, int l)
{
    (void)l;
    return c->spec.embed_scale != 1.0 || c->spec.residual_scale != 1.0 ||
           c->spec.logits_divisor != 1.0;
}

static bool has_head_bias(const random_case *c, int l)
{
    (void)l;
    return c->spec.bias_head && c->plan.tp > 1;
}

static bool is_placed(const random_case *c, int l)
{
    (void)l;
    return c->plan.n_placed > 0 && c->plan.ep > 1;
}

static bool is_mapped(const random_case *c, int l)
{
    (void)l;
    return c->plan.n_mapped > 1 && c->plan.n_physical > c->spec.n_e;
}

static bool is_padded(const random_case *c, int l)
{
    (void)l;
    return c->pads;
}

static bool has_streams(const random_case *c, int l)
{
    (void)l;
    return c->spec.hyper.n > 0 && c->plan.tp > 1;
}

static bool sends_streams(const random_case *c, int l)
{
    (void)l;
    return c->spec.hyper.n > 0 && c->plan.pp > 1;
}

static bool looks_experts_up(const random_case *c, int l)
{
    return core_spec_by_table(&c->spec, l) && c->plan.ep > 1;
}

static bool takes_roots(const random_case *c, int l)
{
    return uses(c, l, CORE_ROUTER_SQRT_SOFTPLUS);
}

static bool clamps_silu(const random_case *c, int l)
{
    return core_spec_has_ffn(&c->spec, l) &&
           c->spec.act == CORE_ACT_CLAMPED_SILU;
}

static bool has_one_kv(const random_case *c, int l)
{
    return has_attention(c, l) && c->spec.one_kv && c->plan.tp > 1;
}

static bool groups_outputs(const random_case *c, int l)
{
    return has_one_kv(c, l) && c->spec.o_groups.n > 0;
}

static bool digests(const random_case *c, int l)
{
    const int64_t run = core_spec_digest_run(&c->spec, l);
    return run > 0 && c->n_t > 2 * run;
}

static bool picks_digests(const random_case *c, int l)
{
    return core_spec_chooser(&c->spec, l) == CORE_CHOOSER_PICKER &&
           c->n_t / c->spec.digests.n_best > c->spec.n_seen && c->plan.tp > 1;
}

static const struct {
    const char *name;
    question ask;
} feature[] = {
#define ROW(f) {#f, f}
    ROW(has_mamba),       ROW(has_uneven_channels), ROW(mixes_mixers),
    ROW(is_latent),       ROW(has_no_query_latent), ROW(norms_heads),
    ROW(norms_all_heads), ROW(norms_shared_heads),  ROW(norms_roped),
    ROW(clips),           ROW(tempers),             ROW(has_sinks),
    ROW(has_values_of_keys), ROW(norms_values),     ROW(turns_some_pairs),
    ROW(norms_behind),    ROW(norms_branches),      ROW(scales_layers),
    ROW(norms_for_the_router), ROW(scales_experts), ROW(caps_logits),
    ROW(sees_chunks),     ROW(sees_a_window),       ROW(rotates_a_part),
    ROW(interleaves),     ROW(is_softmax),          ROW(is_softmax_top),
    ROW(is_sigmoid),      ROW(is_sparsemixer),      ROW(has_groups),
    ROW(corrects),        ROW(weighs_input),        ROW(scores_shared),
    ROW(is_dense),        ROW(is_dense_by_replica), ROW(clamps),
    ROW(is_layernorm),    ROW(scales),              ROW(has_head_bias),
    ROW(is_placed),       ROW(is_padded),           ROW(only_mixes),
    ROW(is_mapped),
    ROW(only_feeds),      ROW(squares),             ROW(narrows),
    ROW(has_deltanet),    ROW(has_uneven_key_heads), ROW(serves_many_values),
    ROW(decays_by_row),   ROW(has_short_vectors),   ROW(has_latent_without_rope),
    ROW(bounds_decays),   ROW(looks_back),          ROW(is_situ),
    ROW(gates_context),   ROW(adds_one),
    ROW(has_ssd),         ROW(splits_ssd),          ROW(limits_steps),
    ROW(repeats_group),
    ROW(has_shortconv),   ROW(has_biased_shortconv), ROW(adds_to_sum),
    ROW(limits_experts),  ROW(limits_mlp),
    ROW(chooses_blocks),  ROW(clamps_elsewhere),
    ROW(chooses_keys),    ROW(chooses_keys_apart),  ROW(keeps_keys),
    ROW(keeps_keys_over_stages),
    ROW(has_streams),     ROW(sends_streams),       ROW(looks_experts_up),
    ROW(takes_roots),     ROW(clamps_silu),         ROW(has_one_kv),
    ROW(groups_outputs),  ROW(digests),             ROW(picks_digests),
    ROW(takes_turns),     ROW(takes_turns_by_replica), ROW(takes_short_turns),
#undef ROW
};
enum { N_FEATURE = sizeof feature / sizeof *feature };

static bool any_layer(const random_case *c, question ask)
{
    for (int l = 0; l < (int)c->spec.n_l; l++)
        if (ask(c, l))
            return true;
    return false;
}

static int n_case[N_FEATURE]; /* that have the feature */

/* Once for all features: throwing a legal plan takes its time. */
static void throw_all(void)
{
    random_case c;
    for (uint64_t seed = 0; seed < N_SEED; seed++) {
        random_case_make(&c, seed, MAX_RANK);
        for (int i = 0; i < N_FEATURE; i++)
            n_case[i] += any_layer(&c, feature[i].ask);
    }
}

START_TEST(every_feature_comes_up)
{
    ck_assert_msg(n_case[_i] >= AT_LEAST, "%s: %d of %d cases",
                  feature[_i].name, n_case[_i], N_SEED);
    ck_assert_msg(n_case[_i] < N_SEED, "%s: every case", feature[_i].name);
}
END_TEST

/* Taking whatever applies ends in one layer on one rank, without features. */
START_TEST(simplifications_end)
{
    random_case c, next;
    random_case_make(&c, (uint64_t)_i, MAX_RANK);
    int n_taken = 0, n_in_a_row = 0;
    while (n_in_a_row == 0) {
        n_in_a_row = 1;
        for (int i = 0, known; (known = random_case_simpler(&next, &c, i)) >= 0;
             i++) {
            if (known == 0)
                continue;
            ck_assert(memcmp(&next, &c, sizeof c) != 0);
            ck_assert(core_spec_validate(&next.spec) == CORE_OK);
            ck_assert(par_plan_check(&next.plan, &next.spec) == CORE_OK);
            memcpy(&c, &next, sizeof c);
            n_in_a_row = 0;
            ck_assert_int_lt(++n_taken, 500);
        }
    }
    ck_assert_int_gt(n_taken, 0);
    ck_assert_int_eq(par_plan_world(&c.plan), 1);
    ck_assert_int_eq(c.spec.n_l, 1);
    ck_assert_int_eq(c.n_b * c.n_t, 1);
    for (int i = 0; i < N_FEATURE; i++)
        ck_assert_msg(!any_layer(&c, feature[i].ask) ||
                          feature[i].ask == is_softmax,
                      "%s is left", feature[i].name);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("random_case");
    TCase *dice = tcase_create("dice"), *steps = tcase_create("steps");
    tcase_add_unchecked_fixture(dice, throw_all, NULL);
    tcase_add_loop_test(dice, every_feature_comes_up, 0, N_FEATURE);
    tcase_set_timeout(steps, 0); /* CTest has one */
    tcase_add_loop_test(steps, simplifications_end, 0, 40);
    suite_add_tcase(suite, dice);
    suite_add_tcase(suite, steps);
    return check_main(suite);
}
