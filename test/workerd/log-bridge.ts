import { z } from "zod";
import { createDoorbells } from "../../src/durable/doorbells.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { BatonError, type Reason, reasons } from "../../src/session/reasons.ts";
import { readValue, writeValue } from "./wire-values.ts";

const isReason = (text: string): text is Reason => Object.hasOwn(reasons, text);
const answerSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("answered"), value: z.unknown().optional() }),
  z.object({
    kind: z.literal("refused"),
    reason: z.string().refine(isReason),
    message: z.string(),
    retryAfterMs: z.number(),
  }),
]);

const nothing = z.undefined();
const bytes = z.instanceof(Uint8Array);
const state = z.object({
  epoch: z.string(),
  head: z.number(),
  first: z.number(),
  bytes: z.number(),
  lastActivityMs: z.number(),
});
const client = z.object({ userId: z.string(), clientId: z.string() });
const records = z.array(z.object({ seq: z.number(), frame: bytes, payloadHash: z.number() }));
const claim = z.object({
  epoch: z.string(),
  generation: z.number(),
  head: z.number(),
  lastClientSeq: z.number(),
});
const outcome = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("appended") }),
  z.object({ kind: z.literal("conflict"), records }),
  z.object({ kind: z.literal("superseded"), clients: z.array(client) }),
  z.object({ kind: z.literal("epoch"), epoch: z.string() }),
]);
const revocation = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("token"), tokenId: z.string() }),
  z.object({ kind: z.literal("user"), userId: z.string(), issuedBeforeMs: z.number() }),
]);

/**
 * The log of a worker's objects (log-worker.ts), for a test outside.
 *
 * @param url of the worker, which may be another after a restart
 * @param store one of many, each a log of its own
 */
export function createBridgedLog(url: () => string, store: string): SessionLog {
  const doorbells = createDoorbells();
  let closed = false;

  const call = async <T>(method: string, args: readonly unknown[], schema: z.ZodType<T>): Promise<T> => {
    if (closed) throw new BatonError("LOG_UNAVAILABLE", "the log is closed");
    // JSON has no undefined: an argument that is left out is the last.
    const body = writeValue(args.filter((argument) => argument !== undefined));
    const response = await fetch(`${url()}/${store}/${method}`, { method: "POST", body }).catch((cause: unknown) => {
      throw new BatonError("LOG_UNAVAILABLE", "the worker does not answer", { cause });
    });
    const text = await response.text();
    if (!response.ok) throw new BatonError("LOG_UNAVAILABLE", `the worker answered ${response.status}: ${text}`);
    const answered = answerSchema.parse(readValue(text));
    if (answered.kind === "answered") return schema.parse(answered.value);
    throw new BatonError(answered.reason, answered.message, { retryAfterMs: answered.retryAfterMs });
  };

  const ringing = async <T>(sessionId: string, asked: Promise<T>): Promise<T> => {
    const told = await asked;
    doorbells.ring(sessionId);
    return told;
  };

  return {
    describe: (...args) => call("describe", args, state.optional()),
    claim: (...args) => call("claim", args, claim),
    append: (...args) => ringing(args[0], call("append", args, outcome)),
    read: (...args) => call("read", args, records),
    putSnapshot: (...args) => call("putSnapshot", args, nothing),
    latestSnapshot: (...args) => call("latestSnapshot", args, z.object({ seq: z.number(), bytes }).optional()),
    dropSnapshot: (...args) => call("dropSnapshot", args, nothing),
    trim: (...args) => call("trim", args, nothing),
    renewEpoch: (...args) => ringing(args[0], call("renewEpoch", args, z.string())),
    watch: doorbells.watch,
    delete: (...args) => ringing(args[0], call("delete", args, z.string())),
    list: (...args) => call("list", args, z.array(state.extend({ sessionId: z.string() }))),
    secret: (...args) => call("secret", args, bytes),
    revoke: (...args) => call("revoke", args, nothing),
    revocations: (...args) => call("revocations", args, z.array(z.object({ place: z.number(), revocation }))),
    close: async () => {
      closed = true;
    },
  };
}
