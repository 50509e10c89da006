import type { SessionLog } from "../../../src/durable/session-log.ts";
import type { Link, LinkListener, SessionObjects } from "../../../src/relay/edge/gateway.ts";
import { SessionHost } from "../../../src/relay/edge/host.ts";
import type { HostLink, HostPlatform } from "../../../src/relay/edge/host-platform.ts";
import type { TreeObjects } from "../../../src/relay/edge/tree/tree-calls.ts";
import type { Limits } from "../../../src/session/limits.ts";
import type { Revocation } from "../../../src/session/revocation.ts";

/** What a platform makes of a call: it may fail before or after it. */
export type Calls = <T>(call: () => Promise<T>) => Promise<T>;

export interface ObjectsOptions {
  readonly log: SessionLog;
  readonly limits: Limits;
  readonly now: () => number;
  readonly newId: () => string;
  /** Whether an object that may leave memory does so before the next event. */
  readonly evicts: () => boolean;
  /** Makes the calls between objects. */
  readonly calls: Calls;
  /** Awaited by an object that comes into memory; where it rejects, the object cannot. */
  readonly wakes: () => Promise<void>;
  /** Awaited before a link is there; where it rejects, the object cannot be reached. */
  readonly reaches: () => Promise<void>;
  /** Awaited before an object hears that a link is gone which it has closed itself. */
  readonly closes: () => Promise<void>;
}

/** What a real link keeps at most, as UTF-16. */
const maxNoteBytes = 16 * 1024;
/** What a real object's storage takes in one value, as UTF-16. */
const maxShelfBytes = 2 * 1024 * 1024;

/** Sessions' objects in this process: what they keep outlives them, and they leave memory between any two events. */
export class Objects implements SessionObjects {
  readonly #options: ObjectsOptions;
  readonly #objects = new Map<string, LocalObject>();
  /** What an object did that had left memory. */
  readonly afterlife: string[] = [];
  evictions = 0;
  /** What objects were woken for, or kept awake by. */
  events = 0;
  /** What gateways sent them. */
  bytesUp = 0;

  constructor(options: ObjectsOptions) {
    this.#options = options;
  }

  /** Those that were ever needed, by their names. */
  get all(): readonly LocalObject[] {
    return [...this.#objects.values()];
  }

  object(sessionId: string): LocalObject {
    const object = this.#objects.get(sessionId) ?? new LocalObject(sessionId, this.#options, this);
    this.#objects.set(sessionId, object);
    return object;
  }

  async open(name: string, listener: LinkListener): Promise<Link> {
    await this.#options.reaches();
    return this.object(name).accept(listener);
  }

  region(): string {
    return "weur";
  }

  async publish(sessionId: string, call: Uint8Array): Promise<Uint8Array> {
    return await this.object(sessionId).event((host) => host.publish(call));
  }

  async disconnect(meant: { sessionId: string; userId: string; clientId: string }): Promise<number> {
    return await this.object(meant.sessionId).event((host) => host.disconnect(meant));
  }

  async describe(sessionId: string): Promise<Uint8Array | undefined> {
    return await this.object(sessionId).event((host) => host.describe(sessionId));
  }

  async names(after: string, limit: number): Promise<readonly string[]> {
    // Also of those whose log cannot be listed.
    const logs = await this.#options.log.list("", after, limit).catch(() => []);
    const names = new Set([...logs.map(({ sessionId }) => sessionId), ...this.#objects.keys()]);
    return [...names]
      .filter((name) => name > after && !name.includes("~"))
      .sort()
      .slice(0, limit);
  }

  async countStreams(sessionId: string): Promise<number> {
    const name = this.object(sessionId).name;
    const replicas = [...this.#objects.values()].filter((object) => object.name.startsWith(`${name}~`));
    return replicas.reduce((sum, { streams }) => sum + streams, this.object(sessionId).streams);
  }

  async endRevoked(sessionId: string, revocation: Revocation): Promise<number> {
    return await this.object(sessionId).event((host) => host.endRevoked(revocation));
  }

  async delete(sessionId: string, untouchedSinceMs?: number): Promise<string> {
    return await this.object(sessionId).event(async (host) => {
      const epoch = await this.#options.log.delete(sessionId, untouchedSinceMs);
      if (epoch !== "") await host.endEpoch(sessionId, epoch);
      return epoch;
    });
  }

  /** What one object asks another; one whose life is over by then hears of no answer. */
  calls(life: { readonly isOver: boolean }): TreeObjects {
    const ask = async <T>(name: string, run: (host: SessionHost) => Promise<T>): Promise<T> => {
      const answered = await this.#options.calls(() => this.object(name).event(run));
      return life.isOver ? await new Promise<never>(() => undefined) : answered;
    };
    return {
      parent: (name) => ({
        follow: (child, readers, isNew) => ask(name, (host) => host.follow(child, readers, isNew)),
      }),
      child: (name) => ({
        deliver: (delivery) => ask(name, (host) => host.deliver(structuredClone(delivery))),
        disconnect: (meant) => ask(name, (host) => host.disconnect(meant)),
        endRevoked: (revocation) => ask(name, (host) => host.endRevoked(revocation)),
      }),
    };
  }

  /** Has the alarms rung that are due. */
  async ring(): Promise<void> {
    for (const object of this.#objects.values()) await object.ring();
  }

  /** Cuts every link, as a deploy does, and takes all objects out of memory. */
  crash(): void {
    for (const object of this.#objects.values()) object.crash();
  }
}

/** What code of another version may have kept. */
const strange = JSON.stringify({ version: 7 });

class LocalObject {
  readonly name: string;
  readonly #options: ObjectsOptions;
  readonly #objects: Objects;
  readonly #links = new Set<LocalLink>();
  #host: SessionHost | undefined;
  #life = { isOver: false };
  #shelf: string | undefined;
  #tree: string | undefined;
  #alarmAtMs = Number.POSITIVE_INFINITY;
  #running = 0;
  #mustStay = false;

  constructor(name: string, options: ObjectsOptions, objects: Objects) {
    this.name = name;
    this.#options = options;
    this.#objects = objects;
  }

  get isInMemory(): boolean {
    return this.#host !== undefined;
  }

  get streams(): number {
    return this.#links.size;
  }

  get mayLeave(): boolean {
    return this.#running === 0 && !this.#mustStay;
  }

  /** Takes it out of memory, if it may leave. */
  evict(): boolean {
    if (this.#host === undefined || !this.mayLeave) return false;
    this.#leave();
    this.#objects.evictions += 1;
    return true;
  }

  crash(): void {
    this.#leave();
    for (const link of this.#links) link.cut();
    this.#links.clear();
  }

  async event<T>(run: (host: SessionHost) => Promise<T>): Promise<T> {
    this.#objects.events += 1;
    if (this.#options.evicts()) this.evict();
    this.#host ??= new SessionHost(this.#platform());
    this.#running += 1;
    const life = this.#life;
    try {
      return await run(this.#host);
    } finally {
      if (life === this.#life) this.#running -= 1;
    }
  }

  accept(listener: LinkListener): Link {
    const link = new LocalLink(this, listener, () => this.#links.delete(link), this.#options.closes);
    link.sent = (bytes) => {
      this.#objects.bytesUp += bytes;
    };
    // As a real one's: the object is in memory when it takes a link.
    void this.event(async () => void this.#links.add(link));
    return link;
  }

  async ring(): Promise<void> {
    if (this.#options.now() < this.#alarmAtMs) return;
    this.#alarmAtMs = Number.POSITIVE_INFINITY;
    await this.event((host) => host.alarm());
    // An alarm may come twice.
    await this.event((host) => host.alarm());
  }

  get links(): number {
    return this.#links.size;
  }

  /** Says this to each gateway. */
  say(bytes: Uint8Array): void {
    for (const link of this.#links) link.say(bytes);
  }

  /** As if code of another version had kept what is kept: of the object, and of its oldest link. */
  spoil(): void {
    this.#shelf = strange;
    const [first] = this.#links;
    first?.spoil(strange);
  }

  #leave(): void {
    this.#life.isOver = true;
    this.#life = { isOver: false };
    this.#host = undefined;
    this.#running = 0;
    this.#mustStay = false;
  }

  #platform(): HostPlatform {
    const { log, limits, now, newId, wakes } = this.#options;
    const life = this.#life;
    const ofTheLiving = <A extends unknown[]>(name: string, run: (...args: A) => void) => {
      return (...args: A) => {
        if (life.isOver) this.#objects.afterlife.push(name);
        else run(...args);
      };
    };
    return {
      // What rings for the next life is not heard in this one.
      log: { ...log, watch: (id, ring) => log.watch(id, (head) => void (life.isOver || ring(head))) },
      limits,
      now,
      newId,
      defer: (run) => void setTimeout(run, 0),
      async resumeSecret() {
        await wakes();
        return await log.secret("resume", crypto.getRandomValues(new Uint8Array(32)));
      },
      // As workerd lists them: the newest first, and also those that are closed on this side alone.
      links: () => [...this.#links].reverse().map((link) => link.hostEnd(ofTheLiving)),
      readShelf: async () => this.#shelf,
      writeShelf: ofTheLiving("writeShelf", (text: string) => {
        if (2 * text.length > maxShelfBytes) throw new RangeError(`a shelf of ${text.length} characters`);
        this.#shelf = text;
      }),
      tree: {
        name: this.name,
        objects: this.#objects.calls(life),
        read: async () => this.#tree,
        write: ofTheLiving("tree", (text: string) => {
          this.#tree = text;
        }),
        forget: ofTheLiving("forget", () => {
          this.#tree = undefined;
          this.#shelf = undefined;
        }),
        later(run, ms) {
          setTimeout(() => void (life.isOver || run()), ms);
        },
        random: () => 0.5,
      },
      setAlarm: ofTheLiving("setAlarm", (atMs: number) => {
        this.#alarmAtMs = Math.min(this.#alarmAtMs, atMs);
      }),
      stayAwake: ofTheLiving("stayAwake", (isNeeded: boolean) => {
        this.#mustStay = isNeeded;
      }),
    };
  }
}

type OfTheLiving = <A extends unknown[]>(name: string, run: (...args: A) => void) => (...args: A) => void;

/** Messages arrive in their order, a turn of the event loop later at the earliest. */
class LocalLink implements Link {
  readonly #object: LocalObject;
  readonly #listener: LinkListener;
  readonly #forget: () => void;
  readonly #closes: () => Promise<void>;
  #note: string | undefined;
  #isOpen = true;
  #hostEnd: HostLink | undefined;
  /** Told of what the gateway sends, in bytes. */
  sent: (bytes: number) => void = () => undefined;

  constructor(object: LocalObject, listener: LinkListener, forget: () => void, closes: () => Promise<void>) {
    this.#object = object;
    this.#listener = listener;
    this.#forget = forget;
    this.#closes = closes;
  }

  send(message: Uint8Array<ArrayBuffer>): void {
    this.sent(message.length);
    const copy = message.slice();
    setImmediate(() => {
      if (this.#isOpen) void this.#object.event((host) => host.message(this.#end, copy));
    });
  }

  close(): void {
    this.#closeAfter(Promise.resolve());
  }

  #closeAfter(heard: Promise<void>): void {
    setImmediate(() => {
      if (!this.#isOpen) return;
      this.#isOpen = false;
      void heard.then(() =>
        this.#object.event(async (host) => {
          this.#forget();
          await host.closed(this.#end);
        }),
      );
      this.#listener.closed();
    });
  }

  say(bytes: Uint8Array): void {
    this.#listener.message(bytes);
  }

  spoil(note: string): void {
    this.#note = note;
  }

  cut(): void {
    this.#isOpen = false;
    setImmediate(() => this.#listener.closed());
  }

  /** As the object has it that has come into memory now. */
  hostEnd(ofTheLiving: OfTheLiving): HostLink {
    const link = this;
    this.#hostEnd = {
      send: ofTheLiving("send", (message: Uint8Array<ArrayBuffer>) => {
        const copy = message.slice();
        setImmediate(() => {
          if (this.#isOpen) this.#listener.message(copy);
        });
      }),
      close: ofTheLiving("close", () => {
        this.#note = undefined;
        this.#closeAfter(this.#closes());
      }),
      note: ofTheLiving("note", (value: string) => {
        if (2 * value.length > maxNoteBytes) throw new RangeError(`a note of ${value.length} characters`);
        this.#note = value;
      }),
      get noted() {
        return link.#note;
      },
    };
    return this.#hostEnd;
  }

  get #end(): HostLink {
    return this.#hostEnd ?? this.hostEnd((_name, run) => run);
  }
}
