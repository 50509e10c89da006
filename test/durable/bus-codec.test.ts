import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { instanceCodec, maxLetterLength, sealLetter, sessionCodec } from "../../src/durable/bus-codec.ts";
import type { BusMessage, InstanceMessage } from "../../src/durable/session-bus.ts";

const client = { userId: "ü\u0000😀", clientId: '"laptop"\n' };
const token = { userId: "u", scopes: ["session:edit"], sessions: ["a/*"], issuedAtMs: 1.5, expiresAtMs: 2 };
const cursor = { filePath: "a.ts", line: 1, column: 2, version: 3, anchorLine: 4, anchorColumn: 5 };
const member = { client, generation: 1, displayName: "Ü", status: 2 };

/** One of each kind, with and without what may be left out. */
const sessionMessages: { readonly [K in BusMessage["kind"]]: readonly Extract<BusMessage, { kind: K }>[] } = {
  ephemeral: [
    { kind: "ephemeral", sender: client, slot: "custom:,\n", frame: Uint8Array.from({ length: 256 }, (_, i) => i) },
    { kind: "ephemeral", sender: client, slot: "", frame: new Uint8Array() },
  ],
  supersede: [{ kind: "supersede", client, generation: Number.MAX_SAFE_INTEGER }],
  "epoch-ended": [{ kind: "epoch-ended", epoch: "e" }],
  roster: [
    {
      kind: "roster",
      holder: "h",
      number: 1,
      isAll: true,
      members: [member, { ...member, cursor }],
      left: [{ client, generation: 7 }],
      readers: 3,
    },
  ],
  "roster-wanted": [{ kind: "roster-wanted" }],
  heard: [
    { kind: "heard", client, generation: 1, isInput: false },
    {
      kind: "heard",
      client,
      generation: 1,
      isInput: true,
      token: { ...token, tokenId: "t" },
      says: { status: 1, displayName: "n" },
    },
  ],
  renewed: [{ kind: "renewed", client, generation: 1, token }],
  contended: [{ kind: "contended", client, holdMs: 0.5, waitedMs: 2 }],
  snapshot: [{ kind: "snapshot", epoch: "e", seq: 5, first: 1 }],
};
const instanceMessages: { readonly [K in InstanceMessage["kind"]]: Extract<InstanceMessage, { kind: K }> } = {
  disconnect: { kind: "disconnect", sessionId: "s", userId: "", clientId: "" },
  disconnected: { kind: "disconnected", ask: "a", instance: "i", streams: 2 },
  instance: { kind: "instance", instance: "i", state: "gone" },
  revoked: { kind: "revoked" },
};

const letterOf = (messages: unknown, more: object = {}) => JSON.stringify({ v: 1, from: "a", messages, ...more });

describe("letters of the bus", () => {
  test("BU1 every kind of message reads as it was written, in its order", () => {
    const all = Object.values(sessionMessages).flat();
    const text = sealLetter("an instance", all.map(sessionCodec.encode));
    assert.ok(!/[\n\r]/.test(text));
    assert.deepEqual(sessionCodec.open(text), { from: "an instance", messages: all, unknown: 0, damaged: 0 });
    const announced = Object.values(instanceMessages);
    const letter = instanceCodec.open(sealLetter("i", announced.map(instanceCodec.encode)));
    assert.deepEqual(letter, { from: "i", messages: announced, unknown: 0, damaged: 0 });
  });

  test("BU5 kinds, fields and versions of a newer relay are passed over, and what stands beside them is heard", () => {
    const known = { kind: "supersede", client: { ...client, device: "new" }, generation: 1, since: [1] };
    const letter = sessionCodec.open(
      letterOf([{ kind: "new" }, known, { kind: "constructor", x: 1 }], { region: "eu" }),
    );
    assert.deepEqual(letter, {
      from: "a",
      messages: [{ kind: "supersede", client, generation: 1 }],
      unknown: 2,
      damaged: 0,
    });
    for (const newer of [letterOf([known], { v: 2 }), letterOf({ packed: "x" }, { v: 99 })]) {
      assert.deepEqual(sessionCodec.open(newer), { from: "a", messages: [], unknown: 1, damaged: 0 });
    }
  });

  test("BU6 what is damaged is dropped and counted, and what stands beside it is heard", () => {
    const sound = { kind: "epoch-ended", epoch: "e" };
    const damaged: unknown[] = [
      { kind: "epoch-ended" },
      { kind: "epoch-ended", epoch: 1 },
      { kind: "supersede", client, generation: 0.5 },
      { kind: "supersede", client, generation: -1 },
      { kind: "supersede", client: { userId: "u" }, generation: 1 },
      { kind: "ephemeral", sender: client, slot: "", frame: "%%%" },
      { kind: "ephemeral", sender: client, slot: "", frame: [1] },
      { kind: 1 },
      {},
      null,
      "epoch-ended",
      [],
    ];
    for (const one of damaged) {
      const letter = sessionCodec.open(letterOf([one, sound]));
      assert.deepEqual(letter, { from: "a", messages: [sound], unknown: 0, damaged: 1 }, JSON.stringify(one));
    }
    const texts = ["", "{", "null", "1", '"x"', "[]", "{}", letterOf([], { v: 0 }), letterOf([], { v: 1.5 })];
    texts.push(letterOf({}), letterOf(undefined), letterOf([], { from: 1 }), letterOf([sound]).slice(0, -1));
    texts.push(letterOf(["x".repeat(maxLetterLength)]));
    for (const text of texts) assert.equal(sessionCodec.open(text), undefined, text.slice(0, 100));
    assert.ok(sessionCodec.open(letterOf(["x".repeat(maxLetterLength - 100)])) !== undefined);
  });
});
