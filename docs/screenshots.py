"""Makes the screenshots of the pages with Chromium: `python docs/screenshots.py [FOLDER]` writes docs/images/.

A small study of the embedded digits is evolved in FOLDER, or goes on there if it is there already; without it, in a
temporary folder. `hypevo ui` serves it, and a headless Chromium photographs the pages, each below 200 kB. Look at them.
"""

from __future__ import annotations

import html
import io
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent / "images"
CHROMIUM = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=30000",
]
HYPEVO = [sys.executable, "-m", "hypevo"]
STUDY = "digits"
EVOLVE = (
    f"evolve --study {STUDY} --generations 22 --epochs 3 --baseline-seeds 3 --device cpu --seed 1".split()
)
PORTS = 5678, 8678
MLFLOW = 1040  # pixels; MLflow's assistant, which opens in a new browser, is to the right of them
LARGEST = 200_000  # bytes of a picture


def photograph(address: str, name: str, size: tuple[int, int], width: int | None = None) -> None:
    """Write a page, or `width` pixels of it, as a picture of few colours, which takes a third of the room."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        raise SystemExit("expected Chromium in PATH; found none")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        taken = Path(folder) / "page.png"
        window = f"--window-size={size[0]},{size[1]}"
        profile = f"--user-data-dir={folder}/profile"
        command = [browser, *CHROMIUM, window, profile, f"--screenshot={taken}", address]
        subprocess.run(command, check=True, timeout=300, stderr=subprocess.DEVNULL)
        picture = (
            Image.open(io.BytesIO(taken.read_bytes())).convert("RGB").crop((0, 0, width or size[0], size[1]))
        )
    HERE.mkdir(exist_ok=True)
    picture.quantize(128, dither=Image.Dither.NONE).save(HERE / name, optimize=True)
    length = (HERE / name).stat().st_size
    if length > LARGEST:
        raise SystemExit(f"{name}: expected at most {LARGEST:,} bytes, got {length:,}")
    print(f"{HERE / name}  {length:,} bytes")


def as_page(text: str, folder: Path, name: str) -> None:
    """Photograph what a terminal of 80 columns shows."""
    page = folder / f"{name}.html"
    style = "margin:0;padding:14px;background:#1e1e1e;color:#ddd;font:15px/20px monospace"
    page.write_text(
        f'<meta charset="utf-8"><body style="margin:0"><pre style="{style}">{html.escape(text)}</pre>'
    )
    photograph(page.as_uri(), f"{name}.png", (764, 20 * len(text.splitlines()) + 28))


def main(folder: Path) -> None:
    """Evolve, serve, photograph."""
    subprocess.run([*HYPEVO, *EVOLVE], cwd=folder, check=True)
    status = subprocess.run(
        [*HYPEVO, "status"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout
    as_page(f"$ hypevo status\n{shortened(status, folder)}", folder, "status")
    mlflow, dashboard = (f"http://127.0.0.1:{port}" for port in PORTS)
    said = folder / "ui.txt"
    command = [*HYPEVO, "ui", "--mlflow-port", str(PORTS[0]), "--dashboard-port", str(PORTS[1])]
    with said.open("w") as file, subprocess.Popen(command, cwd=folder, stderr=file) as server:
        try:
            while "Ctrl-C" not in said.read_text():
                if server.poll() is not None:
                    raise SystemExit(said.read_text())
                time.sleep(1)
            shown = said.read_text().replace(str(PORTS[0]), "5000").replace(str(PORTS[1]), "8080")
            as_page(f"$ hypevo ui\n{shortened(shown, folder)}", folder, "ui")
            pages(folder, mlflow, dashboard)
        finally:
            server.terminate()


def pages(folder: Path, mlflow: str, dashboard: str) -> None:
    """Photograph the pages of the study."""
    from hypevo.study.storage import EXPERIMENT, PARENT_RUN, load_study, ranked
    from hypevo.tracking.charts import view_path

    study = load_study(str(folder / "mlruns/optuna.journal"), STUDY)
    place = str(study.user_attrs[EXPERIMENT]), str(study.user_attrs[PARENT_RUN])
    best = ranked(study)[0].number
    here = f"{dashboard}/dashboard/studies/{study._study_id}"
    photograph(f"{mlflow}{view_path(*place)}", "mlflow-charts.png", (1400, 1250), MLFLOW)
    photograph(f"{mlflow}{view_path(*place, charts=False)}", "mlflow-runs.png", (1400, 900), MLFLOW)
    photograph(here, "dashboard-study.png", (1400, 1250))
    photograph(f"{here}/trials?numbers={best}", "dashboard-trial.png", (1400, 1400))


def shortened(text: str, folder: Path) -> str:
    """As a terminal of 80 columns breaks it, without folders that are nobody else's."""
    for mine in (folder.resolve(), Path(__file__).resolve().parents[1]):
        text = text.replace(f"{mine}/", "")
    lines = (line.rstrip() for line in text.splitlines())
    return "\n".join(line[at : at + 80] for line in lines for at in range(0, max(len(line), 1), 80))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else made))
