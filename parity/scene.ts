import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { signDevelopmentToken } from "../src/auth/sign.ts";
import { AdminService, CodeReviewService, type SessionMessage } from "../src/gen/codereview/v1/codereview_pb.ts";
import { createRandom } from "../test/support/random.ts";
import { type ProxyWeather, startTcpProxy, type TcpProxy } from "../test/support/tcp-proxy.ts";
import { judge } from "../trial/judge.ts";
import { readRecords } from "../trial/log.ts";
import { Participant } from "../trial/participant.ts";
import { Conversation, type Opening } from "./conversation.ts";
import type { RunningRelay } from "./runtimes/runtime.ts";
import type { Entrance, OpenWay, Way } from "./ways/way.ts";

export interface TokenOptions {
  /** Default: all sessions. */
  readonly sessions?: readonly string[];
  readonly scope?: string;
  readonly ttlSeconds?: number;
  readonly tokenId?: string;
  /** When it was issued; default: now. */
  readonly nowMs?: number;
  /** Default: the secret that the relay knows. */
  readonly secret?: Uint8Array;
}

type Talk = Partial<Opening> & {
  readonly headers?: Readonly<Record<string, string>>;
  /** Where it goes in; default: at the relay. */
  readonly entrance?: Entrance;
};

const everything = "session:edit session:comment session:custom";
const patienceMs = 30_000;

/** What one row has to itself on one way: a session, users of its own, and the tools to look at them. */
export class Scene {
  readonly relay: RunningRelay;
  readonly way: Way;
  readonly session: string;
  readonly random: () => number;
  readonly entrance: Entrance;
  readonly reader: Client<typeof CodeReviewService>;
  readonly admin: Client<typeof AdminService>;
  readonly #secret: Uint8Array;
  readonly #cleanups: (() => Promise<void> | void)[] = [];

  constructor(relay: RunningRelay, way: Way, secret: Uint8Array, name: string, seed: number) {
    this.relay = relay;
    this.way = way;
    this.#secret = secret;
    this.session = name;
    this.random = createRandom(seed);
    const url = way.isNative === true ? relay.grpcUrl : relay.url;
    if (url === undefined) throw new Error(`${way.name} is not served`);
    this.entrance = { url, httpVersion: way.isNative === true ? "2" : relay.httpVersion };
    const transport = createConnectTransport({ baseUrl: relay.url, httpVersion: relay.httpVersion });
    this.reader = createClient(CodeReviewService, transport);
    this.admin = createClient(AdminService, transport);
  }

  /** Its name in this scene alone: what a user takes up is counted over all that they do. */
  user(name: string): string {
    return `${name}-${this.session}`;
  }

  token(name: string, options: TokenOptions = {}): Promise<string> {
    const { sessions = ["*"], scope = everything, ttlSeconds = 3600, tokenId, nowMs = Date.now() } = options;
    const claims = { sub: this.user(name), sessions, scope, ttlSeconds, ...(tokenId !== undefined && { tokenId }) };
    return signDevelopmentToken(options.secret ?? this.#secret, claims, nowMs);
  }

  async headers(name: string, options: TokenOptions = {}): Promise<{ readonly authorization: string }> {
    return { authorization: `Bearer ${await this.token(name, options)}` };
  }

  open(entrance: Entrance = this.entrance, headers: Readonly<Record<string, string>> = {}): OpenWay {
    const open = this.way.open(entrance, headers);
    this.#cleanups.push(() => open.close());
    return open;
  }

  /** A stream on a connection of its own, as this user. */
  async talk(name: string, { headers, entrance, ...opening }: Talk = {}): Promise<Conversation> {
    const token = opening.token ?? (await this.token(name));
    const { carriage } = this.open(entrance, headers);
    const talk = new Conversation(carriage, { session: this.session, ...opening, token });
    this.#cleanups.push(() => talk.cut());
    return talk;
  }

  /** A whole client. */
  person(name: string, entrance: Entrance = this.entrance): Participant {
    const { carriage } = this.open(entrance);
    const { reader, session } = this;
    const secret = this.#secret;
    const person = new Participant({
      name: this.user(name),
      session,
      secret,
      carriage,
      reader,
      tokenTtlSeconds: 3600,
    });
    this.#cleanups.push(() => person.connection.close(0));
    return person;
  }

  /** Something on the way to the relay. */
  async proxy(weather?: ProxyWeather): Promise<TcpProxy & { readonly entrance: Entrance }> {
    const proxy = await startTcpProxy(this.entrance.url, weather);
    this.#cleanups.push(() => proxy.stop());
    return { ...proxy, entrance: { ...this.entrance, url: proxy.url } };
  }

  cleanUp(run: () => Promise<void> | void): void {
    this.#cleanups.push(run);
  }

  async log(fromSeq = 1): Promise<readonly SessionMessage[]> {
    return await readRecords(this.reader, this.session, await this.token("reader"), fromSeq);
  }

  async until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const deadlineMs = Date.now() + patienceMs;
    while (!(await holds())) {
      if (Date.now() > deadlineMs) throw new Error(`gave up waiting until ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Waits until all that these did is in the log and known to each, and holds it against the log. */
  async settle(people: readonly Participant[]): Promise<readonly SessionMessage[]> {
    await this.until("everybody's work is in the log", () => people.every(({ machine }) => machine.settled));
    const records = await this.log();
    await this.until("everybody knows the log", () => people.every(({ machine }) => machine.lastSeq >= records.length));
    const faults = judge(this.session, people, records);
    if (faults.length > 0) throw new Error(faults.join("; "));
    return records;
  }

  async close(): Promise<void> {
    for (const cleanup of this.#cleanups.reverse()) await cleanup();
  }
}
