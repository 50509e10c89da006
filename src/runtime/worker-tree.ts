import { locationHints } from "../durable/location-hint.ts";
import { type Answer, ask } from "../durable/object-answer.ts";
import { parseReplicaName } from "../relay/edge/tree/replica-name.ts";
import type { TreeObjects } from "../relay/edge/tree/tree-calls.ts";
import type { Disconnected } from "../relay/end-streams.ts";
import type { Revocation } from "../session/revocation.ts";
import type { SessionLogObject } from "./worker-log-object.ts";
import type { ObjectBindings } from "./worker-objects.ts";

/** What an object answers to those below it, by RPC (`Parent`). */
export interface ParentRpc {
  follow(child: string, readers: number, isNew: boolean): Promise<Answer<void>>;
}

/** What a replica answers to the object above it, by RPC (`Child`). */
export interface ChildRpc {
  deliver(delivery: unknown): Promise<Answer<number>>;
  disconnect(meant: Disconnected): Promise<Answer<number>>;
  endRevoked(revocation: Revocation): Promise<Answer<number>>;
}

/** The objects of sessions, as `wrangler.toml` binds them. */
export interface TreeBindings extends Omit<ObjectBindings, "SESSIONS"> {
  readonly SESSIONS: DurableObjectNamespace<SessionLogObject & ParentRpc>;
  readonly REPLICAS: DurableObjectNamespace<Rpc.DurableObjectBranded & ParentRpc & ChildRpc>;
}

/** A replica's stub, by its name: it is made where those are who read from it. */
export function findReplica<T extends Rpc.DurableObjectBranded>(replicas: DurableObjectNamespace<T>, name: string) {
  const region = parseReplicaName(name)?.region;
  const hint = locationHints.find((known) => known === region);
  return replicas.getByName(name, hint === undefined ? {} : { locationHint: hint });
}

/** Each call goes by a stub of its own, since one that failed once fails for good. */
export function treeObjects({ SESSIONS, REPLICAS }: TreeBindings): TreeObjects {
  return {
    parent(name) {
      const parent = (): ParentRpc =>
        parseReplicaName(name) === undefined ? SESSIONS.getByName(name) : findReplica(REPLICAS, name);
      return { follow: (child, readers, isNew) => ask(async () => parent().follow(child, readers, isNew)) };
    },
    child(name) {
      const child = (): ChildRpc => findReplica(REPLICAS, name);
      return {
        deliver: (delivery) => ask(async () => child().deliver(delivery)),
        disconnect: (meant) => ask(async () => child().disconnect(meant)),
        endRevoked: (revocation) => ask(async () => child().endRevoked(revocation)),
      };
    },
  };
}
