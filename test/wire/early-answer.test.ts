// Requests of HTTP/1.1 that Deno.serve answers before they have come whole.
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { describe, test } from "node:test";
import { listenerHere, useHarnesses } from "./harness.ts";

const skip = listenerHere !== "Deno.serve";
const where = skip ? " (skipped: the listener is not Deno.serve)" : "";

const { start } = useHarnesses();

/** To a path that is none: nobody asks for its body. */
const headOf = (bytes: number, more = "") =>
  `POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: ${bytes}\r\n${more}\r\n`;

function connect(port: number) {
  const socket = net.connect(port, "127.0.0.1").setMaxListeners(0);
  socket.setNoDelay(true);
  const failures: string[] = [];
  let said = "";
  socket
    .on("data", (chunk) => {
      said += chunk.toString("latin1");
    })
    .on("error", (error) => failures.push(error.message));
  const answers = () => said.match(/HTTP\/1\.1 [0-9]{3} /g)?.length ?? 0;
  return {
    socket,
    failures,
    said: () => said,
    async answered(count: number): Promise<number> {
      while (answers() < count && !socket.destroyed) {
        await Promise.race([once(socket, "data"), once(socket, "close")]);
      }
      return answers();
    },
  };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe(`an answer that goes before its request has come whole${where}`, { skip }, () => {
  const refusals = {
    "a path that is none": "",
    "headers that are too large": `padding: ${"x".repeat(3_000)}\r\n`,
  };
  for (const [title, more] of Object.entries(refusals)) {
    for (const [bytes, pieces] of [
      [5, 1],
      [5, 5],
      [60_000, 6],
      [2_000_000, 20],
    ] as const) {
      test(`DN7 ${title}: the rest may come later, and the next request behind it: ${bytes} bytes in ${pieces}`, async () => {
        const { port, reported } = await start({ limits: { headerBytes: 2_048 } });
        const { socket, answered, failures, said } = connect(port);
        for (let count = 1; count <= 10; count++) {
          socket.write(headOf(bytes, more));
          assert.equal(await answered(count), count);
          for (let piece = 0; piece < pieces; piece++) {
            socket.write(new Uint8Array(bytes / pieces));
            await pause(1);
          }
        }
        assert.doesNotMatch(said(), /connection: close/i);
        assert.deepEqual(failures, []);
        assert.deepEqual(reported, []);
        socket.destroy();
      });
    }
  }

  test("DN7 a client that goes in the middle of it harms nobody", async () => {
    const { port, reported } = await start();
    const gone = connect(port);
    gone.socket.write(`${headOf(5)}he`);
    await gone.answered(1);
    gone.socket.resetAndDestroy();
    const next = connect(port);
    next.socket.write(`${headOf(2)}ab`);
    assert.equal(await next.answered(1), 1);
    next.socket.destroy();
    assert.deepEqual(reported, []);
  });
});
