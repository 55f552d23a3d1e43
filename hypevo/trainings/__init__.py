"""Running trainings: the slots, the backends that run jobs, the process of a training, its folder."""
