/* harness/judge/svg.h -- private to html.c: the pictures of a judgement.
 *
 * Each writes one <svg> that takes its colours from the page's CSS variables
 * and tells the numbers of a mark in its <title>.
 */
#ifndef HAR_JUDGE_SVG_H
#define HAR_JUDGE_SVG_H

#include "harness/judge/report.h"

/* observed / bound: a line per layer, a column per tap.              [local] */
void har__svg_taps(const har_judgement *judged, int part, FILE *out);

/* The worst of all taps for each token: a line per row of the batch. [local] */
void har__svg_tokens(const har_judgement *judged, int part, FILE *out);

/* Agreement of the choices, a bar per layer.                         [local] */
void har__svg_routing(const har_judgement *judged, int part, FILE *out);

/* Choices per expert, a line per layer; marked where they differ.    [local] */
void har__svg_load(const har_judgement *judged, int part, FILE *out);

/* Has the part layers whose choices were compared?                   [local] */
bool har__svg_has_routing(const har_judgement *judged, int part);

#endif
