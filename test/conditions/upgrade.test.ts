import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ConnectError, createClient } from "@connectrpc/connect";
import {
  Fault_Action as Action,
  CodeReviewService,
  CustomSchema,
  type SessionMessage,
  SessionMessageSchema,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { readRecords } from "../../trial/log.ts";
import type { Piped } from "../cli/live.ts";
import { Stream, transports } from "../relay/harness.ts";
import { createVersions, end, type Version, withoutOldVersion } from "./versions.ts";

const note = withoutOldVersion === "" ? "" : ` (${withoutOldVersion})`;

/** A field that no version knows, with two bytes in it. */
const unknownField = { no: 1_000, wireType: 2, data: Uint8Array.of(2, 7, 7) };

describe(`two versions of the relay and of its client${note}`, { skip: withoutOldVersion !== "" }, () => {
  const versions = withoutOldVersion === "" ? createVersions() : undefined;
  after(() => versions?.clean());
  const open = async () => {
    assert.ok(versions !== undefined);
    return await versions.place();
  };
  type Place = Awaited<ReturnType<typeof open>>;
  const tokenAt = async (place: Place) => {
    const printed = place.token(["--sub", "raw", "--session", "demo"]);
    assert.equal(await printed.exit, 0, printed.stderr);
    return printed.stdout.trim();
  };

  test("BC14 old, new and old again on one store, a client of each version through all of it: all is there, once", async () => {
    const place = await open();
    const people: Piped[] = [];
    const words: string[] = [];
    const phases: readonly Version[] = ["old", "new", "old", "new"];
    for (const [index, version] of phases.entries()) {
      const relay = await place.start(version);
      if (index === 0) {
        for (const [who, own] of [
          ["ana", "old"],
          ["ben", "new"],
        ] as const) {
          const person = place.baton(own, ["join", "demo", "--sub", who]);
          people.push(person);
          await person.event("live");
          if (who === "ana") person.say({ create: { path: "a.ts", content: "begin" } });
          await person.event(who === "ana" ? "acked" : "text");
        }
      }
      for (const [n, person] of people.entries()) {
        for (const part of ["x", "y"]) {
          const word = `<${index}${n}${part}>`;
          words.push(word);
          person.say(
            { edit: { path: "a.ts", changes: [{ from: 0, to: 0, insert: word }] } },
            { custom: { type: word, text: word } },
          );
        }
        person.say({ comment: { id: `c${index}${n}`, path: "a.ts", line: 1, text: "why?" } });
      }
      for (const person of people) {
        for (const word of words) await person.line((line) => isOf(line, word));
        await person.shows("a.ts");
      }
      // Once as a power cut does, else as an operator does.
      if (index + 1 < phases.length) await end(relay, index === 1 ? "SIGKILL" : "SIGTERM");
    }
    const texts = await Promise.all(people.map(async (person) => String((await person.shows("a.ts")).text)));
    assert.equal(texts[0], texts[1]);
    for (const word of words) assert.equal(texts[0]?.split(word).length, 2, `${word} in ${texts[0]}`);
    const client = createClient(CodeReviewService, transports.connect(place.url));
    const records = await readRecords(client, "demo", await tokenAt(place));
    assert.deepEqual(
      records.map(({ seq }) => Number(seq)),
      records.map((_, index) => index + 1),
    );
    const types = records.flatMap(({ payload }) => (payload.case === "custom" ? [payload.value.type] : []));
    assert.deepEqual(types.sort(), [...words].sort());
    assert.equal(new Set(records.map(({ clientId, clientSeq }) => `${clientId} ${clientSeq}`)).size, records.length);
    for (const person of people) {
      const welcomes = person.events("welcome");
      assert.equal(new Set(welcomes.map(({ epoch }) => epoch)).size, 1);
      assert.deepEqual(
        welcomes.slice(1).map(({ outcome }) => outcome),
        phases.slice(1).map(() => "resumed"),
      );
      for (const what of ["refused", "uncertain", "lost-file", "protocol-error"])
        assert.equal(person.events(what).length, 0, what);
    }
  });

  for (const version of ["old", "new"] as const) {
    test(`BC15 what only a newer client knows, at the ${version} relay: a field is kept where messages are anybody's, a payload is refused`, async () => {
      const place = await open();
      const relay = await place.start(version);
      const client = createClient(CodeReviewService, transports.connect(place.url));
      const token = await tokenAt(place);
      const alice = new Stream(client, token);
      alice.send({ case: "join", value: { clientId: "a" } }, { sessionId: "demo" });
      const { resumeToken } = await alice.take("welcome");
      const bob = new Stream(client, token);
      bob.send({ case: "join", value: { clientId: "b" } }, { sessionId: "demo" });
      await bob.take("welcome");
      const value = create(CustomSchema, { type: "t" });
      value.$unknown = [unknownField];
      alice.send({ case: "custom", value }, { clientSeq: 1n });
      await alice.take("ack");
      const isKept = ({ payload }: SessionMessage) =>
        payload.case === "custom" && payload.value.$unknown?.[0]?.no === unknownField.no;
      assert.ok(isKept(await bob.takeMessage("custom")));
      assert.deepEqual((await readRecords(client, "demo", token)).map(isKept), [true]);

      const strange = create(SessionMessageSchema, { clientSeq: 2n });
      strange.$unknown = [unknownField];
      const headers = { authorization: `Bearer ${token}` };
      const request = { sessionId: "demo", resumeToken, messages: [strange] };
      const { replies } = await client.publish(request, { headers });
      const [fault] = replies.map(({ payload }) => (payload.case === "fault" ? payload.value : undefined));
      assert.deepEqual([fault?.action, fault?.clientSeq], [Action.DROP, 2n]);
      const told = version === "new" ? ["PAYLOAD_UNKNOWN", "unimplemented"] : ["PAYLOAD_MISSING", "invalid_argument"];
      assert.deepEqual([fault?.reason, fault?.code], told);
      if (version === "new") assert.match(fault?.message ?? "", /speaks protocol 1/);
      // The stream lives, and the number is free.
      alice.send({ case: "custom", value: { type: "after" } }, { clientSeq: 2n });
      assert.equal((await alice.take("ack")).seq, 2n);
      for (const stream of [alice, bob]) stream.cut();
      await assert.rejects(client.publish({ ...request, sessionId: "other" }, { headers }), ConnectError);
      await end(relay, "SIGTERM");
    });
  }
});

const isOf = (line: Piped["lines"][number], word: string) =>
  (line.event === "custom" && line.type === word) || (line.event === "acked" && line.type === word);
