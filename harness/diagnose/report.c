/* harness/diagnose/report.c -- see report.h.
 *
 * A share of the difference is never rounded up to all of it.
 */
#include "harness/diagnose/report.h"

#include <math.h>

const char *har_diagnosis_text(char text[HAR_DIAGNOSIS_TEXT],
                               const har_diagnosis *diagnosis, int i)
{
    const har_likeness *l = &diagnosis->likeness[i];
    snprintf(text, HAR_DIAGNOSIS_TEXT,
             "%s%s%s (explains %.2f %% of the difference)", l->text,
             diagnosis->where[0] != '\0' ? ", " : "", diagnosis->where,
             floor(1e4 * l->explained) / 1e2);
    return text;
}

void har_diagnosis_write(const har_diagnosis *diagnosis, const char *indent,
                         FILE *out)
{
    char text[HAR_DIAGNOSIS_TEXT];
    for (int i = 0; i < diagnosis->n; i++)
        fprintf(out, "%s%-10s %s\n", indent, i == 0 ? "looks like" : "or",
                har_diagnosis_text(text, diagnosis, i));
}

json_t *har_diagnosis_json(const har_diagnosis *diagnosis)
{
    json_t *list = json_array();
    for (int i = 0; i < diagnosis->n; i++) {
        const har_likeness *l = &diagnosis->likeness[i];
        json_t *o = json_object();
        core_json_put_text(o, "signature", har_signature_name(l->signature));
        core_json_put_text(o, "text", l->text);
        core_json_put_text(o, "where", diagnosis->where);
        core_json_put_number(o, "explained", l->explained);
        json_array_append_new(list, o);
    }
    return list;
}
