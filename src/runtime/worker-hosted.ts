import { getLogger } from "@logtape/logtape";
import type { SessionLog } from "../durable/session-log.ts";
import { SessionHost } from "../relay/edge/host.ts";
import { decodeKept } from "../relay/edge/tree/kept.ts";
import type { TreeObjects } from "../relay/edge/tree/tree-calls.ts";
import { createStreamId } from "../relay/wire/router.ts";
import { requireWorkerSettings } from "./worker-config.ts";
import { SocketLink } from "./worker-socket-link.ts";

const logger = getLogger(["baton", "object"]);

const resumeSecretBytes = 32;

export interface HostedOptions {
  readonly ctx: DurableObjectState;
  readonly env: object;
  readonly log: SessionLog;
  readonly objects: TreeObjects;
}

/**
 * What lives in an object of a session, as Cloudflare's objects come and go: its links are hibernatable WebSockets, and it
 * comes into memory with the first event that needs it.
 */
export class Hosted {
  readonly #options: HostedOptions;
  readonly #links = new WeakMap<WebSocket, SocketLink>();
  #host: Promise<SessionHost> | undefined;
  /** One after the other. */
  #alarmSet: Promise<void> = Promise.resolve();
  #awake: ReturnType<typeof setInterval> | undefined;

  constructor(options: HostedOptions) {
    this.#options = options;
  }

  /** A gateway's link. */
  accept(): Response {
    const { 0: gateway, 1: session } = new WebSocketPair();
    this.#options.ctx.acceptWebSocket(session);
    return new Response(null, { status: 101, webSocket: gateway });
  }

  async message(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    if (typeof message === "string") return;
    await (await this.session()).message(this.#link(socket), new Uint8Array(message));
  }

  async closed(socket: WebSocket): Promise<void> {
    await (await this.session()).closed(this.#link(socket));
  }

  async alarm(): Promise<void> {
    await (await this.session()).alarm();
  }

  /** How many streams there are, here and at the replicas below, as far as they told. */
  get streams(): number {
    const { ctx } = this.#options;
    const kept = ctx.storage.kv.get<string>("tree");
    const below = (kept === undefined ? undefined : decodeKept(kept))?.followers ?? [];
    return below.reduce((sum, { readers }) => sum + readers, ctx.getWebSockets().length);
  }

  /** Whether somebody may be in the session, or something of it in memory. */
  get isLive(): boolean {
    return this.#host !== undefined || this.streams > 0;
  }

  session(): Promise<SessionHost> {
    this.#host ??= this.#open();
    return this.#host;
  }

  async #open(): Promise<SessionHost> {
    const { ctx, env, log, objects } = this.#options;
    const { limits, resumeSecret } = requireWorkerSettings(env);
    const name = ctx.id.name ?? "";
    const links = () => ctx.getWebSockets().map((socket) => this.#link(socket));
    logger.debug("a session came into memory", { session: name, links: links().length });
    const { kv } = ctx.storage;
    const later = (run: () => void, ms: number) => void setTimeout(run, ms);
    return new SessionHost({
      log,
      limits,
      now: Date.now,
      newId: createStreamId,
      defer: (run) => later(run, 0),
      resumeSecret: async () => resumeSecret ?? (await this.#keptResumeSecret()),
      links,
      readShelf: async () => kv.get<string>("shelf"),
      writeShelf: (text) => kv.put("shelf", text),
      setAlarm: (atMs) => this.#setAlarm(atMs),
      stayAwake: (isNeeded) => this.#stayAwake(isNeeded),
      tree: {
        name,
        objects,
        read: async () => kv.get<string>("tree"),
        write: (text) => kv.put("tree", text),
        forget: () => void ctx.storage.deleteAll(),
        later,
        random: Math.random,
      },
    });
  }

  #link(socket: WebSocket): SocketLink {
    const link = this.#links.get(socket) ?? new SocketLink(socket);
    this.#links.set(socket, link);
    return link;
  }

  /** Kept here too: else the directory would be asked each time that this object comes into memory. */
  async #keptResumeSecret(): Promise<Uint8Array> {
    const { kv } = this.#options.ctx.storage;
    const kept = kv.get<Uint8Array>("resume-secret");
    if (kept !== undefined) return kept;
    const proposed = crypto.getRandomValues(new Uint8Array(resumeSecretBytes));
    const secret = await this.#options.log.secret("resume", proposed);
    kv.put("resume-secret", secret);
    return secret;
  }

  /**
   * Setting an alarm is a row that is written: one that comes too early is left as it is. Storage is asked each time, since
   * a session that is deleted takes its alarm with it.
   */
  #setAlarm(atMs: number): void {
    const { storage } = this.#options.ctx;
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
