import assert from "node:assert/strict";
import { test } from "node:test";
import type { RedisConnection } from "../../src/durable/redis-connection.ts";
import { createSseLines } from "../../src/durable/sse-lines.ts";
import { createRandom } from "../support/random.ts";
import { describeWithRedis } from "../support/redis-server.ts";
import { canaryToken, until, useUpstash } from "./upstash-place.ts";

/** What a listener of a channel hears. */
function listen(connection: RedisConnection, channel: string) {
  const heard: string[] = [];
  const counts = { opened: 0 };
  const end = connection.subscribe(channel, {
    open: () => void counts.opened++,
    message: (text) => void heard.push(text),
  });
  return { heard, counts, end };
}

describeWithRedis("subscriptions over REST", () => {
  const place = useUpstash();

  test("UP12 one stream hears all channels, however many, and commands go on beside it", async () => {
    const connection = place.connect();
    const before = place.bridge.streams.opened;
    // More than Bun's fetch has under way at once.
    const listeners = Array.from({ length: 300 }, (_, i) => listen(connection, `{baton:}c/${i}`));
    await until(() => listeners.every(({ counts }) => counts.opened === 1));
    for (const i of [0, 299]) await connection.command("PUBLISH", `{baton:}c/${i}`, `for ${i}`);
    await until(() => listeners[299]?.heard.length === 1);
    assert.deepEqual(
      listeners.flatMap(({ heard }) => heard),
      ["for 0", "for 299"],
    );
    assert.equal(place.bridge.streams.opened, before + 1);
    for (const { end } of listeners) end();
    await until(() => place.bridge.streams.living === 0);
  });

  test("UP12 each listener of a channel hears each message once, in order, until it ends", async () => {
    const connection = place.connect();
    const [first, second, other] = [
      listen(connection, "baton:a"),
      listen(connection, "baton:a"),
      listen(connection, "baton:b"),
    ];
    await until(() => second.counts.opened === 1 && other.counts.opened === 1);
    for (const text of ["1", "with, commas,,", ' {"a": "ü😀"}', ""])
      await connection.command("PUBLISH", "baton:a", text);
    await until(() => second.heard.length === 4);
    assert.deepEqual(first.heard, ["1", "with, commas,,", ' {"a": "ü😀"}', ""]);
    assert.deepEqual(second.heard, first.heard);
    first.end();
    first.end();
    await connection.command("PUBLISH", "baton:a", "later");
    await connection.command("PUBLISH", "baton:b", "last");
    await until(() => other.heard.length === 1);
    assert.deepEqual([first.heard.length, second.heard.length], [4, 5]);
  });

  test("UP12 one that throws keeps neither the others nor the stream from going on", async () => {
    const connection = place.connect();
    connection.subscribe("baton:a", {
      open() {
        throw new Error("a listener's own fault");
      },
      message() {
        throw new Error("a listener's own fault");
      },
    });
    const sound = listen(connection, "baton:a");
    await until(() => sound.counts.opened === 1);
    await connection.command("PUBLISH", "baton:a", "1");
    await connection.command("PUBLISH", "baton:a", "2");
    await until(() => sound.heard.length === 2);
  });

  test("UP12 two subscriptions with one listener are two, and one that another has ended hears no more", async () => {
    const connection = place.connect();
    const heard: string[] = [];
    let opened = 0;
    const ends: (() => void)[] = [];
    const listener = { open: () => void opened++, message: (text: string) => void heard.push(text) };
    ends.push(connection.subscribe("baton:a", listener), connection.subscribe("baton:a", listener));
    await until(() => opened === 2);
    await connection.command("PUBLISH", "baton:a", "twice");
    await until(() => heard.length === 2);
    ends[0]?.();
    const ending = { open() {}, message: () => ends[2]?.() };
    connection.subscribe("baton:a", ending);
    ends.push(connection.subscribe("baton:a", { open() {}, message: (text) => void heard.push(`ended ${text}`) }));
    await connection.command("PUBLISH", "baton:a", "once");
    await connection.command("PUBLISH", "baton:a", "last");
    await until(() => heard.includes("last"));
    assert.deepEqual(heard, ["twice", "twice", "once", "last"]);
  });

  test("UP13 who comes later is told that the subscription is open; who left is told nothing", async () => {
    const connection = place.connect();
    const early = listen(connection, "baton:a");
    await until(() => early.counts.opened === 1);
    const late = listen(connection, "baton:a");
    const gone = listen(connection, "baton:a");
    gone.end();
    assert.equal(late.counts.opened, 0);
    await until(() => late.counts.opened === 1);
    assert.deepEqual([early.counts.opened, gone.counts.opened], [1, 0]);
    await connection.command("PUBLISH", "baton:a", "1");
    await until(() => late.heard.length === 1);
    assert.equal(gone.heard.length, 0);
  });

  const ends: Record<string, () => void> = {
    "that ends": () => place.bridge.streams.end(),
    "whose connection breaks": () => place.bridge.streams.reset(),
    "that falls silent": () => place.bridge.streams.stall(),
    "that sends a line without an end": () => place.bridge.streams.write(`data: ${"x".repeat(1_100_000)}`),
  };
  for (const [name, end] of Object.entries(ends)) {
    test(`UP14 a stream ${name} is opened again, and those who listen are told`, async () => {
      const connection = place.connect();
      const listener = listen(connection, "baton:a");
      await until(() => listener.counts.opened === 1);
      for (const round of [1, 2]) {
        end();
        await until(() => listener.counts.opened === round + 1);
        await connection.command("PUBLISH", "baton:a", `after ${round}`);
        await until(() => listener.heard.length === round);
      }
      assert.deepEqual(listener.heard, ["after 1", "after 2"]);
    });
  }

  test("UP14 one that is refused is tried again, until it is not", async () => {
    const connection = place.connect();
    place.bridge.token = "another";
    const listener = listen(connection, "baton:a");
    await new Promise((resolve) => setTimeout(resolve, 100));
    place.bridge.streamFaults.refuse = 429;
    place.bridge.token = canaryToken;
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(listener.counts.opened, 0);
    delete place.bridge.streamFaults.refuse;
    await until(() => listener.counts.opened === 1);
  });

  test("UP14 one that is quiet and lives is kept, by what the relay publishes itself", async () => {
    const connection = place.connect();
    const listener = listen(connection, "baton:a");
    await until(() => listener.counts.opened === 1);
    place.bridge.requests.splice(0);
    await until(() => place.bridge.requests.length >= 5);
    assert.ok(place.bridge.requests.every(({ command }) => command.join(" ") === "PUBLISH baton:ping "));
    assert.deepEqual([listener.counts.opened, listener.heard.length], [1, 0]);
  });

  test("UP14 a connection that is closed leaves no stream, whatever it was about to do", async () => {
    for (const waitMs of [0, 1, 5, 50]) {
      const connection = place.connect();
      listen(connection, "baton:a");
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      await connection.close();
      const late = listen(connection, "baton:a");
      late.end();
    }
    await until(() => place.bridge.streams.living === 0);
    const { opened } = place.bridge.streams;
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(place.bridge.streams.opened, opened);
  });

  for (const endOfLine of ["\n", "\n\n", "\r\n\r\n"] as const) {
    test(`UP15 events are read in whatever pieces they come, with ${JSON.stringify(endOfLine)} behind each`, async () => {
      place.bridge.streamFaults.endOfLine = endOfLine;
      place.bridge.streamFaults.isSliced = true;
      place.bridge.streamFaults.deliver = (line) => [": a comment", "event: x", "data: of,another,kind", line];
      const connection = place.connect();
      const listener = listen(connection, "baton:a");
      await until(() => listener.counts.opened === 1);
      for (const text of ["é😀", "2"]) await connection.command("PUBLISH", "baton:a", text);
      await until(() => listener.heard.length === 2);
      assert.deepEqual(listener.heard, ["é😀", "2"]);
    });
  }

  test("UP15 lines are the same however they are cut; one that is too long is refused before it is kept", () => {
    const random = createRandom(7);
    const texts = Array.from({ length: 300 }, () => "é😀,a".repeat(Math.floor(random() * 8)));
    const bytes = new TextEncoder().encode(
      texts.map((text) => `data: ${text}\n${random() < 0.5 ? "\n: x\n" : ""}`).join(""),
    );
    for (let round = 0; round < 20; round++) {
      const heard: string[] = [];
      const lines = createSseLines(100, (text) => heard.push(text));
      for (let at = 0; at < bytes.length; ) {
        const next = at + 1 + Math.floor(random() * 40);
        lines.feed(bytes.subarray(at, next));
        at = next;
      }
      assert.deepEqual(heard, texts);
    }
    const bounded = createSseLines(10, () => {});
    bounded.feed(new TextEncoder().encode("data: 1234\ndata: 123"));
    assert.throws(() => bounded.feed(new TextEncoder().encode("45")), RangeError);
  });
});
