import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { StartError } from "../../src/runtime/start-error.ts";
import { listen, listenerHere, startHarness } from "./harness.ts";
import { openH2 } from "./raw.ts";

const fetch = () => new Response("here");

async function startErrorOf(host: string, port: number): Promise<string> {
  try {
    await (await listen(listenerHere, { host, port, fetch })).stop(0);
  } catch (error) {
    assert.ok(error instanceof StartError, String(error));
    return error.message;
  }
  return "it listens";
}

describe("listening", () => {
  test("WR22 a port in use is a StartError that names it and says what to do", async () => {
    const first = await listen(listenerHere, { fetch });
    const port = Number(new URL(first.url).port);
    assert.match(
      await startErrorOf("127.0.0.1", port),
      new RegExp(`127.0.0.1:${port}: something else does already; .*BATON_PORT`),
    );
    await first.stop(0);
    assert.equal(await startErrorOf("127.0.0.1", port), "it listens");
  });

  test("WR22 an address that is not this machine's is a StartError", async () => {
    assert.match(await startErrorOf("192.0.2.1", 0), /^cannot listen on 192\.0\.2\.1:0/);
  });

  test("WR23 a stop cuts the streams that are still open when its time is up", async () => {
    const harness = await startHarness();
    const called = harness.nextCall();
    const { stream, connection } = openH2(harness.url);
    stream.write(new Uint8Array(5));
    const seen = await called;
    await harness.stop();
    await seen.handled;
    assert.equal(seen.aborts, 1);
    connection.destroy();
  });
});
