import { DurableObject } from "cloudflare:workers";
import { createObjectsLog, type ObjectStubs, type SessionRpc } from "../durable/log-objects.ts";
import { answer, ask } from "../durable/object-answer.ts";
import { createObjectLog, type ObjectLog, type ObjectLogOptions } from "../durable/object-log.ts";
import type { AppendBatch, ClientKey, StoredSnapshot } from "../durable/session-log.ts";

/** An object that is one session, as far as its log goes. What lives on the log extends it. */
export abstract class SessionLogObject<Env = unknown> extends DurableObject<Env> implements SessionRpc {
  protected readonly log: ObjectLog;

  /**
   * @param stubs the way to the other objects
   * @param own of the log, what differs from the object's own name and storage
   */
  constructor(
    ctx: DurableObjectState,
    env: Env,
    stubs: ObjectStubs,
    own: Partial<Pick<ObjectLogOptions, "sessionId" | "storage" | "clientTtlMs">> = {},
  ) {
    super(ctx, env);
    this.log = createObjectLog({
      sessionId: ctx.id.name ?? "",
      storage: ctx.storage,
      ...own,
      directory: {
        add: (id) => ask(async () => stubs.directory().add(id)),
        remove: (id) => ask(async () => stubs.directory().remove(id)),
      },
      shared: createObjectsLog(stubs),
      now: Date.now,
    });
  }

  describe(sessionId: string) {
    return answer(() => this.log.describe(sessionId));
  }

  claim(sessionId: string, client: ClientKey, proposedEpoch: string) {
    return answer(() => this.log.claim(sessionId, client, proposedEpoch));
  }

  append(sessionId: string, batch: AppendBatch) {
    return answer(() => this.log.append(sessionId, batch));
  }

  read(sessionId: string, from: number, to: number, maxBytes: number, epoch?: string) {
    return answer(() => this.log.read(sessionId, from, to, maxBytes, epoch));
  }

  putSnapshot(sessionId: string, epoch: string, snapshot: StoredSnapshot) {
    return answer(() => this.log.putSnapshot(sessionId, epoch, snapshot));
  }

  latestSnapshot(sessionId: string, atMost?: number) {
    return answer(() => this.log.latestSnapshot(sessionId, atMost));
  }

  dropSnapshot(sessionId: string, epoch: string, seq: number) {
    return answer(() => this.log.dropSnapshot(sessionId, epoch, seq));
  }

  trim(sessionId: string, epoch: string, throughSeq: number) {
    return answer(() => this.log.trim(sessionId, epoch, throughSeq));
  }

  renewEpoch(sessionId: string, expectedEpoch: string, newEpoch: string) {
    return answer(() => this.log.renewEpoch(sessionId, expectedEpoch, newEpoch));
  }

  deleteSession(sessionId: string, untouchedSinceMs?: number) {
    return answer(() => this.log.delete(sessionId, untouchedSinceMs));
  }
}
