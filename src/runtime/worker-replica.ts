import { DurableObject } from "cloudflare:workers";
import { createObjectsLog } from "../durable/log-objects.ts";
import { answer } from "../durable/object-answer.ts";
import type { Disconnected } from "../relay/end-streams.ts";
import type { Revocation } from "../session/revocation.ts";
import { Hosted } from "./worker-hosted.ts";
import { objectStubs } from "./worker-objects.ts";
import { type ChildRpc, type ParentRpc, type TreeBindings, treeObjects } from "./worker-tree.ts";

/** A replica of a session: those who only read, and for whom the session's own object has no place. */
export class ReplicaObject extends DurableObject<TreeBindings> implements ParentRpc, ChildRpc {
  readonly #hosted: Hosted;

  constructor(ctx: DurableObjectState, env: TreeBindings) {
    super(ctx, env);
    const log = createObjectsLog(objectStubs(env));
    this.#hosted = new Hosted({ ctx, env, log, objects: treeObjects(env) });
  }

  /** A gateway's link. */
  override fetch(): Response {
    return this.#hosted.accept();
  }

  override async webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    await this.#hosted.message(socket, message);
  }

  override async webSocketClose(socket: WebSocket): Promise<void> {
    await this.#hosted.closed(socket);
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    await this.#hosted.closed(socket);
  }

  override async alarm(): Promise<void> {
    await this.#hosted.alarm();
  }

  async disconnect(meant: Disconnected) {
    return await answer(async () => await (await this.#hosted.session()).disconnect(meant));
  }

  async endRevoked(revocation: Revocation) {
    return await answer(async () => await (await this.#hosted.session()).endRevoked(revocation));
  }

  async follow(child: string, readers: number, isNew: boolean) {
    return await answer(async () => await (await this.#hosted.session()).follow(child, readers, isNew));
  }

  async deliver(delivery: unknown) {
    return await answer(async () => await (await this.#hosted.session()).deliver(delivery));
  }
}
