every_shadow_plan shadow-b
