import { createObjectsLog, type ObjectStubs } from "../../src/durable/log-objects.ts";
import { answer } from "../../src/durable/object-answer.ts";
import type { ClientKey } from "../../src/durable/session-log.ts";
import { DirectoryObject } from "../../src/runtime/worker-directory.ts";
import { SessionLogObject } from "../../src/runtime/worker-log-object.ts";
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
  constructor(ctx: DurableObjectState, env: Env) {
    const [store = "", sessionId = ""] = (ctx.id.name ?? "").split(" ");
    super(ctx, env, stubsOf(env, store), sessionId);
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
}

/** `POST /<store>/<method of SessionLog>`, with its arguments. */
export default {
  async fetch(request, env) {
    const [, store = "", method = ""] = new URL(request.url).pathname.split("/");
    const log = createObjectsLog(stubsOf(env, store));
    const call: unknown = Reflect.get(log, method);
    const args = readValue(await request.text());
    if (typeof call !== "function" || !Array.isArray(args)) return new Response(null, { status: 400 });
    return new Response(writeValue(await answer<unknown>(() => Reflect.apply(call, log, args))));
  },
} satisfies ExportedHandler<Env>;
