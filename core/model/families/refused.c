/* core/model/families/refused.c -- models that are known and not read, and why.
 */
#include "core/model/config.h"

static const struct {
    const char *model_type, *reason;
} REFUSED[] = {
    {"bailing_moe_linear", "linear attention with a decay by head"},
    {"longcat_flash", "two attentions and two MLPs in a layer, experts that "
                      "do nothing"},
    {"mistral4", "queries scaled by position in layers with rope"},
};

bool core_config_refused(int i, const char **model_type, const char **reason)
{
    if (i < 0 || i >= (int)(sizeof REFUSED / sizeof REFUSED[0]))
        return false;
    *model_type = REFUSED[i].model_type;
    *reason = REFUSED[i].reason;
    return true;
}
