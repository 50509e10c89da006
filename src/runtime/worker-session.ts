import { answer } from "../durable/object-answer.ts";
import type { Disconnected } from "../relay/end-streams.ts";
import { defaultLimits } from "../session/limits.ts";
import type { Revocation } from "../session/revocation.ts";
import { Hosted } from "./worker-hosted.ts";
import type { SessionCalls } from "./worker-links.ts";
import { SessionLogObject } from "./worker-log-object.ts";
import { objectStubs } from "./worker-objects.ts";
import { readWorkerSettings } from "./worker-settings.ts";
import { type ParentRpc, type TreeBindings, treeObjects } from "./worker-tree.ts";

/** A session: its log, and those who are in it, behind the links of their gateways. */
export class SessionObject extends SessionLogObject<TreeBindings> implements SessionCalls, ParentRpc {
  readonly #hosted: Hosted;

  constructor(ctx: DurableObjectState, env: TreeBindings) {
    // Where variables are wrong, the gateway serves nobody.
    const outcome = readWorkerSettings(env);
    const limits = outcome.kind === "settings" ? outcome.settings.limits : defaultLimits;
    super(ctx, env, objectStubs(env), { clientTtlMs: limits.clientTtlMs });
    this.#hosted = new Hosted({ ctx, env, log: this.log, objects: treeObjects(env) });
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

  async publish(call: Uint8Array) {
    return await answer(async () => await (await this.#hosted.session()).publish(call));
  }

  async disconnect(meant: Disconnected) {
    return await answer(async () => await (await this.#hosted.session()).disconnect(meant));
  }

  async endRevoked(revocation: Revocation) {
    return await answer(async () => await (await this.#hosted.session()).endRevoked(revocation));
  }

  async describeSession(sessionId: string) {
    return await answer(async () => await (await this.#hosted.session()).describe(sessionId));
  }

  /** Of the session itself nothing is asked: it stays as it is, in memory or not. */
  async countStreams() {
    return await answer(() => this.#hosted.streams);
  }

  async follow(child: string, readers: number, isNew: boolean) {
    return await answer(async () => await (await this.#hosted.session()).follow(child, readers, isNew));
  }

  /** Whoever is in a session that is deleted is told so. */
  override async deleteSession(sessionId: string, untouchedSinceMs?: number) {
    // Before the log forgets which epoch they live in.
    const host = this.#hosted.isLive ? await this.#hosted.session() : undefined;
    const deletion = await super.deleteSession(sessionId, untouchedSinceMs);
    if (deletion.kind === "answered" && deletion.value !== "") await host?.endEpoch(sessionId, deletion.value);
    return deletion;
  }
}
