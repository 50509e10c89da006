import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { type Reason, reasons, scopeOf } from "../../src/session/reasons.ts";

const src = resolve(import.meta.dirname, "../../src");
const sources = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((name) => /^(relay|auth|durable|session)\/.*\.ts$/.test(name))
  .map((name) => readFileSync(join(src, name), "utf8"))
  .join("\n");

const isReason = (name: string): name is Reason => Object.hasOwn(reasons, name);
const named = (pattern: RegExp) =>
  new Set([...sources.matchAll(pattern)].map(([, name = ""]) => name).filter(isReason));

test("what a reason ends is what the code ends with it", () => {
  const ofMessages = named(/\brefuse\(\s*"([A-Z_]+)"/g);
  const ofStreams = named(/\bnew BatonError\(\s*"([A-Z_]+)"/g);
  // To clients of the original contract alone, whom every refusal ends.
  ofMessages.delete("NOT_JOINED");
  assert.ok(ofMessages.size > 20 && ofStreams.size > 20);
  // It refuses a rotation on a stream that lives on, in a TokenStatus, and ends a Publish.
  ofMessages.add("ROTATION_REJECTED");
  for (const reason of ofMessages) assert.notEqual(scopeOf(reason), "stream", reason);
  for (const reason of ofStreams) assert.notEqual(scopeOf(reason), "message", reason);
  for (const reason of Object.keys(reasons).filter(isReason)) {
    if (scopeOf(reason) !== "stream") assert.ok(ofMessages.has(reason), `${reason} refuses no message`);
    if (scopeOf(reason) === "either") assert.ok(ofStreams.has(reason), `${reason} ends no stream`);
  }
});
