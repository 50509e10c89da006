import assert from "node:assert/strict";
import process from "node:process";
import { BatonError, type Reason } from "../../src/session/reasons.ts";
import { mutate } from "../bad-input/mutate.ts";
import { createRandom } from "../support/random.ts";

/** `BATON_FUZZ_INPUTS=1000000 BATON_FUZZ_SEED=2 npm test -- test/fuzz` looks further. */
export const inputs = Number(process.env.BATON_FUZZ_INPUTS ?? 100_000);
export const seed = Number(process.env.BATON_FUZZ_SEED ?? 1);

export const utf8 = new TextEncoder();

/** An input that made something fail can be made again: by its number, from its seed. */
function failed(n: number, bytes: Uint8Array, cause: unknown): never {
  throw new Error(`input ${n} of seed ${seed}: ${Buffer.from(bytes.subarray(0, 200)).toString("base64")}`, { cause });
}

/**
 * Gives a decoder inputs made from sound ones. Each is a value, or a refusal for one of these reasons. Fails where too few
 * were values, or all were: then the inputs found nothing to try.
 */
export function fuzz(
  sound: readonly Uint8Array[],
  reasons: readonly Reason[],
  decode: (bytes: Uint8Array, random: () => number) => void,
): void {
  const random = createRandom(seed);
  for (const bytes of sound) decode(bytes, random);
  let values = 0;
  for (let n = 0; n < inputs; n++) {
    const bytes = mutate(random, sound);
    try {
      decode(bytes, random);
      values += 1;
    } catch (error) {
      if (!(error instanceof BatonError && reasons.includes(error.reason))) failed(n, bytes, error);
    }
  }
  assert.ok(values > inputs / 50 && values < inputs, `${values} of ${inputs} were values`);
}
