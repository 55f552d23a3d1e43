"""Evolve two hyperparameters of a formula: ``python -m samplers.example`` from the folder that holds ``samplers``."""

import optuna

from samplers import WeightedParentSampler, recommend


def objective(trial: optuna.Trial) -> float:
    """Return a fitness whose best is at lr0 0.02, momentum 0.9 and the Adam optimizer."""
    lr0 = trial.suggest_float("lr0", 1e-5, 1e-1, log=True)
    momentum = trial.suggest_float("momentum", 0.6, 0.98)
    optimizer = trial.suggest_categorical("optimizer", ["sgd", "adam"])
    return 1 - (lr0 / 0.02 - 1) ** 2 - (momentum - 0.9) ** 2 - (optimizer == "sgd")


if __name__ == "__main__":
    defaults = {"lr0": 0.01, "momentum": 0.8, "optimizer": "sgd"}
    sampler = WeightedParentSampler(defaults=defaults, seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=60)
    print("best trial ", study.best_params, study.best_trial.user_attrs["lineage"])
    print("recommended", recommend(study))
