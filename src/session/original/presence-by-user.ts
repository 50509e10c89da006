import { PresenceUpdate_Status as Status } from "../../gen/codereview/v1/codereview_pb.ts";

/**
 * Presence for whoever knows users and not their devices: a user joins with the first of them, and has left with the
 * last. So one who comes back on a new stream before the old one is given up has not left.
 */
export class PresenceByUser {
  readonly #clients = new Map<string, Set<string>>();

  /** A client of this user is there. Whether it is the user's first. */
  sees(userId: string, clientId: string): boolean {
    const clients = this.#clients.get(userId) ?? new Set();
    this.#clients.set(userId, clients.add(clientId));
    return clients.size === 1;
  }

  /** What is said of the user when this is said of a client; undefined = nothing. */
  told(userId: string, clientId: string, status: Status): Status | undefined {
    if (status === Status.LEFT) return this.#left(userId, clientId) ? status : undefined;
    const known = this.#clients.has(userId);
    this.sees(userId, clientId);
    return known && status === Status.JOINED ? Status.ACTIVE : status;
  }

  #left(userId: string, clientId: string): boolean {
    const clients = this.#clients.get(userId);
    if (clients?.delete(clientId) !== true || clients.size > 0) return false;
    return this.#clients.delete(userId);
  }
}
