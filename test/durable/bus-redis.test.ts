import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createRedisBus, type RedisBus } from "../../src/durable/bus-redis.ts";
import type { RedisConnection, RedisReply } from "../../src/durable/redis-connection.ts";
import { connectRedisTcp } from "../../src/durable/redis-tcp.ts";
import type { BusMessage } from "../../src/durable/session-bus.ts";
import { describeWithRedis, startRedis, type TestRedis } from "../support/redis-server.ts";
import { until, useUpstash } from "./upstash-place.ts";

const prefix = "baton:";
const supersede = (generation: number, clientId = "laptop"): BusMessage => ({
  kind: "supersede",
  client: { userId: "alice", clientId },
  generation,
});
const generationOf = (message: BusMessage) => (message.kind === "supersede" ? message.generation : Number.NaN);

/** Subscribes, and resolves once what is published elsewhere is heard. */
async function join(bus: RedisBus, by: RedisBus, sessionId: string) {
  const heard: number[] = [];
  const leave = bus.subscribe(sessionId, (message) => {
    if (generationOf(message) !== greeting) heard.push(generationOf(message));
    else isThere = true;
  });
  let isThere = false;
  await until(() => {
    by.publish(sessionId, supersede(greeting));
    return isThere;
  });
  return { heard, leave };
}
const greeting = 1_000_000;

/** What every bus over a Redis keeps, whichever way to it is taken. */
function describeRedisBus(name: string, connect: () => Promise<RedisConnection>) {
  describe(`bus over ${name}`, () => {
    const open = async (instanceId: string) => {
      const connection = await connect();
      return createRedisBus(connection, { prefix, instanceId });
    };

    test("BU2 all other instances hear each message once, in the order of its publisher; the publisher does not", async () => {
      const [a, b, c] = [await open("a"), await open("b"), await open("c")];
      const [inB, inC, inA] = [await join(b, a, "s"), await join(c, a, "s"), await join(a, b, "s")];
      const numbers = Array.from({ length: 500 }, (_, i) => i + 1);
      for (const number of numbers) a.publish("s", supersede(number));
      await until(() => inB.heard.length >= 500 && inC.heard.length >= 500);
      assert.deepEqual(inB.heard, numbers);
      assert.deepEqual(inC.heard, numbers);
      b.publish("s", supersede(501));
      await until(() => inA.heard.length > 0);
      assert.deepEqual(inA.heard, [501]);
      assert.deepEqual(a.counts, { lost: 0, damaged: 0, unknown: 0 });
      assert.deepEqual(b.counts, { lost: 0, damaged: 0, unknown: 0 });
      for (const bus of [a, b, c]) bus.close();
    });

    test("BU2 an announcement is heard by all other instances that listen, whatever sessions they have", async () => {
      const [a, b] = [await open("a"), await open("b")];
      const heard: string[] = [];
      b.listen(({ kind }) => heard.push(kind));
      b.subscribe("bus", () => heard.push("a session's"));
      a.listen(({ kind }) => heard.push(`own ${kind}`));
      await until(() => {
        a.announce({ kind: "revoked" });
        return heard.length > 0;
      });
      assert.deepEqual(new Set(heard), new Set(["revoked"]));
      for (const bus of [a, b]) bus.close();
    });

    test("BU3 a subscriber hears its session alone, whatever its name, and nothing once it has left", async () => {
      const [a, b] = [await open("a"), await open("b")];
      const ids = [
        "s",
        "S",
        "s/1",
        "s.1",
        "s_2f1",
        "s%002f1",
        "*",
        "s*",
        "{s}",
        "a,b",
        "a\nb",
        "é",
        "😀",
        "",
        "__proto__",
      ];
      const rooms = new Map<string, { readonly heard: number[]; readonly leave: () => void }>();
      for (const id of ids) rooms.set(id, await join(b, a, id));
      for (const [index, id] of ids.entries()) a.publish(id, supersede(index + 1));
      await until(() => [...rooms.values()].every(({ heard }) => heard.length > 0));
      assert.deepEqual(
        [...rooms.values()].map(({ heard }) => heard),
        ids.map((_, index) => [index + 1]),
      );
      rooms.get("s")?.leave();
      rooms.get("s")?.leave();
      a.publish("s", supersede(100));
      a.publish("S", supersede(101));
      await until(() => rooms.get("S")?.heard.includes(101) === true);
      assert.deepEqual(rooms.get("s")?.heard, [1]);
      for (const bus of [a, b]) bus.close();
    });
  });
}

describeWithRedis("bus between instances", () => {
  const place = useUpstash();
  describeRedisBus("REST", async () => place.connect());

  let redis: TestRedis;
  const opened: RedisConnection[] = [];
  before(async () => {
    redis = await startRedis();
  });
  after(async () => {
    for (const connection of opened) await connection.close();
    await redis.dispose();
  });
  describeRedisBus("TCP", async () => {
    const connection = await connectRedisTcp({ url: redis.url });
    opened.push(connection);
    return connection;
  });

  test("BU4 what Redis does not take is lost and counted, and not sent again; what comes behind it goes out", async () => {
    const [a, b] = ["a", "b"].map((instanceId) => createRedisBus(place.connect(), { prefix, instanceId }));
    assert.ok(a !== undefined && b !== undefined);
    const { heard } = await join(b, a, "s");
    // Its order says that nothing is under way any more.
    a.publish("s", supersede(7));
    await until(() => heard.length > 0);
    place.bridge.faults.push({ kind: "instead", status: 503, body: '{"error":"ERR unavailable"}' });
    a.publish("s", supersede(1));
    await until(() => a.counts.lost === 1);
    a.publish("s", supersede(2));
    await until(() => heard.length > 1);
    assert.deepEqual(heard, [7, 2]);
    a.close();
    b.close();
  });

  test("BU6 what is damaged on the way, or of a newer relay, is counted, and what comes behind it is heard", async () => {
    const connection = place.connect();
    const [a, b] = ["a", "b"].map((instanceId) => createRedisBus(place.connect(), { prefix, instanceId }));
    assert.ok(a !== undefined && b !== undefined);
    const { heard } = await join(b, a, "s");
    const letter = { v: 1, from: "x", messages: [{ kind: "new" }, { kind: "epoch-ended" }, supersede(1)] };
    for (const text of ["{", JSON.stringify(letter), JSON.stringify({ ...letter, from: "b" })]) {
      await connection.command("PUBLISH", "baton:bus:s", text);
    }
    a.publish("s", supersede(2));
    await until(() => heard.includes(2));
    assert.deepEqual(heard, [1, 2]);
    assert.deepEqual(b.counts, { lost: 0, damaged: 2, unknown: 1 });
    a.close();
    b.close();
  });

  test("BU7 messages that are doubled or come late on the way are handed on as they come, and those lost are lost", async () => {
    const [a, b] = ["a", "b"].map((instanceId) => createRedisBus(place.connect(), { prefix, instanceId }));
    assert.ok(a !== undefined && b !== undefined);
    const { heard } = await join(b, a, "s");
    const late: string[] = [];
    place.bridge.streamFaults.deliver = (line) => {
      if (line.includes('"generation":1}')) return [line, line];
      if (line.includes('"generation":2}')) return [];
      if (!line.includes('"generation":3}')) return [line, ...late.splice(0)];
      late.push(line);
      return [];
    };
    for (const generation of [1, 2, 3, 4]) {
      const { length } = place.bridge.requests;
      a.publish("s", supersede(generation));
      await until(() => place.bridge.requests.length > length);
    }
    await until(() => heard.includes(3));
    assert.deepEqual(
      heard.filter((generation) => generation < greeting),
      [1, 1, 4, 3],
    );
    assert.deepEqual(b.counts, { lost: 0, damaged: 0, unknown: 0 });
    a.close();
    b.close();
  });
});

describe("bus over a connection that stands still", () => {
  const stuck = () => {
    const sent: string[] = [];
    const channels: string[] = [];
    let release = () => {};
    const connection: RedisConnection = {
      run: () => assert.fail("no scripts are run"),
      command(_name, _channel = "", text = "") {
        sent.push(text);
        return new Promise<RedisReply>((resolve) => {
          release = () => resolve(1);
        });
      },
      subscribe(channel) {
        channels.push(channel);
        return () => channels.splice(channels.indexOf(channel), 1);
      },
      close: async () => {},
    };
    return { connection, sent, channels, release: () => release() };
  };

  test("BU4 a publish neither waits nor throws: what has no room is lost and counted", async () => {
    const { connection, sent } = stuck();
    const bus = createRedisBus(connection, { prefix, instanceId: "a" });
    const frame = new Uint8Array(300_000);
    const ephemeral = { kind: "ephemeral", sender: { userId: "u", clientId: "c" }, slot: "x", frame } as const;
    for (let i = 0; i < 50; i++) bus.publish(`s${i % 5}`, ephemeral);
    assert.equal(sent.length, 5);
    // Five are under way, and 4,000,000 characters hold nine that wait, of 400,000 each.
    assert.equal(bus.counts.lost, 50 - 5 - 9);
    bus.close();
    bus.publish("after the end", ephemeral);
    assert.equal(sent.length, 5);
    const other = createRedisBus(connection, { prefix, instanceId: "a" });
    other.publish("s", { ...ephemeral, frame: new Uint8Array(600_000) });
    assert.deepEqual([sent.length, other.counts.lost], [5, 1]);
    other.close();
  });

  test("SL11 a session of which too much is said takes a quarter of the room, and the others' messages go out", async () => {
    const { connection, sent, release } = stuck();
    const bus = createRedisBus(connection, { prefix, instanceId: "a" });
    const frame = new Uint8Array(150_000);
    const sender = { userId: "u", clientId: "c" };
    for (let i = 0; i < 50; i++) bus.publish("loud", { kind: "ephemeral", sender, slot: "x", frame });
    // One is under way, and 1,000,000 characters hold four that wait, of 200,000 each.
    assert.equal(bus.counts.lost, 50 - 1 - 4);
    bus.publish("quiet", supersede(1));
    bus.publish("quiet", supersede(2));
    assert.equal(bus.counts.lost, 50 - 1 - 4);
    release();
    await until(() => sent.some((text) => text.includes('"generation":2')));
    bus.close();
  });

  test("BU4 what gathers while a publish is under way goes out as one, in its order, and makes room", async () => {
    const { connection, sent, release } = stuck();
    const bus = createRedisBus(connection, { prefix, instanceId: "a" });
    for (let generation = 1; generation <= 10_000; generation++) bus.publish("s", supersede(generation));
    assert.equal(sent.length, 1);
    release();
    await until(() => sent.length === 2);
    const numbers = (text = "") => [...text.matchAll(/"generation":(\d+)/g)].map(([, number]) => Number(number));
    const second = numbers(sent[1]);
    assert.deepEqual(
      second,
      Array.from({ length: second.length }, (_, i) => i + 2),
    );
    assert.ok(second.length > 1_000 && (sent[1]?.length ?? 0) < 600_000, `${second.length} messages`);
    for (let count = 3; numbers(sent.at(-1)).at(-1) !== 10_000; count++) {
      release();
      await until(() => sent.length === count);
    }
    assert.deepEqual(sent.flatMap(numbers).length, 10_000);
    assert.equal(bus.counts.lost, 0);
    bus.close();
  });

  test("BU3 a session has one subscription upstream, however many subscribe here, and none when all have left", () => {
    const { connection, channels } = stuck();
    const bus = createRedisBus(connection, { prefix, instanceId: "a" });
    const ends = [
      bus.subscribe("s", () => {}),
      bus.subscribe("s", () => {}),
      bus.listen(() => {}),
      bus.listen(() => {}),
    ];
    assert.deepEqual(channels, ["baton:bus:s", "baton:bus"]);
    ends[0]?.();
    ends[0]?.();
    ends[2]?.();
    assert.equal(channels.length, 2);
    ends[1]?.();
    assert.deepEqual(channels, ["baton:bus"]);
    ends.push(bus.subscribe("s", () => {}));
    assert.equal(channels.length, 2);
    bus.close();
    assert.deepEqual(channels, []);
  });
});
