import { create, fromBinary } from "@bufbuild/protobuf";
import { signDevelopmentToken } from "../../src/auth/sign.ts";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import type { LogRecord, Ring, SessionLog } from "../../src/durable/session-log.ts";
import {
  type Fault,
  FaultSchema,
  type SessionMessage,
  SessionMessageSchema,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { collaborate } from "../../src/relay/session-streams.ts";
import type { StreamCall } from "../../src/relay/stream.ts";
import { envelopeBytes } from "../../src/relay/wire/envelope.ts";
import { BatonError, type Reason, reasons } from "../../src/session/reasons.ts";
import { secret } from "../relay/harness.ts";
import type { Network, NetworkStream } from "../session/client/participant.ts";
import { BadBus } from "./bad-bus.ts";
import { createBadLog } from "./bad-log.ts";
import { Fate, Instance } from "./instance.ts";
import { Scheduler } from "./scheduler.ts";
import type { Weather } from "./weather.ts";

/** A client's stream to one of the instances. */
export interface WorldStream extends NetworkStream {
  readonly userId: string;
  readonly instance: Instance;
  ended: Reason | undefined;
  /** Hands the oldest message of `up` to the relay; false = there is none. */
  takeUp(): boolean;
  /** Its peer is gone. */
  cut(): void;
}

const everything = "session:edit session:comment session:custom";
/** Turns of the event loop that a step lets pass: what came in it is handled, and mostly also what is signed or checked. */
const turnsPerStep = 4;

/** Instances, the store and the bus between them, and the network before them, in one seeded run. */
export class World implements Network<WorldStream> {
  readonly streams = new Set<WorldStream>();
  /** What the store holds, or held. */
  readonly log: { readonly message: SessionMessage }[] = [];
  readonly instances: Instance[] = [];
  readonly scheduler: Scheduler;
  readonly bus: BadBus;
  readonly counts = { paused: 0, killed: 0, cut: 0, tailsLost: 0, steps: 0 };
  /** What was told at each place of each epoch, and where two different things were. */
  readonly told = new Map<string, string>();
  readonly contradictions: string[] = [];
  weather: Weather;
  store: SessionLog;
  /** What a test does on purpose in each step. */
  eachStep: () => void = () => undefined;
  nowMs = Date.now();
  readonly #tokens = new Map<string, string>();
  readonly #doorbells = new Set<Ring>();
  /** Streams whose relay has not been told yet that their client is gone. */
  readonly #open = new Set<WorldStream>();

  private constructor(random: () => number, weather: Weather) {
    this.weather = weather;
    this.scheduler = new Scheduler(random, weather.longestDelay);
    this.bus = new BadBus(this.scheduler, () => this.weather);
    this.store = this.#openStore();
  }

  static async start(random: () => number, weather: Weather, users: readonly string[]): Promise<World> {
    const world = new World(random, weather);
    for (const sub of users) {
      const token = await signDevelopmentToken(
        secret,
        { sub, sessions: ["s"], scope: everything, ttlSeconds: 10 * 24 * 3600 },
        world.nowMs,
      );
      world.#tokens.set(sub, token);
    }
    for (let n = 0; n < weather.instances; n++) await world.startInstance();
    return world;
  }

  async startInstance(): Promise<void> {
    const fate = new Fate();
    const log = createBadLog(this, fate, this.#doorbells, (records) => this.#appended(records));
    const { logRecords } = this.weather;
    const platform = { log, bus: this.bus.member(fate), nowMs: () => this.nowMs, logRecords };
    this.instances.push(await Instance.start(fate, platform));
  }

  /** Those that were not killed. */
  get alive(): readonly Instance[] {
    return this.instances.filter(({ fate }) => fate.state !== "killed");
  }

  open(userId: string): WorldStream {
    const { alive } = this;
    const instance = alive[this.scheduler.pick(alive.length)];
    if (instance === undefined) throw new Error("no instance is alive");
    let epoch = "";
    const stream = createStream(instance, userId, this.#tokens.get(userId) ?? "", (message) => {
      if (message.payload.case === "welcome") epoch = message.payload.value.epoch;
      else this.#note(epoch, userId, message);
    });
    this.streams.add(stream);
    this.#open.add(stream);
    return stream;
  }

  faultOf(reason: Reason): Fault {
    const { code, action } = reasons[reason];
    return create(FaultSchema, { code, reason, action });
  }

  /** Time passes, what is due arrives, and what was said goes up. */
  async step(ms: number): Promise<void> {
    this.counts.steps += 1;
    this.nowMs += ms;
    this.eachStep();
    this.scheduler.advance();
    for (const instance of this.instances) instance.tick();
    for (const stream of [...this.streams]) if (this.scheduler.pick(3) > 0) stream.takeUp();
    for (const stream of this.#open) {
      if (stream.gone && stream.up.length === 0) this.streams.delete(stream);
      if (this.streams.has(stream)) continue;
      this.#open.delete(stream);
      stream.cut();
    }
    for (let turn = 0; turn < turnsPerStep; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  }

  kill(instance: Instance): void {
    this.counts.killed += 1;
    instance.fate.kill();
  }

  /** The store comes back without its newest records, as after a failover. Returns those that are gone. */
  async loseTail(records: number): Promise<readonly SessionMessage[]> {
    const before = this.store;
    const state = await before.describe("s");
    if (state === undefined || state.head <= records) return [];
    this.counts.tailsLost += 1;
    const all = await before.read("s", 1, state.head, Number.MAX_SAFE_INTEGER);
    const [kept, lost] = [all.slice(0, state.head - records), all.slice(state.head - records)];
    this.store = this.#openStore();
    const generation = (await before.claim("s", { userId: "nobody", clientId: "last" }, "")).generation;
    for (;;) {
      const claim = await this.store.claim("s", { userId: "nobody", clientId: "last" }, state.epoch);
      if (claim.generation >= generation) break;
    }
    for (const record of kept) {
      const { userId, clientId, clientSeq } = decode(record);
      const claim = await this.store.claim("s", { userId, clientId }, state.epoch);
      const writers = [{ userId, clientId, generation: claim.generation, lastClientSeq: Number(clientSeq) }];
      await this.store.append("s", { epoch: state.epoch, expectedHead: record.seq - 1, records: [record], writers });
    }
    this.log.length = kept.length;
    return lost.map(decode);
  }

  async stop(): Promise<void> {
    for (const stream of this.streams) stream.cut();
    for (const { fate, running } of this.instances) {
      if (fate.state === "paused") fate.goOn(this.nowMs);
      await running.drain();
    }
  }

  #note(epoch: string, userId: string, { seq, payload, ...message }: SessionMessage): void {
    const isAck = payload.case === "ack";
    const place = `${epoch} ${isAck ? payload.value.seq : seq}`;
    const what = isAck ? `${userId} ${payload.value.clientSeq}` : `${message.userId} ${message.clientSeq}`;
    if ((isAck ? payload.value.seq : seq) === 0n) return;
    const known = this.told.get(place) ?? what;
    if (known !== what) this.contradictions.push(`${place}: ${known}, ${what}`);
    this.told.set(place, what);
  }

  #openStore(): SessionLog {
    const store = createMemoryLog(() => this.nowMs);
    store.watch("s", (head) => {
      for (const ring of [...this.#doorbells]) ring(head);
    });
    return store;
  }

  #appended(records: readonly LogRecord[]): void {
    for (const record of records) {
      this.log.length = record.seq - 1;
      this.log.push({ message: decode(record) });
    }
  }
}

const decode = ({ frame }: LogRecord) => fromBinary(SessionMessageSchema, frame.subarray(envelopeBytes));

function createStream(
  instance: Instance,
  userId: string,
  token: string,
  note: (message: SessionMessage) => void,
): WorldStream {
  const { fate, running } = instance;
  const abort = new AbortController();
  const inbound: SessionMessage[] = [];
  let wake: () => void = () => undefined;
  const stream: WorldStream = {
    userId,
    instance,
    up: [],
    down: [],
    ended: undefined,
    gone: false,
    takeUp() {
      const bytes = stream.up.shift();
      if (bytes === undefined) return false;
      fate.run(() => {
        inbound.push(fromBinary(SessionMessageSchema, bytes));
        wake();
      });
      return true;
    },
    cut() {
      fate.run(() => {
        abort.abort(new BatonError("CLIENT_SILENT"));
        wake();
      });
    },
  };
  async function* messages() {
    for (;;) {
      const message = inbound.shift();
      if (message !== undefined) yield { message, bytes: 100 };
      else if (abort.signal.aborted) throw abort.signal.reason;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  const end = (reason: Reason) => {
    if (fate.state === "running") stream.ended ??= reason;
  };
  const call: StreamCall<typeof SessionMessageSchema> = {
    streamId: crypto.randomUUID(),
    protocol: "connect",
    headers: new Headers({ authorization: `Bearer ${token}` }),
    inbound: messages(),
    signal: abort.signal,
    outlet: {
      form: "binary",
      write(frames) {
        if (stream.gone || fate.state === "killed") return undefined;
        for (const bytes of split(frames)) {
          stream.down.push(bytes);
          note(fromBinary(SessionMessageSchema, bytes));
        }
        return undefined;
      },
      end: (error) => end(error?.reason ?? "DRAIN"),
    },
  };
  collaborate(running.relay)(call).catch((error: unknown) =>
    end(error instanceof BatonError ? error.reason : "INTERNAL"),
  );
  return stream;
}

/** Whole messages of what was written. */
function* split(frames: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(frames.buffer, frames.byteOffset, frames.byteLength);
  for (let at = 0; at < frames.length; ) {
    const length = view.getUint32(at + 1);
    yield frames.slice(at + envelopeBytes, at + envelopeBytes + length);
    at += envelopeBytes + length;
  }
}
