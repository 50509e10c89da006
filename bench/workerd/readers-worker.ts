import { decodeKept } from "../../src/relay/edge/tree/kept.ts";
import { parseReplicaName } from "../../src/relay/edge/tree/replica-name.ts";
import worker from "../../src/runtime/worker.ts";
import { DirectoryObject } from "../../src/runtime/worker-directory.ts";
import { ReplicaObject } from "../../src/runtime/worker-replica.ts";
import { SessionObject } from "../../src/runtime/worker-session.ts";

export { DirectoryObject };

/** The sockets of an object, and which objects are below it. */
function look({ storage }: DurableObjectState, sockets: number) {
  const kept = storage.kv.get<string>("tree");
  const followers = (kept === undefined ? undefined : decodeKept(kept))?.followers ?? [];
  return { sockets, below: followers.map(({ name }) => name) };
}

export class CountedSession extends SessionObject {
  count() {
    return look(this.ctx, this.ctx.getWebSockets().length);
  }
}

export class CountedReplica extends ReplicaObject {
  count() {
    return look(this.ctx, this.ctx.getWebSockets().length);
  }
}

interface Env {
  readonly SESSIONS: DurableObjectNamespace<CountedSession>;
  readonly REPLICAS: DurableObjectNamespace<CountedReplica>;
  readonly DIRECTORY: DurableObjectNamespace<DirectoryObject>;
}

/** The worker as it is deployed, and `/count/<object>`. */
export default {
  async fetch(request, env, context) {
    const [, method = "", name = ""] = new URL(request.url).pathname.split("/");
    if (method !== "count") return await worker.fetch(request, env, context);
    const isReplica = parseReplicaName(decodeURIComponent(name)) !== undefined;
    const object = (isReplica ? env.REPLICAS : env.SESSIONS).getByName(decodeURIComponent(name));
    return Response.json(await object.count());
  },
} satisfies ExportedHandler<Env>;
