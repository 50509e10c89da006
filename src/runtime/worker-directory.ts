import { DurableObject } from "cloudflare:workers";
import type { DirectoryRpc } from "../durable/log-objects.ts";
import { answer } from "../durable/object-answer.ts";
import { DirectoryStore } from "../durable/object-directory.ts";
import type { Revocation } from "../session/revocation.ts";

/** One for all sessions: their names, secrets, and what was revoked. */
export class DirectoryObject extends DurableObject implements DirectoryRpc {
  readonly #store = new DirectoryStore(this.ctx.storage);

  add(sessionId: string) {
    return answer(() => this.#store.add(sessionId));
  }

  remove(sessionId: string) {
    return answer(() => this.#store.remove(sessionId));
  }

  names(prefix: string, after: string, limit: number) {
    return answer(() => this.#store.names(prefix, after, limit));
  }

  secret(name: string, proposed: Uint8Array) {
    return answer(() => this.#store.secret(name, proposed));
  }

  revoke(revocation: Revocation) {
    return answer(() => this.#store.revoke(revocation));
  }

  revocations(after: number, limit: number) {
    return answer(() => this.#store.revocations(after, limit));
  }
}
