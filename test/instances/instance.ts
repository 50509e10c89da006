import { importSecret } from "../../src/auth/key-import.ts";
import { createKeySet } from "../../src/auth/keys.ts";
import type { SessionBus } from "../../src/durable/session-bus.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { createRelay, type RunningRelay } from "../../src/relay/create-relay.ts";
import { forgiveStandstill, tick } from "../../src/relay/ticker.ts";
import { defaultLimits } from "../../src/session/limits.ts";
import { secret } from "../relay/harness.ts";

const limits = {
  ...defaultLimits,
  messagesPerSecond: 1e6,
  messagesBurst: 1e6,
  userStreams: 1e6,
  snapshotRecords: 60,
  drainMs: 20,
};

/** How an instance fares: what reaches it, reaches it when it runs. */
export class Fate {
  state: "running" | "paused" | "killed" = "running";
  #held: (() => void)[] = [];
  /** When its clock stopped, and by how much it was late before. */
  #stoodAtMs = 0;

  /** Runs it now; when it goes on, where it is paused; never, where it was killed. */
  run(what: () => void): void {
    if (this.state === "running") what();
    else if (this.state === "paused") this.#held.push(what);
  }

  clock(nowMs: number): number {
    return this.state === "running" ? nowMs : this.#stoodAtMs;
  }

  pause(nowMs: number): void {
    this.#stoodAtMs = nowMs;
    this.state = "paused";
  }

  /** What had come meanwhile comes at once. Returns for how long it stood. */
  goOn(nowMs: number): number {
    this.state = "running";
    const held = this.#held;
    this.#held = [];
    for (const what of held) what();
    return nowMs - this.#stoodAtMs;
  }

  kill(): void {
    this.state = "killed";
    this.#held = [];
  }
}

interface Platform {
  readonly log: SessionLog;
  readonly bus: SessionBus;
  readonly nowMs: () => number;
  readonly logRecords: number;
}

/** A real relay without a listener. */
export class Instance {
  readonly fate: Fate;
  readonly running: RunningRelay;

  private constructor(fate: Fate, running: RunningRelay) {
    this.fate = fate;
    this.running = running;
  }

  static async start(fate: Fate, platform: Platform): Promise<Instance> {
    const imported = await importSecret(secret);
    if (imported.kind === "refused") throw new Error(imported.message);
    const { log, bus, nowMs, logRecords } = platform;
    const running = await createRelay({
      log,
      bus,
      limits: { ...limits, logRecords },
      now: () => fate.clock(nowMs()),
      newId: () => crypto.randomUUID(),
      defer: (run) => void setImmediate(() => fate.run(run)),
      keys: createKeySet(imported.keys),
    });
    return new Instance(fate, running);
  }

  tick(): void {
    if (this.fate.state === "running") tick(this.running.relay);
  }

  goOn(nowMs: number): void {
    const stoodMs = this.fate.goOn(nowMs);
    forgiveStandstill(this.running.relay, stoodMs);
  }
}
