import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { startRelay, type TestRelay } from "../relay/harness.ts";

const program = join(import.meta.dirname, "fixtures/official-client.mjs");
const node = join(import.meta.dirname, "../../node_modules/node/bin/node");

interface Line {
  readonly message?: { readonly welcome?: unknown; readonly custom?: unknown };
  readonly response?: { readonly replies?: readonly { readonly ack?: unknown; readonly fault?: { reason: string } }[] };
  readonly error?: { readonly code: number; readonly message: string; readonly reason?: string };
  readonly refused?: { readonly code: number; readonly message: string; readonly reason?: string };
  readonly end?: boolean;
}

/** The official client in a process of its own, and what it has told that no test has taken yet. */
class OfficialClient {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(runtime: string, relay: TestRelay, token: string) {
    this.#process = spawn(runtime, [program, relay.url, token, "demo"], { stdio: ["pipe", "pipe", "inherit"] });
    if (this.#process.stdout === null) throw new Error("the client has no output");
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  /** The next line that is of this kind; what comes before it is dropped. */
  async take(is: (line: Line) => boolean): Promise<Line> {
    for (;;) {
      const { done, value } = await this.#lines.next();
      if (done) throw new Error("the client is gone");
      const line: Line = JSON.parse(value);
      if (is(line)) return line;
    }
  }

  publish(messages: readonly unknown[]): void {
    this.#process.stdin?.write(`${JSON.stringify({ sessionId: "demo", clientId: "official", messages })}\n`);
  }

  async leave(): Promise<number | null> {
    this.#process.stdin?.end();
    if (this.#process.exitCode !== null) return this.#process.exitCode;
    return await new Promise((resolve) => this.#process.on("exit", resolve));
  }

  kill(): void {
    this.#process.kill();
  }
}

const custom = (type: string, clientSeq: number) => ({ clientSeq, custom: { type } });

for (const [name, runtime] of [
  ["Node", node],
  ["Bun", process.execPath],
] as const) {
  describe(`the official grpc-web client in text mode, on ${name}`, () => {
    test("WT6 gets each message as it comes, and publishes", async () => {
      const relay = await startRelay();
      const client = new OfficialClient(runtime, relay, await relay.token());
      try {
        await client.take(({ message }) => message?.welcome !== undefined);
        // Each is sent when the one before has come: nothing that waits for the stream's end gets further.
        const other = await relay.join({ as: "bob" });
        await other.take("welcome");
        for (let n = 1; n <= 3; n++) {
          other.send({ case: "custom", value: { type: `n${n}`, data: new Uint8Array(n) } }, { clientSeq: BigInt(n) });
          const { message } = await client.take((line) => line.message?.custom !== undefined);
          assert.deepEqual(message?.custom, { type: `n${n}`, data: Buffer.alloc(n).toString("base64") });
        }
        client.publish([custom("own", 1)]);
        const { response } = await client.take((line) => line.response !== undefined);
        assert.equal(response?.replies?.length, 1);
        assert.notEqual(response?.replies?.[0]?.ack, undefined);
        const own = await other.takeMessage("custom", ({ userId }) => userId === "alice");
        assert.equal(own.clientId, "official");
        assert.equal(await client.leave(), 0);
      } finally {
        client.kill();
        await relay.stop();
      }
    });

    test("WT6 is told how a stream and a call end: status, text, and the Fault in the details", async () => {
      const relay = await startRelay();
      const client = new OfficialClient(runtime, relay, await relay.token({ sessions: ["another"] }));
      try {
        const { error } = await client.take((line) => line.error !== undefined);
        assert.deepEqual([error?.code, error?.reason], [7, "SESSION_FORBIDDEN"]);
        assert.match(error?.message ?? "", /does not name this session/);
        client.publish([custom("own", 1)]);
        const { refused } = await client.take((line) => line.refused !== undefined);
        assert.deepEqual([refused?.code, refused?.reason], [7, "SESSION_FORBIDDEN"]);
        await client.leave();
      } finally {
        client.kill();
        await relay.stop();
      }
    });
  });
}
