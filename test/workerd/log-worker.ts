import { createObjectsLog, type ObjectStubs } from "../../src/durable/log-objects.ts";
import { answer } from "../../src/durable/object-answer.ts";
import type { AppendBatch, ClientKey } from "../../src/durable/session-log.ts";
import { DirectoryObject } from "../../src/runtime/worker-directory.ts";
import { SessionLogObject } from "../../src/runtime/worker-log-object.ts";
import { RowCount } from "./row-count.ts";
import { readValue, writeValue } from "./wire-values.ts";

export { DirectoryObject };

interface Env {
  readonly SESSIONS: DurableObjectNamespace<StoredSession>;
  readonly DIRECTORY: DurableObjectNamespace<DirectoryObject>;
}

/** One store of many in the same namespaces: each has objects of its own, whose names begin with its name. */
function stubsOf({ SESSIONS, DIRECTORY }: Env, store: string): ObjectStubs {
  return {
    session: (sessionId) => SESSIONS.getByName(`${store} ${sessionId}`),
    directory: () => DIRECTORY.getByName(store),
  };
}

export class StoredSession extends SessionLogObject<Env> {
  readonly #rows: RowCount;

  constructor(ctx: DurableObjectState, env: Env) {
    const [store = "", sessionId = ""] = (ctx.id.name ?? "").split(" ");
    const rows = new RowCount(ctx.storage);
    super(ctx, env, stubsOf(env, store), { sessionId, storage: rows.storage });
    this.#rows = rows;
  }

  /** Answers when the directory knows as well, so that a test can look there next. */
  override async claim(sessionId: string, client: ClientKey, proposedEpoch: string) {
    const claim = await super.claim(sessionId, client, proposedEpoch);
    await this.log.settled();
    return claim;
  }

  override async deleteSession(sessionId: string, untouchedSinceMs?: number) {
    const deletion = await super.deleteSession(sessionId, untouchedSinceMs);
    await this.log.settled();
    return deletion;
  }

  /** Rows since the last time that this was asked, as the platform counts them; all that the object holds, in tables. */
  rows() {
    const tables = [...this.ctx.storage.sql.exec("SELECT name FROM sqlite_master WHERE type = 'table'")];
    return { ...this.#rows.take(), tables: tables.length };
  }

  /** Waits in the middle of a request, and then appends. */
  async appendLater(sessionId: string, batch: AppendBatch, waitMs: number) {
    await scheduler.wait(waitMs);
    return await this.append(sessionId, batch);
  }
}

/** `POST /<store>/<method of SessionLog>`, with its arguments; `rows` and `appendLater` are of the session's object. */
export default {
  async fetch(request, env) {
    const [, store = "", method = ""] = new URL(request.url).pathname.split("/");
    const log = createObjectsLog(stubsOf(env, store));
    const args = readValue(await request.text());
    if (!Array.isArray(args)) return new Response(null, { status: 400 });
    const object = env.SESSIONS.getByName(`${store} ${String(args[0])}`);
    if (method === "rows") return new Response(writeValue(await object.rows()));
    if (method === "appendLater") return new Response(writeValue(await object.appendLater(args[0], args[1], args[2])));
    const call: unknown = Reflect.get(log, method);
    if (typeof call !== "function") return new Response(null, { status: 400 });
    return new Response(writeValue(await answer<unknown>(() => Reflect.apply(call, log, args))));
  },
} satisfies ExportedHandler<Env>;
