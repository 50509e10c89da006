import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readLines } from "../../src/cli/read-lines.ts";

async function linesOf(...chunks: readonly (string | Uint8Array)[]) {
  async function* input() {
    yield* chunks;
  }
  const lines: (string | undefined)[] = [];
  for await (const line of readLines(input())) lines.push(line);
  return lines;
}

describe("lines of stdin", () => {
  test("CL23 are whole however they come, the last one without a break too", async () => {
    assert.deepEqual(await linesOf("a\nb", "c\r\n", "\n", "d"), ["a", "bc", "", "d"]);
    assert.deepEqual(await linesOf(), []);
    const [euro] = ["€"].map((text) => new TextEncoder().encode(text));
    assert.deepEqual(await linesOf(euro?.subarray(0, 1) ?? "", euro?.subarray(1) ?? "", "\n"), ["€"]);
  });

  test("CL23 one that is too long is left out, and the next one is read", async () => {
    const mebi = "x".repeat(1024 * 1024);
    assert.deepEqual(await linesOf("a\n", ...Array.from({ length: 9 }, () => mebi), "\nb\n"), ["a", undefined, "b"]);
    assert.deepEqual(await linesOf(...Array.from({ length: 5 }, () => mebi)), [undefined]);
  });
});
