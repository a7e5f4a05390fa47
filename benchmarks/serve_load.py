"""Puts the local server under load and measures its speed, wrong answers and memory.

    pip install -e '.[serve]' aiohttp
    python benchmarks/serve_load.py saved_models/head [--requests 10000] [--clients 1 8 64] [--json load.json]

Starts `python -m tfner.serve` on the model and sends sentences of the embedded corpus, 1 to 4 in a request; some texts are
empty and some are long. Each text is first tagged alone. Every answer under load is compared with that answer: scores may
differ by --tolerance, everything else has to be equal, and the padding must not exceed the longest text of the request. An
answer that belongs to another request therefore counts as wrong. The requests are written before the clock starts and the
answers read after it stops, as the clients share the machine with the server. Prints a Markdown table, then JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import aiohttp

from tfner.demo.corpus import demo_corpus


def main() -> None:
    """Runs the server, measures it and prints the figures. The exit status is 1 if an answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of an exported model")
    parser.add_argument(
        "--requests", type=int, default=10_000, help="total number of requests, split equally between the runs [10000]"
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64], help="concurrent clients of each run [1 8 64]")
    parser.add_argument("--runtime", default="auto", help="what runs the model [auto]")
    parser.add_argument(
        "--tolerance", type=float, default=1e-4, help="how far a score may differ from that of its text alone [1e-4]"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file too")
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "tfner.serve", "--port", "0", "--runtime", arguments.runtime, arguments.model]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = next(line.split()[1] for line in process.stdout if line.startswith("REST "))
        figures = asyncio.run(measure(address, process.pid, arguments))
    finally:
        process.terminate()
        process.wait()
    print("| clients | requests | requests/s | texts/s | p50 ms | p99 ms | wrong | RSS after, MiB |")
    print("|---|---|---|---|---|---|---|---|")
    for run in figures["runs"]:
        print("| " + " | ".join(str(value) for value in run.values()) + " |")
    print(json.dumps(figures, indent=2))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    raise SystemExit(any(run["wrong"] for run in figures["runs"]))


async def measure(address: str, process: int, arguments: argparse.Namespace) -> dict:
    """Measures one run for each number of clients. `process` is the process id of the server."""
    generator = random.Random(1)
    sentences = [" ".join(sentence.words) for sentence in demo_corpus().splits["test"][:150]]
    texts = [*sentences, "", " ", "😀 " + sentences[0], " ".join(sentences[:40])]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        known = [predictions(await ask(session, address, body([text])))[0] for text in texts]
        before, runs = memory(process), []
        load = os.getloadavg()[0]
        for clients in arguments.clients:
            number = -(-arguments.requests // len(arguments.clients))
            picks = [generator.choices(range(len(texts)), k=generator.choice([1, 1, 1, 2, 4])) for _ in range(number)]
            runs.append(await run(session, address, clients, picks, texts, known, process, arguments.tolerance))
    return {"model": arguments.model, "cores": os.cpu_count(), "load_before": load, "rss_before_mib": before, "runs": runs}


async def run(session, address, clients, picks, texts, known, process, tolerance) -> dict:
    """Sends all requests and compares the answers. Each client waits for its answer before it sends the next request."""
    queue, seconds, answers = iter([(i, body([texts[j] for j in pick])) for i, pick in enumerate(picks)]), [], {}

    async def client() -> None:
        for number, sent in queue:
            began = time.perf_counter()
            answers[number] = await ask(session, address, sent)
            seconds.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    took = time.perf_counter() - began
    seconds.sort()
    wrong = sum(not right(predictions(answers[i]), [known[j] for j in pick], tolerance) for i, pick in enumerate(picks))
    return {
        "clients": clients,
        "requests": len(seconds),
        "requests_per_second": round(len(seconds) / took, 1),
        "texts_per_second": round(sum(map(len, picks)) / took, 1),
        "p50_ms": round(1000 * seconds[len(seconds) // 2], 1),
        "p99_ms": round(1000 * seconds[len(seconds) * 99 // 100], 1),
        "wrong": wrong,
        "rss_mib": memory(process),
    }


def body(texts: list[str]) -> bytes:
    """A request for the predictions of texts."""
    return json.dumps({"instances": texts}).encode()


async def ask(session, address, sent: bytes) -> bytes:
    """The answer to a request."""
    async with session.post(address, data=sent) as response:
        answer = await response.read()
        assert response.status == 200, answer
        return answer


def predictions(answer: bytes) -> list[dict]:
    """The predictions in an answer, one for each text."""
    return json.loads(answer)["predictions"]


def right(rows: list[dict], known: list[dict], tolerance: float = 1e-4) -> bool:
    """Whether rows equal those of their texts alone, apart from padding to the longest text."""
    widths = {kind: max(one[f"{kind}_count"] for one in known) for kind in ("entity", "word")}
    return len(rows) == len(known) and all(
        row.keys() == one.keys() and all(same(name, row[name], one[name], widths, tolerance) for name in row)
        for row, one in zip(rows, known, strict=True)
    )


def same(name: str, value, alone, widths: dict[str, int], tolerance: float) -> bool:
    """Whether an output equals the one of the text alone, padded to the width of its kind."""
    if not isinstance(value, list):
        return value == alone
    padding = value[len(alone) :]
    if len(value) != widths[name.split("_")[0]] or any(item not in (0, "") for item in padding):
        return False
    if name.endswith("score"):
        return all(abs(one - other) <= tolerance for one, other in zip(value, alone, strict=False))
    return value[: len(alone)] == alone


def memory(process: int) -> float:
    """Resident memory of a process in MiB (Linux only)."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


if __name__ == "__main__":
    main()
