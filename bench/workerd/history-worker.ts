import { create } from "@bufbuild/protobuf";
import { createLocalBus } from "../../src/durable/bus-local.ts";
import { CodeEditSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { loadState } from "../../src/relay/load.ts";
import { Meters } from "../../src/relay/metrics/meters.ts";
import { Pipeline } from "../../src/relay/pipeline.ts";
import { SnapshotKeeper } from "../../src/relay/snapshot-keeper.ts";
import { DirectoryObject } from "../../src/runtime/worker-directory.ts";
import { SessionLogObject } from "../../src/runtime/worker-log-object.ts";
import { objectStubs } from "../../src/runtime/worker-objects.ts";
import { hashPayload, type LoggedPayload } from "../../src/session/admit.ts";
import { defaultLimits } from "../../src/session/limits.ts";
import { emptyState } from "../../src/session/state.ts";
import { RowCount } from "../../test/workerd/row-count.ts";
import { synthesizeTrace } from "../traces.ts";

export { DirectoryObject };

const key = { userId: "ann", clientId: "tab" };
const limits = { ...defaultLimits, editBytes: Number.MAX_SAFE_INTEGER, unackedBytes: Number.MAX_SAFE_INTEGER };

interface Env {
  readonly SESSIONS: DurableObjectNamespace<History>;
  readonly DIRECTORY: DurableObjectNamespace<DirectoryObject>;
}

/** A session into which somebody types, through the relay's own core, in the session's object. */
export class History extends SessionLogObject<Env> {
  readonly #rows: RowCount;

  constructor(ctx: DurableObjectState, env: Env) {
    const rows = new RowCount(ctx.storage);
    super(ctx, env, objectStubs(env), { storage: rows.storage });
    this.#rows = rows;
  }

  /** Edits, so many to an append, with snapshots as a room has them written. Tells the rows that it took. */
  async type(sessionId: string, edits: number, editsPerAppend: number) {
    const { log } = this;
    const { epoch, generation } = await log.claim(sessionId, key, "e");
    this.#rows.take();
    const context = {
      log,
      bus: createLocalBus().member(),
      limits,
      now: Date.now,
      newId: () => crypto.randomUUID(),
      defer: (then: () => void) => queueMicrotask(then),
      meters: new Meters(),
      traces: undefined,
    };
    const fail = (why: string) => {
      throw new Error(`the path ended: ${why}`);
    };
    const state = emptyState(sessionId, epoch);
    const snapshots = new SnapshotKeeper(context, state, 1, 0);
    const pipeline = new Pipeline(context, state, true, {
      published: (records, isOwn) => snapshots.appended(records, isOwn),
      superseded: () => fail("superseded"),
      instanceOf: () => "",
      contended: () => fail("contended"),
      tailLost: () => fail("tail lost"),
      failed: ({ reason }) => fail(reason),
    });
    const origin = { logged: () => undefined, answered: () => fail("an edit made no record") };
    const payloads = payloadsOf(edits);
    for (let index = 0; index < edits; ) {
      for (const end = index + editsPerAppend; index < end; index++) {
        const payload = payloads[index];
        if (payload === undefined) break;
        const submission = { ...key, generation, clientSeq: index + 1, payload, isAdmin: false };
        pipeline.submit(origin, { ...submission, payloadHash: hashPayload(payload) }, 64);
      }
      await pipeline.settled();
    }
    return { ...this.#rows.take(), databaseBytes: this.ctx.storage.sql.databaseSize };
  }

  /** As a room opens: the state, from the snapshot before the newest and what came behind it. */
  async open(sessionId: string) {
    const kept = await this.log.describe(sessionId);
    if (kept === undefined) throw new Error("there is no such session");
    const newest = await this.log.latestSnapshot(sessionId, kept.head);
    const startAtMost = newest === undefined ? kept.head : newest.seq - 1;
    const state = await loadState(this.log, sessionId, kept, kept.head, limits, startAtMost);
    const { read } = this.#rows.take();
    const start = await this.log.latestSnapshot(sessionId, startAtMost);
    return { head: state.head, folded: kept.head - (start?.seq ?? 0), read };
  }
}

function payloadsOf(count: number): LoggedPayload[] {
  const { start, edits } = synthesizeTrace(count);
  return [{ from: 0, to: 0, insert: start }, ...edits].slice(0, count).map((change, version) => ({
    case: "edit",
    value: create(CodeEditSchema, { filePath: "main.ts", version, changes: [change] }),
  }));
}

/** `/type/<session>/<edits>/<edits an append>`, `/open/<session>`, and `/` to measure what asking takes. */
export default {
  async fetch(request, env) {
    const [, method = "", id = "", edits, each] = new URL(request.url).pathname.split("/");
    const object = env.SESSIONS.getByName(id || "nobody");
    if (method === "type") return Response.json(await object.type(id, Number(edits), Number(each)));
    if (method === "open") return Response.json(await object.open(id));
    await object.describe("nobody");
    return Response.json({});
  },
} satisfies ExportedHandler<Env>;
