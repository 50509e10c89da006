import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, fromBinary, fromJsonString, type MessageInitShape } from "@bufbuild/protobuf";
import { type SessionMessage, SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { Meters } from "../../src/relay/metrics/meters.ts";
import { OriginalOutlet } from "../../src/relay/original-outlet.ts";
import { Reader } from "../../src/relay/reader.ts";
import { Ring } from "../../src/relay/ring.ts";
import type { FrameForm, Outlet } from "../../src/relay/stream.ts";
import { createTurns } from "../../src/relay/turns.ts";
import { encodeFrame } from "../../src/relay/wire/envelope.ts";
import { createEnvelopeReader } from "../../src/relay/wire/envelope-reader.ts";
import { OriginalView } from "../../src/session/original/view.ts";
import { BatonError } from "../../src/session/reasons.ts";

/** A peer that is behind from its first write on, until it is let go on; or one that never is. */
class Peer implements Outlet {
  readonly form: FrameForm;
  readonly writes: Uint8Array[] = [];
  readonly ends: (string | undefined)[] = [];
  isSlow: boolean;
  #resume: (() => void) | undefined;

  constructor(isSlow: boolean, form: FrameForm = "binary") {
    this.isSlow = isSlow;
    this.form = form;
  }

  write(frames: Uint8Array): Promise<void> | undefined {
    assert.equal(this.#resume, undefined, "written to although it is behind");
    assert.equal(this.ends.length, 0, "written to although it has ended");
    this.writes.push(frames);
    if (!this.isSlow) return undefined;
    return new Promise((resolve) => {
      this.#resume = resolve;
    });
  }

  end(error?: BatonError): void {
    this.ends.push(error?.reason);
  }

  /** Takes what was written, and then whatever comes of it. */
  async goOn(): Promise<void> {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
    // Turns of the event loop, and no time: a timer may be due before what was deferred.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  lines(): string[] {
    const envelopes = createEnvelopeReader(1 << 30);
    const lines: string[] = [];
    for (const bytes of this.writes) {
      envelopes.push(bytes);
      for (let data = envelopes.take(); data !== undefined; data = envelopes.take()) {
        const { payload } =
          this.form === "binary"
            ? fromBinary(SessionMessageSchema, data)
            : fromJsonString(SessionMessageSchema, new TextDecoder().decode(data));
        if (payload.case === "edit") lines[payload.value.lineNumber - 1] = payload.value.content;
      }
    }
    return lines;
  }
}

let clockMs = 1_000;
let turns = 0;
const defer = (run: () => void) => {
  turns += 1;
  setImmediate(run);
};
const open = (peer: Peer) => new OriginalOutlet(peer, new OriginalView("me", "mine"), { now: () => clockMs, defer });

type Payload = NonNullable<MessageInitShape<typeof SessionMessageSchema>["payload"]>;
const frame = (payload: Payload, userId = "a"): Uint8Array => {
  const message: SessionMessage = create(SessionMessageSchema, { sessionId: "s", userId, clientId: "c", payload });
  return encodeFrame(SessionMessageSchema, message, "binary");
};
const insert = (version: number, text: string) =>
  frame({ case: "edit", value: { filePath: "a.ts", version, changes: [{ from: 0, to: 0, insert: text }] } });

const many = Array.from({ length: 20_000 }, (_, index) => `line ${index}`);

describe("the way down to a client of the original contract", () => {
  test("OC16 much text goes in pieces, each when the one before was taken, and everything arrives", async () => {
    const peer = new Peer(true);
    const outlet = open(peer);
    let isDone = false;
    const done = outlet.write(insert(1, many.join("\n")))?.then(() => {
      isDone = true;
    });
    assert.ok(done !== undefined);
    for (let piece = 1; !isDone; piece++) {
      assert.equal(peer.writes.length, piece, "a piece before the last was taken");
      clockMs += 1_000;
      await peer.goOn();
      if (!isDone) assert.equal(outlet.tookPieceAtMs, clockMs);
    }
    assert.deepEqual(peer.lines(), many);
    assert.ok(peer.writes.length > 10);
    for (const { length } of peer.writes) assert.ok(length < 64 * 1024 + 100, `${length} bytes`);
  });

  test("OC16 whoever takes a piece now and then is slow, and not gone", async () => {
    const peer = new Peer(true);
    const ring = new Ring(1 << 20);
    const reader = new Reader({
      outlet: open(peer),
      source: {
        ring,
        meters: new Meters(),
        head: 1,
        readLog: async () => assert.fail("it is in the ring"),
        conflated: () => [],
        encode: (payload) => frame(payload),
      },
      key: "mine/me",
      ackFrom: Number.POSITIVE_INFINITY,
      snapshot: undefined,
      fromSeq: 2,
      now: () => clockMs,
      fetchResync: () => undefined,
      fail: (error) => assert.fail(String(error)),
    });
    reader.welcome({ case: "welcome", value: {} });
    const record = insert(1, many.join("\n"));
    const place = { seq: 2, head: 2, timestampMs: 0, version: 1 };
    ring.append({ frame: record, payload: "edit", sender: "c/a", clientSeq: 1, ...place });
    reader.pump();
    let pieces = 0;
    for (; reader.blockedSinceMs !== undefined; pieces++) {
      assert.equal(reader.blockedSinceMs, clockMs);
      clockMs += 20_000;
      await peer.goOn();
    }
    assert.ok(pieces > 10 && reader.drained);
    assert.deepEqual(peer.lines(), many);
  });

  test("OC16 a line is never cut, however long it is", async () => {
    const peer = new Peer(false);
    const long = "x".repeat(300_000);
    await open(peer).write(insert(1, `${long}\n${long}\nshort`));
    assert.deepEqual(peer.lines(), [long, long, "short"]);
    assert.equal(peer.writes.length, 3);
  });

  test("OC16 one that keeps up is behind only while there are pieces; others get their turn between them", async () => {
    const peer = new Peer(false);
    const outlet = open(peer);
    assert.equal(outlet.write(insert(1, "a line")), undefined);
    assert.equal(outlet.write(frame({ case: "ack", value: {} })), undefined);
    assert.equal(peer.writes.length, 1);
    const [before, written] = [turns, peer.writes.length];
    const done = outlet.write(insert(2, `${many.join("\n")}\n`));
    assert.equal(peer.writes.length, written + 1);
    await done;
    assert.equal(turns - before, peer.writes.length - written - 1);
    assert.deepEqual(peer.lines(), [...many, "a line"]);
  });

  test("OC16 lines that are looked at and not told are looked at in turns, too", async () => {
    const peer = new Peer(false);
    const outlet = open(peer);
    await outlet.write(insert(1, "\n".repeat(50_000)));
    const written = peer.writes.length;
    const done = outlet.write(insert(2, "\n"));
    assert.ok(done !== undefined);
    await done;
    assert.equal(peer.writes.length, written + 1);
    assert.equal(peer.lines().length, 50_002);
  });

  test("OC18 of all that is told at once, one piece is made in a turn", async () => {
    const inTurn = createTurns(defer);
    const peers = Array.from({ length: 20 }, () => new Peer(false));
    const outlets = peers.map(
      (peer) => new OriginalOutlet(peer, new OriginalView("me", "mine"), { now: () => 0, defer: inTurn }),
    );
    const written = () => peers.reduce((sum, { writes }) => sum + writes.length, 0);
    const dones = outlets.map((outlet) => outlet.write(insert(1, many.join("\n"))));
    assert.equal(written(), peers.length);
    let isDone = false;
    void Promise.all(dones).then(() => {
      isDone = true;
    });
    for (let before = written(); !isDone; before = written()) {
      await new Promise((resolve) => setImmediate(resolve));
      assert.ok(written() - before <= 1, `${written() - before} pieces in one turn`);
    }
    for (const peer of peers) assert.deepEqual(peer.lines(), many);
  });

  test("OC16 an end stops it where it is", async () => {
    for (const isSlow of [true, false]) {
      const peer = new Peer(isSlow);
      const outlet = open(peer);
      const done = outlet.write(insert(1, many.join("\n")));
      outlet.end(new BatonError("TOKEN_EXPIRED"));
      await peer.goOn();
      await done;
      assert.equal(peer.writes.length, 1);
      assert.equal(outlet.write(insert(2, "x")), undefined);
      assert.deepEqual([peer.writes.length, peer.ends], [1, ["TOKEN_EXPIRED"]]);
    }
  });

  test("OC2 a client of JSON is told in JSON; its room need not know", async () => {
    const peer = new Peer(false, "json");
    const outlet = open(peer);
    assert.equal(outlet.form, "binary");
    await outlet.write(insert(1, "one\ntwo"));
    assert.deepEqual(peer.lines(), ["one", "two"]);
  });
});
