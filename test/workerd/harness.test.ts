import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { missingWorkerd, Workerd } from "./harness.ts";

const told = z.object({ kept: z.number(), heard: z.number() });
const note = missingWorkerd === "" ? "" : ` (skipped: ${missingWorkerd})`;

describe(`workerd under test${note}`, { skip: missingWorkerd !== "" }, () => {
  let workerd: Workerd;
  before(async () => {
    const entry = fileURLToPath(new URL("counter-worker.ts", import.meta.url));
    workerd = await Workerd.start({ entry, objects: { COUNTERS: "Counter" } });
  });
  after(() => workerd.dispose());

  const count = async (path: string) => told.parse(await (await fetch(`${workerd.url}${path}`)).json());

  test("objects keep what they wrote, and forget the rest, when they are evicted, aborted or killed", async () => {
    assert.deepEqual(await count("/a"), { kept: 1, heard: 1 });
    assert.deepEqual(await count("/a"), { kept: 2, heard: 2 });
    await workerd.evict();
    assert.deepEqual(await count("/a"), { kept: 3, heard: 1 });
    await workerd.abortObjects();
    assert.deepEqual(await count("/a"), { kept: 4, heard: 1 });
    const { url } = workerd;
    await workerd.restart();
    assert.equal(workerd.url, url);
    assert.deepEqual(await count("/a"), { kept: 5, heard: 1 });
    assert.deepEqual(await count("/b"), { kept: 1, heard: 1 });
  });

  test("a hibernatable socket outlives its object's memory", async () => {
    const socket = new WebSocket(`${workerd.url.replace("http", "ws")}/c`);
    const heard: string[] = [];
    let next = () => {};
    socket.onmessage = ({ data }) => {
      heard.push(String(data));
      next();
    };
    const say = (word: string) =>
      new Promise<void>((resolve) => {
        next = resolve;
        socket.send(word);
      });
    await new Promise((resolve) => {
      socket.onopen = resolve;
    });
    await say("one");
    await workerd.evict();
    await say("two");
    assert.deepEqual(heard, ["one 2", "two 1"]);
    socket.close();
  });
});
