// One relay, its readers, a writer at full speed, and now and then a reader that never reads.

import { setTimeout as sleep } from "node:timers/promises";
import { BareConnection } from "../../src/cli/bench/bare-connection.ts";
import { type BareStream, newTally } from "../../src/cli/bench/bare-stream.ts";
import {
  type CallOptions,
  collaborate,
  decodeMessage,
  encodeMessage,
  readToken,
  subscribe,
  until,
  writeToken,
} from "../../src/cli/bench/calls.ts";
import type { MeasuredProcess } from "../../src/cli/bench/measured-process.ts";
import type { Usage } from "../../src/cli/bench/side-channel.ts";
import { median } from "../../src/cli/bench/statistics.ts";
import { Join_History as History } from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { RuntimeName } from "../../src/runtime/this-runtime.ts";
import type { BareWebSocket } from "../audiences/bare-websocket.ts";
import { openRelaySocket } from "../audiences/relay-socket.ts";
import { withRelay } from "../contestants.ts";

export type Protocol = keyof typeof contentTypes;

export const contentTypes = {
  connect: "application/connect+proto",
  "grpc-web": "application/grpc-web+proto",
  grpc: "application/grpc+proto",
  /** None: it is a connection of its own. */
  websocket: "",
} as const;

export interface Load {
  readonly readers: number;
  readonly connections: number;
  /** Messages on their way that the readers, on average, have not got yet. */
  readonly window: number;
  readonly dataBytes: number;
  readonly phaseMs: number;
  /** Times with the reader that never reads; there is one more without it, before, between and after. */
  readonly rounds: number;
}

export interface Measured {
  /** Deliveries to the others a second, medians. */
  readonly perSecond: { readonly without: number; readonly with: number };
  /** CPU time of the relay for each of them, medians. */
  readonly cpuUs: { readonly without: number; readonly with: number };
  /** What it costs, the median of the rounds: with it, less the mean of before and after. */
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** How far it was behind when it began to read. */
  readonly behind: number;
  /** Records that it missed, or that came twice or in another order. */
  readonly gaps: number;
}

interface Phase {
  readonly perSecond: number;
  readonly cpuUs: number;
  readonly memory: Usage;
}

/** Heartbeat and Welcome come before the first record. */
const greetings = 2;

export async function measure(runtime: RuntimeName, protocol: Protocol, load: Load): Promise<Measured> {
  const work = async (relay: MeasuredProcess) => {
    const bench = await Bench.open(relay, protocol, load);
    return await bench.run();
  };
  // Readers that could speak are expected to, from time to time; here nobody does.
  return await withRelay({ runtime, log: "sqlite" }, work, { limits: { heartbeatMs: 1e8 } });
}

const fillMessages = 600;
/** With those that are on their way it is far below 64 KiB, which is what the server's window may be. */
const fillBytes = 3_500;
const fillWindow = 4;

class Bench {
  readonly #relay: MeasuredProcess;
  readonly #protocol: Protocol;
  readonly #load: Load;
  readonly #tally = newTally();
  readonly #connections: (BareConnection | BareWebSocket)[] = [];
  #send: (bytes: Uint8Array) => void = () => undefined;
  #published = 0;
  #isPumping = false;
  #ended: string | undefined;

  private constructor(relay: MeasuredProcess, protocol: Protocol, load: Load) {
    this.#relay = relay;
    this.#protocol = protocol;
    this.#load = load;
  }

  static async open(relay: MeasuredProcess, protocol: Protocol, load: Load): Promise<Bench> {
    const bench = new Bench(relay, protocol, load);
    const token = await readToken();
    const { readers, connections } = load;
    const reading = { ...bench.#call(token), tally: bench.#tally };
    if (protocol === "websocket") {
      for (let count = 0; count < readers; count++) await bench.#join(reading);
    } else {
      for (let index = 0; index < connections; index++) {
        const connection = await bench.#connect();
        const to = Math.round(((index + 1) * readers) / connections);
        for (let count = Math.round((index * readers) / connections); count < to; count++)
          subscribe(connection, reading);
      }
    }
    const own = newTally();
    const { stream: writer } = await bench.#join({ ...bench.#call(await writeToken("writer")), tally: own });
    bench.#send = (bytes) => writer.send(bytes);
    await until(() => bench.#tally.messages >= readers * greetings && own.messages >= greetings, "joins");
    for (const connection of bench.#connections) connection.onChunk = () => bench.#pump();
    return bench;
  }

  async run(): Promise<Measured> {
    await this.#publish();
    const without = [await this.#publish()];
    const withSlow: Phase[] = [];
    const costs: { readonly rssBytes: number; readonly heapBytes: number }[] = [];
    const resumed: { readonly behind: number; readonly gaps: number }[] = [];
    for (let round = 0; round < this.#load.rounds; round++) {
      const slow = await this.#openSlow();
      const during = await this.#publish();
      withSlow.push(during);
      resumed.push(await slow.resume());
      const after = await this.#publish();
      const before = without.at(-1) ?? after;
      without.push(after);
      const cost = (of: (usage: Usage) => number) => of(during.memory) - (of(before.memory) + of(after.memory)) / 2;
      costs.push({ rssBytes: cost(({ rssBytes }) => rssBytes), heapBytes: cost(({ heapBytes }) => heapBytes) });
    }
    for (const connection of this.#connections) connection.close();
    const compare = (of: (phase: Phase) => number) => ({
      without: median(without.map(of)),
      with: median(withSlow.map(of)),
    });
    return {
      perSecond: compare(({ perSecond }) => perSecond),
      cpuUs: compare(({ cpuUs }) => cpuUs),
      rssBytes: median(costs.map(({ rssBytes }) => rssBytes)),
      heapBytes: median(costs.map(({ heapBytes }) => heapBytes)),
      behind: Math.min(...resumed.map(({ behind }) => behind)),
      gaps: resumed.reduce((sum, { gaps }) => sum + gaps, 0),
    };
  }

  /** A time of messages as fast as the readers take them; then all that they are owed, and a collection. */
  async #publish(): Promise<Phase> {
    await this.#fill();
    const { messages } = this.#tally;
    const { cpuUs } = await this.#relay.usage();
    const startMs = performance.now();
    this.#isPumping = true;
    this.#pump();
    await sleep(this.#load.phaseMs);
    const deliveries = this.#tally.messages - messages;
    const perSecond = (deliveries / (performance.now() - startMs)) * 1000;
    const spentUs = (await this.#relay.usage()).cpuUs - cpuUs;
    this.#isPumping = false;
    await this.#until(() => this.#received >= this.#published, "the readers' last messages");
    return { perSecond, cpuUs: spentUs / deliveries, memory: await this.#relay.usage("collect") };
  }

  /** A reader on a connection of its own that has joined, and reads no more until it is to go on. */
  async #openSlow() {
    const seqs: number[] = [];
    const first = this.#published + 1;
    const tally = newTally();
    let isOver = false;
    const call = this.#call(await readToken("slow"));
    const options: CallOptions = {
      ...call,
      tally,
      onEnd: (text: string) => {
        if (!isOver) call.onEnd(text);
      },
      onMessage: (bytes: Uint8Array) => {
        if (tally.messages <= greetings) return;
        const { seq } = decodeMessage(bytes);
        if (seq > 0n) seqs.push(Number(seq));
      },
    };
    const { connection, stream } = await this.#openAlone(options);
    await until(() => tally.messages >= greetings, "the slow reader's join");
    connection.pause();
    return {
      resume: async () => {
        const last = this.#published;
        connection.resume(stream);
        await until(() => seqs.at(-1) === last, "what the slow reader missed", 60_000);
        isOver = true;
        connection.close();
        const gaps = seqs.filter((seq, index) => seq !== first + index).length + (last + 1 - first - seqs.length);
        return { behind: last + 1 - first, gaps };
      },
    };
  }

  /** A stream both ways that joins, on a connection of its own. */
  async #join(options: CallOptions): Promise<{ readonly stream: BareStream }> {
    if (this.#protocol !== "websocket") return { stream: collaborate(await this.#connect(), options) };
    const { socket, stream } = await openRelaySocket(this.#relay.port, options);
    stream.send(encodeMessage({ case: "join", value: options.join ?? {} }));
    this.#connections.push(socket);
    return { stream };
  }

  /** A reader on a connection of its own, whose windows are not opened by themselves where it has any. */
  async #openAlone(options: CallOptions) {
    if (this.#protocol !== "websocket") {
      const connection = await this.#connect(false);
      return { connection, stream: subscribe(connection, options) };
    }
    const { socket, stream } = await openRelaySocket(this.#relay.port, options);
    stream.send(encodeMessage({ case: "join", value: options.join ?? {} }));
    return { connection: socket, stream };
  }

  async #connect(takesAll = true): Promise<BareConnection> {
    const { port, grpcPort } = this.#relay;
    const connection = await BareConnection.open(this.#protocol === "grpc" ? grpcPort : port, takesAll);
    if (takesAll) this.#connections.push(connection);
    return connection;
  }

  #call(token: string) {
    const onEnd = (text: string) => {
      this.#ended ??= text;
    };
    return { token, contentType: contentTypes[this.#protocol], join: { history: History.LIVE }, onEnd };
  }

  async #until(met: () => boolean, what: string): Promise<void> {
    await until(() => met() || this.#ended !== undefined, what);
    if (this.#ended !== undefined) throw new Error(`a stream ended: ${this.#ended}`);
  }

  /** Records that a reader has got, on average. */
  get #received(): number {
    return this.#tally.messages / this.#load.readers - greetings;
  }

  #pump(): void {
    while (this.#isPumping && this.#published - this.#received < this.#load.window) {
      this.#say(this.#load.dataBytes);
    }
  }

  #say(bytes: number): void {
    this.#published += 1;
    const value = { type: "b", data: new Uint8Array(bytes) };
    this.#send(encodeMessage({ case: "custom", value }, this.#published));
  }

  /** More than a window and the ring hold: whoever does not read is behind the ring when the measured time begins. */
  async #fill(): Promise<void> {
    for (let count = 0; count < fillMessages; count++) {
      this.#say(fillBytes);
      await this.#until(() => this.#received > this.#published - fillWindow, "a message that fills");
    }
  }
}
