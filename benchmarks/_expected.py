"""Figures that independent implementations gave: report of the best reward seen, by setting, label and queries."""

from __future__ import annotations

_AT = (20, 50, 100, 200)


def _rows(**figures: str) -> dict[str, dict[int, float]]:
    return {
        label: {at: float(x) for at, x in zip(_AT, text.split(), strict=False) if x != "-"}
        for label, text in figures.items()
    }


#: (space, reward columns, report columns, limit) -> label -> queries -> figure
EXPECTED: dict[tuple[str, str, str, str], dict[str, dict[int, float]]] = {
    ("nasbench201", "c10_val_ep12", "c10_test_ep200", ""): {
        **_rows(
            random="92.99 93.50 93.74 93.89",
            largest_first="94.07 94.36 94.37 94.37",
            regularized_evolution="93.31 93.96 94.18 94.22",
            local_search="93.28 93.97 94.19 94.32",
            factorized_reinforce="93.04 93.57 93.91 94.17",
            tpe="93.20 93.92 94.21 94.28",
            bananas="93.20 94.13 94.19 94.25",
            gaussian_process="93.31 94.09 94.24 94.32",
        ),
        **{
            "size-written": dict(zip(_AT, (94.07, 94.36, 94.37, 94.37), strict=True)),
            "size-live": {20: 94.17, 50: 94.36, 100: 94.37},
            "optuna-tpe": dict(zip(_AT, (93.20, 93.92, 94.21, 94.28), strict=True)),
            "optuna-gp": {20: 93.38, 50: 94.07, 100: 94.22},
        },
    },
    ("nasbench201", "c10_val_ep12", "c10_test_ep200", "flops_c10<=p50"): {
        **_rows(
            random="91.68 92.33 92.60 92.86",
            largest_first="92.47 92.80 93.01 93.15",
            regularized_evolution="91.92 92.42 92.69 92.93",
            local_search="91.89 92.46 92.72 92.99",
            tpe="92.15 92.63 92.85 -",
            gaussian_process="92.13 92.91 93.10 93.13",
        ),
        **{
            "size-written": dict(zip(_AT, (92.47, 92.80, 93.01, 93.15), strict=True)),
            "size-live": dict(zip(_AT, (92.18, 92.49, 92.72, 92.86), strict=True)),
            "optuna-tpe": {20: 92.15, 50: 92.63, 100: 92.85},
        },
    },
    ("mobile", "test_acc_1,test_acc_2,test_acc_3", "test_acc_1,test_acc_2,test_acc_3", ""): {
        **_rows(
            random="92.54 92.67 92.73",
            largest_first="92.88 92.88 92.88",
            regularized_evolution="92.64 92.85 92.90",
            local_search="92.63 92.80 92.88",
            tpe="92.64 92.80 92.90",
            gaussian_process="92.72 92.92 92.92",
        ),
        **{"size-written": {20: 92.88, 50: 92.88, 100: 92.88}, "optuna-tpe": {20: 92.64, 50: 92.80, 100: 92.90}},
    },
}
