// Whether a stream that nobody reads stalls the others of its connection. It is what the runtime does, not the relay;
// where this changes, docs/operate.md has to change too.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { encodeFrame } from "../../src/relay/wire/envelope.ts";
import { runtimeName } from "../../src/runtime/this-runtime.ts";
import { connectBareH2 } from "./bare-h2.ts";
import { customMessage, type Harness, heartbeat, listenerHere, startHarness } from "./harness.ts";

const block = encodeFrame(SessionMessageSchema, customMessage("block", new Uint8Array(16_000)), "binary");
/** What every stream begins with. */
const windowBytes = 65_535;

const titles = { bun: "Bun", node: "Node", deno: "Deno" };
const stalls: Readonly<Record<string, boolean>> = {
  "Bun.serve on Bun": false,
  // https://github.com/oven-sh/bun/issues/43422, seen on Bun 1.4.5.
  "node:http2 on Bun": true,
  "node:http2 on Node": false,
  "node:http2 on Deno": false,
};

let harness: Harness;
before(async () => {
  harness = await startHarness({
    session: ({ signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve())),
  });
});
after(() => harness.stop());

const patienceMs = 1_500;
async function comes(condition: () => boolean): Promise<boolean> {
  for (const deadline = Date.now() + patienceMs; Date.now() < deadline; ) {
    if (condition()) return true;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
}

async function openCall(connection: ReturnType<typeof connectBareH2>, streamId: number) {
  const called = harness.nextCall();
  const stream = connection.open(streamId);
  const { call } = await called;
  return { ...stream, outlet: call.outlet };
}

const title = `${listenerHere} on ${titles[runtimeName]}`;
test(`LS2 an unread stream ${stalls[title] ? "stalls" : "does not stall"} the others of its connection: ${title}`, async () => {
  const connection = connectBareH2(harness.port);
  connection.openWindow();
  const unread = await openCall(connection, 1);
  const other = await openCall(connection, 3);
  other.openWindow();
  other.outlet.write(block);
  assert.ok(await comes(() => other.received().length === block.length));

  while (unread.outlet.write(block) === undefined);
  assert.ok(await comes(() => unread.received().length === windowBytes));
  other.outlet.write(block);
  const wentOn = await comes(() => other.received().length === 2 * block.length);
  assert.equal(!wentOn, stalls[title]);
  // Whatever comes from the client sets it going again.
  other.send(encodeFrame(SessionMessageSchema, heartbeat, "binary"));
  assert.ok(await comes(() => other.received().length === 2 * block.length));
  connection.socket.destroy();
});
