import { getLogger } from "@logtape/logtape";
import { createLocalBus } from "../durable/bus-local.ts";
import { answer } from "../durable/object-answer.ts";
import { SessionHost } from "../relay/edge/host.ts";
import type { HostLink } from "../relay/edge/host-platform.ts";
import type { Disconnected } from "../relay/end-streams.ts";
import { createStreamId } from "../relay/wire/router.ts";
import { defaultLimits } from "../session/limits.ts";
import type { Revocation } from "../session/revocation.ts";
import { requireWorkerSettings } from "./worker-config.ts";
import type { SessionCalls } from "./worker-links.ts";
import { SessionLogObject } from "./worker-log-object.ts";
import { type ObjectBindings, objectStubs } from "./worker-objects.ts";
import { readWorkerSettings } from "./worker-settings.ts";

const logger = getLogger(["baton", "object"]);

const resumeSecretBytes = 32;

/** A session: its log, and those who are in it, behind the links of their gateways. */
export class SessionObject extends SessionLogObject<ObjectBindings> implements SessionCalls {
  readonly #links = new WeakMap<WebSocket, SocketLink>();
  #host: Promise<SessionHost> | undefined;
  /** One after the other. */
  #alarmSet: Promise<void> = Promise.resolve();
  #awake: ReturnType<typeof setInterval> | undefined;

  constructor(ctx: DurableObjectState, env: ObjectBindings) {
    // Where variables are wrong, the gateway serves nobody.
    const outcome = readWorkerSettings(env);
    const limits = outcome.kind === "settings" ? outcome.settings.limits : defaultLimits;
    super(ctx, env, objectStubs(env), { clientTtlMs: limits.clientTtlMs });
  }

  /** A gateway's link. */
  override fetch(): Response {
    const { 0: gateway, 1: session } = new WebSocketPair();
    this.ctx.acceptWebSocket(session);
    return new Response(null, { status: 101, webSocket: gateway });
  }

  override async webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    if (typeof message === "string") return;
    await (await this.#session()).message(this.#link(socket), new Uint8Array(message));
  }

  override async webSocketClose(socket: WebSocket): Promise<void> {
    await (await this.#session()).closed(this.#link(socket));
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    await this.webSocketClose(socket);
  }

  override async alarm(): Promise<void> {
    await (await this.#session()).alarm();
  }

  async publish(call: Uint8Array) {
    return await answer(async () => await (await this.#session()).publish(call));
  }

  async disconnect(meant: Disconnected) {
    return await answer(async () => await (await this.#session()).disconnect(meant));
  }

  async endRevoked(revocation: Revocation) {
    return await answer(async () => await (await this.#session()).endRevoked(revocation));
  }

  async describeSession(sessionId: string) {
    return await answer(async () => await (await this.#session()).describe(sessionId));
  }

  /** Of the session itself nothing is asked: it stays as it is, in memory or not. */
  async countStreams() {
    return await answer(() => this.ctx.getWebSockets().length);
  }

  /** Whoever is in a session that is deleted is told so. */
  override async deleteSession(sessionId: string, untouchedSinceMs?: number) {
    // Before the log forgets which epoch they live in.
    const isLive = this.#host !== undefined || this.ctx.getWebSockets().length > 0;
    const host = isLive ? await this.#session() : undefined;
    const deletion = await super.deleteSession(sessionId, untouchedSinceMs);
    if (deletion.kind === "answered" && deletion.value !== "") await host?.endEpoch(sessionId, deletion.value);
    return deletion;
  }

  /** What lives on the log comes into memory with the first event that needs it. */
  #session(): Promise<SessionHost> {
    this.#host ??= this.#openHost();
    return this.#host;
  }

  async #openHost(): Promise<SessionHost> {
    const { limits, resumeSecret } = requireWorkerSettings(this.env);
    const links = () => this.ctx.getWebSockets().map((socket) => this.#link(socket));
    logger.debug("a session came into memory", { session: this.ctx.id.name, links: links().length });
    const { storage } = this.ctx;
    return new SessionHost({
      log: this.log,
      bus: createLocalBus().member(),
      limits,
      now: Date.now,
      newId: createStreamId,
      defer: (run) => void setTimeout(run, 0),
      resumeSecret: async () => resumeSecret ?? (await this.#keptResumeSecret()),
      links,
      readShelf: async () => storage.kv.get<string>("shelf"),
      writeShelf: (text) => storage.kv.put("shelf", text),
      setAlarm: (atMs) => this.#setAlarm(atMs),
      stayAwake: (isNeeded) => this.#stayAwake(isNeeded),
    });
  }

  #link(socket: WebSocket): SocketLink {
    const link = this.#links.get(socket) ?? new SocketLink(socket);
    this.#links.set(socket, link);
    return link;
  }

  /** Kept here too: else the directory would be asked each time that this object comes into memory. */
  async #keptResumeSecret(): Promise<Uint8Array> {
    const { kv } = this.ctx.storage;
    const kept = kv.get<Uint8Array>("resume-secret");
    if (kept !== undefined) return kept;
    const secret = await this.log.secret("resume", crypto.getRandomValues(new Uint8Array(resumeSecretBytes)));
    kv.put("resume-secret", secret);
    return secret;
  }

  /**
   * Setting an alarm is a row that is written: one that comes too early is left as it is. Storage is asked each time, since
   * a session that is deleted takes its alarm with it.
   */
  #setAlarm(atMs: number): void {
    const { storage } = this.ctx;
    const set = async () => {
      const presentMs = (await storage.getAlarm()) ?? Number.POSITIVE_INFINITY;
      if (atMs < presentMs) await storage.setAlarm(atMs);
    };
    this.#alarmSet = this.#alarmSet.then(set).catch((error: unknown) => {
      logger.error("an alarm cannot be set", { error: error instanceof Error ? error.name : "unknown" });
    });
  }

  /** An object with a timer is not taken out of memory while its links live. */
  #stayAwake(isNeeded: boolean): void {
    if (isNeeded) {
      this.#awake ??= setInterval(() => undefined, 60_000);
    } else {
      clearInterval(this.#awake);
      this.#awake = undefined;
    }
  }
}

/** A link is a hibernatable WebSocket, and its note the socket's attachment. */
class SocketLink implements HostLink {
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  send(message: Uint8Array<ArrayBuffer>): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(message);
  }

  close(): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    // Until the other side has answered, the next life finds it among its sockets.
    this.#socket.serializeAttachment(null);
    this.#socket.close(1000);
  }

  note(value: string): void {
    this.#socket.serializeAttachment(value);
  }

  get noted(): string | undefined {
    const noted: unknown = this.#socket.deserializeAttachment();
    return typeof noted === "string" ? noted : undefined;
  }
}
