/* harness/perf/predict/figures.c -- see figures.h. */
#include "harness/perf/predict/figures.h"

#include <stdio.h>

static har_range times(har_range r, double x)
{
    return (har_range){r.value * x, r.low * x, r.high * x};
}

bool har_figure_at(har_figure *out, const har_prediction *p, int i)
{
    const har_range memory = {p->memory, p->memory, p->memory};
    const har_figure list[] = {
        {"latency_ms", "ms", "one pass of the batch, pipeline empty before",
         times(p->latency, 1e3), true},
        {"period_ms", "ms", "from batch to batch, pipeline kept full",
         times(p->period, 1e3), true},
        {"tokens_per_s", "/s", "tokens of a batch / period", p->tokens_per_s,
         true},
        {"sequences_per_s", "/s", "rows of a batch / period", p->rows_per_s,
         true},
        {"pass_tokens_per_s", "/s", "tokens of a batch / latency",
         p->pass_tokens_per_s, true},
        {"pass_sequences_per_s", "/s", "rows of a batch / latency",
         p->pass_rows_per_s, true},
        {"mfu", "", "flop the model asks for / (latency x GPUs x peak)", p->mfu,
         true},
        {"serving_mfu", "", "the same per period", p->serving_mfu, true},
        {"bandwidth", "",
         "bytes of all operators / (latency x GPUs x memory bandwidth)",
         p->bandwidth, true},
        {"serving_bandwidth", "", "the same per period", p->serving_bandwidth,
         true},
        {"busy", "", "share of the latency in which a GPU computes, mean",
         p->compute, true},
        {"communication", "", "share of the latency in transfers not hidden",
         p->communication, true},
        {"bubble", "", "share waiting for a micro-batch or for the end",
         p->bubble, true},
        {"imbalance", "", "share waiting for slower peers of a transfer",
         p->imbalance, true},
        {"balance", "", "mean / most rows over the ranks of an expert group",
         p->balance, p->has_experts},
        {"memory_gb", "GB", "fullest GPU, 1e9 bytes", times(memory, 1e-9),
         true},
    };
    if (i >= (int)(sizeof list / sizeof list[0]))
        return false;
    *out = list[i];
    return true;
}

const char *har_routing_text(char text[HAR_ROUTING_TEXT],
                             const har_predict_case *r)
{
    text[0] = '\0';
    if (core_spec_count_moe(r->spec, 0, (int)r->spec->n_l) == 0)
        return text;
    if (r->load != NULL)
        snprintf(text, HAR_ROUTING_TEXT, "measured%s%s",
                 r->load_from != NULL ? " in " : "",
                 r->load_from != NULL ? r->load_from : "");
    else if (r->demand != NULL)
        snprintf(text, HAR_ROUTING_TEXT, "%s, %s", r->demand->text,
                 r->demand->is_drawn ? "drawn" : "expected");
    return text;
}
