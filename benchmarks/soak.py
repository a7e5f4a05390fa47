"""Mixed good, bad, slow and cut-off requests to the local server for a long time: wrong answers, refusals, memory.

    python benchmarks/soak.py saved_models/head [--minutes 20] [--clients 64]

Every good answer is compared with the answer that its texts get alone, as in `serve_load.py`. Every refusal has to have
TensorFlow Serving's shape, `{"error": "..."}`, and one of the statuses expected for what was sent. Prints a Markdown table with
a row for each minute; the exit status is 1 if an answer was wrong or the server ended.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter

import aiohttp
from serve_load import body, memory, predictions, right

from tfner.demo.corpus import demo_corpus

BAD = {
    b"": {400},
    b"{": {400},
    b'{"instances": 1}': {400},
    b'{"instances": [1]}': {400},
    b'{"instances": ["\xff"]}': {400},
    b'{"instances": ["\\ud800"]}': {400},
    b'{"inputs": {"text": []}}': {400},
    b'{"signature_name": "x", "instances": ["a"]}': {400},
    b'{"signature_name": "pieces", "inputs": {"input_ids": [[-1]], "attention_mask": [[1]]}}': {400},
    b'{"signature_name": "pieces", "inputs": {"input_ids": [[999999999]], "attention_mask": [[1]]}}': {400},
    b"[" * 100_000: {400},
    b'{"instances": ["' + b"a" * 200_000 + b'"]}': {400},
    b'{"instances": [' + b'"a",' * 6000 + b'"a"]}': {400},
    b" " * 5_000_000: {413},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of an exported model")
    parser.add_argument("--minutes", type=int, default=20, help="how long [20]")
    parser.add_argument("--clients", type=int, default=64, help="concurrent clients [64]")
    parser.add_argument("--runtime", default="auto", help="what runs the model [auto]")
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "tfner.serve", "--port", "0", "--max-seconds", "5", "--runtime", arguments.runtime]
    process = subprocess.Popen([*command, arguments.model], stdout=subprocess.PIPE, text=True)
    try:
        address = next(line.split()[1] for line in process.stdout if line.startswith("REST "))
        wrong = asyncio.run(soak(address, process, arguments))
    finally:
        process.terminate()
        process.wait()
    raise SystemExit(bool(wrong))


async def soak(address: str, process: subprocess.Popen, arguments: argparse.Namespace) -> int:
    """Sends requests until the time is over. Returns the number of wrong answers."""
    sentences = [" ".join(sentence.words) for sentence in demo_corpus().splits["test"][:150]]
    texts = [*sentences, "", " ", "😀 " + sentences[0], " ".join(sentences[:40])]
    counts: Counter[str] = Counter()
    end = time.monotonic() + 60 * arguments.minutes
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def asked(data: bytes) -> tuple[int, bytes]:
            async with session.post(address, data=data) as response:
                return response.status, await response.read()

        known = [predictions((await asked(body([text])))[1])[0] for text in texts]

        async def good(generator: random.Random) -> None:
            pick = generator.choices(range(len(texts)), k=generator.choice([1, 1, 1, 2, 4]))
            status, answer = await asked(body([texts[i] for i in pick]))
            if status == 503:
                counts["busy"] += 1
            elif status != 200 or not right(predictions(answer), [known[i] for i in pick]):
                counts["wrong"] += 1
                print(f"wrong: {status} {answer[:200]!r}", file=sys.stderr)
            else:
                counts["good"] += 1

        async def bad(generator: random.Random) -> None:
            data = generator.choice(list(BAD))
            status, answer = await asked(data)
            fits = status in BAD[data] and json.loads(answer).keys() == {"error"}
            counts["refused" if fits else "wrong"] += 1
            if not fits:
                print(f"wrong: {status} {answer[:200]!r} for {data[:60]!r}", file=sys.stderr)

        async def rude(generator: random.Random) -> None:
            host, port = address.split("/")[2].split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            path = address.split(":", 2)[2].partition("/")[2]
            head = f"POST /{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n".encode()
            for block in (head[: generator.randrange(len(head))], head, b'{"instances": ["Nice'):
                writer.write(block)
                await asyncio.sleep(generator.random() * 0.05)
                if generator.random() < 0.4:
                    break
            if generator.random() < 0.1:  # hold the connection until the server gives up
                await asyncio.wait_for(reader.read(), 30)
                counts["slow"] += 1
            writer.close()
            counts["cut off"] += 1

        async def client(number: int) -> None:
            generator = random.Random(number)
            while time.monotonic() < end and process.poll() is None:
                try:
                    await generator.choices([good, bad, rude], [80, 10, 10])[0](generator)
                except (OSError, aiohttp.ClientError) as error:
                    counts[f"lost: {type(error).__name__}"] += 1

        tasks = [asyncio.create_task(client(number)) for number in range(arguments.clients)]
        names = ["minute", "good", "refused", "cut off", "held", "busy", "lost", "wrong", "RSS MiB"]
        print(f"| {' | '.join(names)} |\n{'|---' * len(names)}|")
        for minute in range(arguments.minutes + 1):
            lost = sum(number for name, number in counts.items() if name.startswith("lost"))
            row = [counts[name] for name in ("good", "refused", "cut off", "slow", "busy")]
            print("| " + " | ".join(map(str, [minute, *row, lost, counts["wrong"], memory(process.pid)])) + " |", flush=True)
            await asyncio.sleep(max(0.0, min(60.0, end - time.monotonic())))
        await asyncio.gather(*tasks)
    if process.poll() is not None:
        print(f"the server ended with {process.returncode}", file=sys.stderr)
        counts["wrong"] += 1
    print({name: number for name, number in counts.items() if name.startswith("lost")})
    return counts["wrong"]


if __name__ == "__main__":
    main()
