"""Starts real `hypevo` processes in milliseconds: imports everything once, then forks a driver per line of its input.

In: a line of JSON, {"argv": […], "cwd": …, "log": …, "picture": false} to start a driver that draws no pictures,
which takes longer than all the rest; {"wait": pid} to wait for one.
Out: a line with the driver's pid, or with its exit code (negative for a signal).
"""

import json
import os
import sys
import traceback


def main() -> None:
    import hypevo.evolution.evolve  # noqa: F401 - with optuna and mlflow: some seconds
    from hypevo.cli.app import main as command

    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
        else:
            answer = os.fork() or drive(command, **order)
        print(answer, flush=True)


def drive(command, argv, cwd, log, picture, environ) -> None:
    os.setsid()
    os.environ.update(environ)
    os.chdir(cwd)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if not picture:
        sys.modules["hypevo.study.exports"].save = lambda path, *_: path.write_bytes(b"")
    sys.argv = ["hypevo", *argv]
    code = 70
    try:
        command()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - as the interpreter does at its end
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
