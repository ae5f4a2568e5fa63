/* core/model/config_keys.c -- the keys of a config.json that nobody asked for.
 *
 * What a reader leaves unread may pass if it is one of a list that says nothing
 * of a forward pass, or if its value switches a known feature off.  Everything
 * else might change the result, and is named.
 */
#include "core/model/config_impl.h"

#include <math.h>
#include <string.h>

/* Of training, generation, tokens and files: a * stands for any letters. */
static const char ANYWHERE[] =
    "architectures auto_map model_type transformers_version transformers.js* "
    "_name_or_path name_or_path _commit_hash _attn_implementation* "
    "_experts_implementation* attn_implementation "
    "use_cache cache_implementation initializer_range initializer_factor "
    "*dropout *dropout_prob *dropout_rate layerdrop max_position_embeddings "
    "*_token_id *_token_index *_token_ids token_type* tokenizer_class "
    "output_router_logits router_aux_loss_coef aux_loss_alpha seq_aux "
    "router_z_loss_coef pretraining_tp ep_size "
    "is_encoder_decoder is_decoder add_cross_attention "
    "cross_attention_hidden_size tie_encoder_decoder chunk_size_feed_forward "
    "id2label label2id num_labels problem_type finetuning_task "
    "task_specific_params prefix pruned_heads torchscript tf_legacy_loss "
    "use_bfloat16 return_dict output_attentions output_hidden_states "
    "unsloth_* keys_to_ignore_at_inference ignore_index num_logits_to_keep "
    "temperature top_k top_p typical_p do_sample num_beams num_beam_groups "
    "num_return_sequences max_length min_length length_penalty early_stopping "
    "repetition_penalty diversity_penalty no_repeat_ngram_size "
    "encoder_no_repeat_ngram_size bad_words_ids suppress_tokens "
    "begin_suppress_tokens remove_invalid_values return_dict_in_generate "
    "output_scores exponential_decay_length_penalty";

/* Features that a file may say it has not. */
static const char OFF[] = CORE_JSON({
    "attention_bias" : false, "mlp_bias" : false, "use_bias" : false,
    "use_sliding_window" : false, "use_qk_norm" : false,
    "n_shared_experts" : 0, "num_shared_experts" : 0,
    "shared_expert_intermediate_size" : 0, "shared_intermediate_size" : 0,
    "first_k_dense_replace" : 0, "moe_layer_freq" : 1,
    "decoder_sparse_step" : 1, "mlp_only_layers" : [],
    "n_group" : 1, "topk_group" : 1, "routed_scaling_factor" : 1.0,
    "partial_rotary_factor" : 1.0, "router_jitter_noise" : 0.0,
    "input_jitter_noise" : 0.0, "embedding_multiplier" : 1.0,
    "logits_scaling" : 1.0, "residual_multiplier" : 1.0,
    "lm_head_bias" : false, "sliding_window" : 0,
    "num_nextn_predict_layers" : 0, "num_mtp_layers" : 0
});

/* True if the word is `pattern`, in which one * stands for any letters. */
static bool matches(const char *word, const char *pattern, size_t n)
{
    const char *star = memchr(pattern, '*', n);
    if (star == NULL)
        return strlen(word) == n && memcmp(word, pattern, n) == 0;
    const size_t head = (size_t)(star - pattern), tail = n - head - 1;
    const size_t n_word = strlen(word);
    return n_word >= head + tail && memcmp(word, pattern, head) == 0 &&
           memcmp(word + n_word - tail, star + 1, tail) == 0;
}

bool core__config_is_listed(const char *word, const char *list)
{
    while (list != NULL && *list != '\0') {
        const size_t n = strcspn(list, " ");
        if (matches(word, list, n))
            return true;
        list += n + strspn(list + n, " ");
    }
    return false;
}

static bool same_value(const json_t *a, const json_t *b)
{
    return json_is_number(a) && json_is_number(b)
               ? json_number_value(a) == json_number_value(b)
               : json_equal(a, b) != 0;
}

/* layer_types of one kind, the usual one. */
static bool is_full(const char *key, const json_t *value)
{
    if (strcmp(key, "layer_types") != 0 || !json_is_array(value))
        return false;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *word = json_string_value(json_array_get(value, i));
        if (word == NULL || strcmp(word, "full_attention") != 0)
            return false;
    }
    return true;
}

typedef struct refusal {
    core__reader r;
    const char *ignores;
    const core_overrides *overrides;
    const json_t *off;
    char names[CORE_CONFIG_TEXT_BYTES]; /* of what is refused                 */
    char damage[CORE_CONFIG_TEXT_BYTES]; /* the first number that is none     */
} refusal;

/* Adds a name to a list of them, if there is room. */
static void append(char list[CORE_CONFIG_TEXT_BYTES], const char *name)
{
    const size_t n = strlen(list);
    if (n + strlen(name) + 3 < CORE_CONFIG_TEXT_BYTES)
        sprintf(list + n, "%s%s", n > 0 ? ", " : "", name);
}

static bool is_asked_to_ignore(const refusal *x, const char *key,
                               const char *path)
{
    for (int i = 0; x->overrides != NULL && i < x->overrides->n_key; i++)
        if (strcmp(x->overrides->key[i], key) == 0 ||
            strcmp(x->overrides->key[i], path) == 0)
            return true;
    return false;
}

/* Of no use to anybody, so the rest of the file need not be right either. */
static bool is_damaged(const json_t *value)
{
    static const double MOST = 1e30; /* of a field, too: spec_validate.c      */
    return json_is_number(value) && !(fabs(json_number_value(value)) <= MOST);
}

/* An unread key at `path`; `whole` is the object as it stands in the file. */
static void judge_key(refusal *x, const char *path, const char *key,
                      const json_t *value)
{
    if (is_damaged(value) && x->damage[0] == '\0')
        snprintf(x->damage, sizeof x->damage, "%.200s %g", path,
                 json_number_value(value));
    if (json_is_null(value) || core__config_is_listed(key, ANYWHERE) ||
        core__config_is_listed(path, x->ignores) || is_full(key, value) ||
        same_value(value, json_object_get(x->off, key)))
        return;
    if (is_asked_to_ignore(x, key, path))
        append(x->r.facts->ignored, path);
    else
        append(x->names, path);
}

/* An object of which some keys were read says which were not. */
static void judge(refusal *x, json_t *unread, const json_t *object,
                  const char *above)
{
    const char *key;
    json_t *value;
    json_object_foreach(unread, key, value)
    {
        const json_t *whole = json_object_get(object, key);
        char path[CORE_CONFIG_TEXT_BYTES];
        snprintf(path, sizeof path, "%s%s%s", above, above[0] ? "." : "", key);
        if (json_is_object(value) &&
            (json_object_size(value) == 0 || !json_equal(value, whole)))
            judge(x, value, whole, path);
        else
            judge_key(x, path, key, value);
    }
}

core_status core__config_refuse_unread(core__reader r, const char *ignores,
                                       const core_overrides *overrides)
{
    json_t *off = NULL;
    CORE_TRY(core_json_parse(&off, OFF, strlen(OFF), "features that are off"));
    refusal x = {r, ignores, overrides, off, "", ""};
    judge(&x, r.unread, r.object, "");
    json_decref(off);
    CORE_FAIL_IF(x.damage[0] != '\0', CORE_E_SPEC,
                 "%s: %s, expected a number up to 1e+30", r.where, x.damage);
    CORE_FAIL_IF(x.names[0] != '\0', CORE_E_SPEC,
                 "%s: %s: not read for model_type %s, may change the result "
                 "(--ignore-key KEY goes on without)",
                 r.where, x.names, r.facts->model_type);
    return CORE_OK;
}
