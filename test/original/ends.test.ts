import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { PresenceUpdate_Status as Status } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { textContent } from "../../src/session/text.ts";
import { edit } from "../relay/harness.ts";
import type { Carrier } from "./client.ts";
import type { OriginalMessage } from "./contract.ts";
import { type OriginalRelay, startRelay } from "./harness.ts";

let relay: OriginalRelay;
before(async () => {
  relay = await startRelay();
});
after(() => relay.stop());

let sessions = 0;
const newSession = () => `ends-${++sessions}`;
const carriers: readonly Carrier[] = ["connect", "grpc-web", "grpc-js"];
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const headOf = async ({ log }: OriginalRelay, session: string) => (await log.describe(session))?.head ?? 0;

describe("a refusal", () => {
  const refusals: readonly (readonly [string, string, OriginalMessage])[] = [
    ["FILE_NOT_FOUND", "NotFound", { edit: { file_path: "no.ts", line_number: 1, content: "", version: 3 } }],
    ["EDIT_OUT_OF_RANGE", "InvalidArgument", { edit: { file_path: "a.ts", line_number: 9, content: "", version: 0 } }],
    ["VERSION_AHEAD", "OutOfRange", { edit: { file_path: "a.ts", line_number: 1, content: "", version: 9 } }],
    ["PATH_INVALID", "InvalidArgument", { edit: { file_path: "", line_number: 1, content: "", version: 0 } }],
    ["COMMENT_INVALID", "InvalidArgument", { comment: { comment_id: "", line_number: 1, text: "no id" } }],
    ["COMMENT_INVALID", "InvalidArgument", { comment: { comment_id: "c", line_number: 9, text: "no line" } }],
    ["PATH_INVALID", "InvalidArgument", { cursor: { file_path: "", line: 1, column: 1 } }],
    ["WRONG_SENDER", "PermissionDenied", { user_id: "bob", presence: { status: "ACTIVE" } }],
    ["WRONG_SENDER", "PermissionDenied", { session_id: "other", presence: { status: "ACTIVE" } }],
    ["PAYLOAD_MISSING", "InvalidArgument", {}],
  ];
  for (const carrier of carriers) {
    for (const [reason, code, message] of refusals) {
      test(`OC13 ends its stream ${reason}, over ${carrier}: ${JSON.stringify(message)}`, async () => {
        const session = newSession();
        const ann = await relay.enter(carrier, session, "ann", {
          edit: { file_path: "a.ts", line_number: 1, content: "one", version: 0 },
        });
        ann.send(message);
        const end = await ann.ended;
        assert.deepEqual([end.code, end.fault?.reason], [code, reason]);
      });
    }
  }

  test("OC13 nothing that was sent behind it is taken, and what was sent before it is", async () => {
    const session = newSession();
    const ann = await relay.enter("grpc-js", session, "ann");
    const line = (line_number: number) => ({
      edit: { file_path: "a.ts", line_number, content: `${line_number}`, version: 0 },
    });
    for (const number of [1, 2, 9, 3, 4]) ann.send(line(number));
    ann.send({ comment: { comment_id: "c", line_number: 1, text: "t" } });
    assert.equal((await ann.ended).fault?.reason, "EDIT_OUT_OF_RANGE");
    const bob = await relay.enter("grpc-js", session, "bob");
    await bob.until("two lines", () => bob.text("a.ts") === "1\n2");
    assert.equal(await headOf(relay, session), 2);
    // It comes back as somebody new, and goes on.
    const again = await relay.enter("grpc-js", session, "ann");
    await again.until("two lines", () => again.text("a.ts") === "1\n2");
    again.edit("a.ts", 3, "3");
    await bob.until("three lines", () => bob.text("a.ts") === "1\n2\n3");
  });

  test("OC13 a first message in another's name, or for no session, ends the stream before it joins", async () => {
    const session = newSession();
    const first = async (message: OriginalMessage) => {
      const client = await relay.open("grpc-js", { sub: "ann", sessions: [session] });
      client.send({ presence: { status: "JOINED" }, ...message });
      return (await client.ended).fault?.reason;
    };
    assert.equal(await first({ session_id: session, user_id: "bob" }), "WRONG_SENDER");
    assert.equal(await first({ user_id: "ann" }), "SESSION_ID_INVALID");
    assert.equal(await first({ session_id: "other" }), "SESSION_FORBIDDEN");
  });

  test("OC13 one whose token only reads is told everything, and may not write", async () => {
    const session = newSession();
    const ours = await relay.join({ session, as: "ours" });
    ours.send(edit("a.ts", 0, 0, 0, "one"), { clientSeq: 1n });
    const reader = await relay.open("grpc-js", { sub: "ann", sessions: [session], scope: "session:read" });
    reader.send({ session_id: session, presence: { status: "JOINED" } });
    await reader.until("the text", () => reader.text("a.ts") === "one");
    reader.edit("a.ts", 1, "two");
    assert.equal((await reader.ended).fault?.reason, "SCOPE_MISSING");
    assert.ok(!ours.received.some(({ userId }) => userId === "ann"));
  });
});

describe("limits", () => {
  test("OC14 it is read no faster than it may send, and not refused for it", async () => {
    const slow = await startRelay({ messagesPerSecond: 100, messagesBurst: 5, unackedBytes: 300 });
    try {
      const ann = await slow.enter("grpc-js", "demo", "ann");
      for (let line = 1; line <= 60; line++) ann.edit("a.ts", line, `${line}`.repeat(50), 0);
      const bob = await slow.enter("connect", "demo", "bob");
      await bob.until("all lines", () => bob.text("a.ts") === ann.text("a.ts"));
      assert.equal(bob.shows.lines("a.ts").length, 60);
    } finally {
      await slow.stop();
    }
  });
});

describe("what ends a stream", () => {
  test("OC12 OC15 it is kept alive by presence, is told of nothing to come, and its silence does not end it", async () => {
    const quick = await startRelay({ heartbeatMs: 300, streamAgeMs: 3_000 });
    try {
      const ann = await quick.enter("grpc-js", "demo", "ann");
      await ann.until("keepalives", () => ann.heard.length >= 3);
      for (const { userId, payload } of ann.heard) {
        assert.deepEqual([userId, payload.case], ["system", "presence"]);
        assert.equal(payload.case === "presence" && payload.value.status, Status.ACTIVE);
      }
      // Longer than a client of our own may be silent.
      quick.advance(2_900);
      await pause(500);
      quick.advance(4_000);
      await pause(500);
      ann.edit("a.ts", 1, "still there");
      const bob = await quick.enter("connect", "demo", "bob");
      await bob.until("its text", () => bob.text("a.ts") === "still there");
      quick.advance(10_000);
      assert.deepEqual([(await ann.ended).code, (await ann.ended).fault?.reason], ["Unavailable", "MAX_STREAM_AGE"]);
    } finally {
      await quick.stop();
    }
  });

  test("OC15 silence of any length does not end it", async () => {
    const ann = await relay.enter("grpc-js", newSession(), "ann");
    await ann.until("the first frame", () => ann.first !== undefined);
    relay.advance(3_000_000);
    await pause(600);
    ann.finish();
    assert.equal((await ann.ended).code, "OK");
  });

  for (const carrier of carriers) {
    test(`OC15 the end of its token, and a drain, end it by name, over ${carrier}`, async () => {
      const other = await startRelay();
      try {
        const brief = await other.open(carrier, { sub: "brief", ttlSeconds: 60 });
        brief.send({ session_id: "demo", presence: { status: "JOINED" } });
        const long = await other.enter(carrier, "demo", "long");
        await long.until("both", () => long.shows.users.has("brief"));
        other.advance(59_000 + 30_000);
        await pause(500);
        other.advance(1_500);
        assert.deepEqual(
          [(await brief.ended).code, (await brief.ended).fault?.reason],
          ["Unauthenticated", "TOKEN_EXPIRED"],
        );
        await other.drain();
        assert.deepEqual([(await long.ended).code, (await long.ended).fault?.reason], ["Unavailable", "DRAIN"]);
        const seen = new Set([...brief.heard, ...long.heard].map(({ payload }) => payload.case));
        assert.deepEqual([...seen], ["presence"]);
      } finally {
        await other.stop();
      }
    });
  }
});

describe("many at once", () => {
  test("OC5 two of theirs and two of ours write one file, and show the same", async () => {
    const busy = await startRelay({ messagesPerSecond: 1e6, messagesBurst: 1e6 });
    try {
      const [ann, bob] = [await busy.enter("grpc-js", "demo", "ann"), await busy.enter("connect-json", "demo", "bob")];
      const [cyd, dan] = [await busy.join({ as: "cyd" }), await busy.join({ as: "dan" })];
      // Whoever comes after the first edit finds it in the snapshot, and is told of no edit.
      await Promise.all([cyd, dan].map((stream) => stream.take("welcome")));
      cyd.send(edit("a.ts", 0, 0, 0, "0\n1\n2\n3"), { clientSeq: 1n });
      await Promise.all(
        [ann, bob].map((client) => client.until("the file", () => client.text("a.ts") === "0\n1\n2\n3")),
      );
      await dan.take("edit");
      let [versionOfCyd, versionOfDan] = [(await cyd.take("ack")).version, 1];
      for (let round = 1; round <= 40; round++) {
        ann.edit("a.ts", 1 + (round % 4), `ann ${round}`);
        bob.edit("a.ts", 1 + ((round * 7) % 4), `bob ${round}`);
        cyd.send(edit("a.ts", versionOfCyd, 0, 0, `${round}\n`), { clientSeq: BigInt(round + 1) });
        dan.send(edit("a.ts", versionOfDan, 1, 1, "x"), { clientSeq: BigInt(round) });
        [versionOfCyd, versionOfDan] = [(await cyd.take("ack")).version, (await dan.take("ack")).version];
      }
      const text = () => {
        const file = busy.relay.rooms.present("demo")?.state.files.get("a.ts");
        return file === undefined ? "" : textContent(file.text);
      };
      while ((await headOf(busy, "demo")) < 161) await pause(5);
      assert.equal(text().split("\n").length, 44);
      for (const client of [ann, bob]) await client.until("the same text", () => client.text("a.ts") === text());
    } finally {
      await busy.stop();
    }
  });
});
