import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Carriage, CarriageCall, CarriageEnd, OpenCarriage } from "../../src/client/carriage.ts";
import { type CarriageMemory, chooseCarriage } from "../../src/client/carriage-choice.ts";
import { FaultSchema, SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";

type Payload = NonNullable<MessageInitShape<typeof SessionMessageSchema>["payload"]>;
const message = (payload: Payload) => create(SessionMessageSchema, { payload });
const heartbeat = message({ case: "heartbeat", value: {} });
const welcome = message({ case: "welcome", value: {} });
const join = message({ case: "join", value: {} });

/** A carriage that a test plays, and what was done with it. */
function played(name: string, log: string[]) {
  const calls: CarriageCall[] = [];
  const carriage: Carriage = (call) => {
    calls.push(call);
    log.push(`${name} opens`);
    return {
      send: (sent) => void log.push(`${name} sends ${sent.payload.case}`),
      rotate: (token) => void log.push(`${name} rotates ${token}`),
      finish: () => void log.push(`${name} finishes`),
      cut: () => void log.push(`${name} is cut`),
    };
  };
  return {
    name,
    carriage,
    get listener() {
      const last = calls.at(-1);
      if (last === undefined) throw new Error(`${name} was not opened`);
      return last.listener;
    },
    get opened() {
      return calls.length;
    },
  };
}

/** Each waits for its first frame by a timer. */
const opened = new Set<OpenCarriage>();
afterEach(() => {
  for (const stream of opened) stream.cut();
});

function setUp(options: { readonly firstFrameMs?: number; readonly memory?: CarriageMemory } = {}) {
  const log: string[] = [];
  const [bidi, socket, split] = [played("bidi", log), played("socket", log), played("split", log)];
  const told: (string | undefined)[] = [];
  const ends: CarriageEnd[] = [];
  const choose = chooseCarriage([bidi, socket, split], { firstFrameMs: 60_000, ...options });
  const open = () => {
    const stream = choose({
      join,
      token: "t",
      listener: {
        received: ({ payload }) => void told.push(payload.case),
        replied: () => void told.push("a reply"),
        publishEnded: (numbers) => void told.push(`published ${numbers}`),
        ended: (end) => void ends.push(end),
      },
    });
    opened.add(stream);
    return stream;
  };
  return { log, bidi, socket, split, told, ends, open };
}

const fault = (reason: string) => create(FaultSchema, { reason });

describe("which carriage holds a session", () => {
  test("WK14 the first, where it works, and all goes through it", () => {
    const { log, bidi, told, ends, open } = setUp();
    const stream = open();
    bidi.listener.received(heartbeat);
    bidi.listener.received(welcome);
    stream.send(heartbeat);
    stream.rotate("new");
    bidi.listener.replied(heartbeat);
    bidi.listener.publishEnded([3]);
    stream.finish();
    bidi.listener.ended({ code: "unavailable" });
    assert.deepEqual(told, ["heartbeat", "welcome", "a reply", "published 3"]);
    assert.deepEqual(ends, [{ code: "unavailable" }]);
    assert.deepEqual(log, ["bidi opens", "bidi sends heartbeat", "bidi rotates new", "bidi finishes"]);
  });

  test("WK14 one that fails before its first frame makes way for the next; the last one's end is told", () => {
    const { log, bidi, socket, split, ends, open } = setUp();
    open();
    bidi.listener.ended({ code: "unimplemented" });
    socket.listener.ended({});
    assert.deepEqual(ends, []);
    split.listener.ended({ code: "unavailable", message: "nobody there" });
    assert.deepEqual(ends, [{ code: "unavailable", message: "nobody there" }]);
    assert.deepEqual(
      log.filter((line) => line.endsWith("opens")),
      ["bidi opens", "socket opens", "split opens"],
    );
  });

  test("WK14 one that brings nothing in time is cut, and what comes of it later is dropped", async () => {
    const { log, bidi, socket, told, ends, open } = setUp({ firstFrameMs: 20 });
    open();
    while (socket.opened === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(log.slice(0, 3), ["bidi opens", "bidi is cut", "socket opens"]);
    bidi.listener.received(welcome);
    bidi.listener.replied(welcome);
    bidi.listener.publishEnded([1]);
    bidi.listener.ended({ code: "internal" });
    assert.deepEqual([told, ends], [[], []]);
    socket.listener.received(heartbeat);
    await new Promise((resolve) => setTimeout(resolve, 60));
    assert.deepEqual(log, ["bidi opens", "bidi is cut", "socket opens"]);
    assert.deepEqual(told, ["heartbeat"]);
  });

  test("WK14 one over which the relay never heard the Join makes way too, before a Welcome alone", () => {
    const { bidi, socket, ends, open } = setUp();
    open();
    bidi.listener.received(heartbeat);
    bidi.listener.ended({ code: "deadline_exceeded", fault: fault("FIRST_MESSAGE_TIMEOUT") });
    assert.deepEqual([ends, socket.opened], [[], 1]);
    socket.listener.received(heartbeat);
    socket.listener.received(welcome);
    socket.listener.ended({ code: "deadline_exceeded", fault: fault("FIRST_MESSAGE_TIMEOUT") });
    assert.equal(ends.length, 1);
  });

  test("WK14 what the relay says is no failure of the carriage, before or behind the first frame", () => {
    for (const hasBegun of [false, true]) {
      const { bidi, socket, ends, open } = setUp();
      open();
      if (hasBegun) bidi.listener.received(heartbeat);
      bidi.listener.ended({ code: "unauthenticated", fault: fault("TOKEN_INVALID") });
      assert.deepEqual([ends.length, socket.opened], [1, 0]);
    }
    const { bidi, socket, ends, open } = setUp();
    open();
    bidi.listener.received(heartbeat);
    bidi.listener.ended({ code: "unavailable" });
    assert.deepEqual([ends.length, socket.opened], [1, 0]);
  });

  test("WK14 nothing more is tried once it was cut, or told to finish", () => {
    const { bidi, socket, ends, open } = setUp();
    open().cut();
    bidi.listener.ended({ code: "unavailable" });
    assert.deepEqual([ends, socket.opened], [[], 0]);
    open().finish();
    bidi.listener.ended({ code: "unavailable" });
    assert.deepEqual([ends.length, socket.opened], [1, 0]);
  });

  test("WK15 what worked is tried first the next time, and where it fails, the others in their order", () => {
    const { log, bidi, socket, split, open } = setUp();
    open();
    bidi.listener.ended({});
    socket.listener.received(heartbeat);
    socket.listener.ended({});
    log.length = 0;
    open();
    assert.deepEqual(log, ["socket opens"]);
    socket.listener.ended({});
    bidi.listener.ended({});
    split.listener.received(heartbeat);
    assert.deepEqual(
      log.filter((line) => line.endsWith("opens")),
      ["socket opens", "bidi opens", "split opens"],
    );
    log.length = 0;
    open();
    assert.deepEqual(log, ["split opens"]);
  });

  test("WK15 an application may keep it; a name that is none counts for nothing", () => {
    let kept: string | undefined = "split";
    const memory: CarriageMemory = {
      get: () => kept,
      set(name) {
        kept = name;
      },
    };
    const first = setUp({ memory });
    first.open();
    assert.equal(first.split.opened, 1);
    kept = "pigeon";
    const second = setUp({ memory });
    second.open();
    second.bidi.listener.received(heartbeat);
    assert.equal(kept, "bidi");
  });

  test("WK14 without any there is nothing to open", () => {
    assert.throws(
      () =>
        chooseCarriage([])({
          join,
          token: "t",
          listener: { received() {}, replied() {}, publishEnded() {}, ended() {} },
        }),
      TypeError,
    );
  });
});
