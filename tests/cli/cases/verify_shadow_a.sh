every_shadow_plan shadow-a
