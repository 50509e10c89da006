import { getLogger } from "@logtape/logtape";
import { sessionCodec } from "../../../durable/bus-codec.ts";
import type { SessionLog } from "../../../durable/session-log.ts";
import type { Limits } from "../../../session/limits.ts";
import { assertNever, BatonError } from "../../../session/reasons.ts";
import { reasonOf } from "../../metrics/meters.ts";
import type { Room } from "../../room.ts";
import { within } from "../../within.ts";
import type { BranchHost } from "./branch-host.ts";
import { ReplicaLog } from "./replica-log.ts";
import { parentName, type ReplicaPlace } from "./replica-name.ts";
import type { TreeBus } from "./tree-bus.ts";
import type { Delivery, TreePlatform, Whole } from "./tree-calls.ts";

const logger = getLogger(["baton", "replica"]);

/** How long a reader waits until its replica has been told of the session. */
const wholeMs = 5_000;

/** How long nothing has to happen before a replica notes where its readers are; and how often it tells how many they are. */
const settleMs = 1_000;

/** How much longer, as a power of two, where the object above does not answer. */
const mostPatience = 8;

type Waiting = ReturnType<typeof Promise.withResolvers<void>>;

interface TrunkOptions {
  readonly place: ReplicaPlace;
  readonly tree: TreePlatform;
  /** The session's, at its object. */
  readonly log: SessionLog;
  readonly limits: Limits;
  readonly bus: TreeBus;
  readonly host: BranchHost;
  /** Here and below. */
  readonly readers: () => number;
}

/** A replica's way to the object that it follows. */
export class Trunk {
  readonly log: ReplicaLog;
  readonly #options: TrunkOptions;
  /** The one above believes that so many readers are here and below; 0: it tells this object nothing. */
  #told = 0;
  /** Those who wait for the whole. */
  #whole: Waiting | undefined;
  /** One after the other, in both directions. */
  #up: Promise<void> = Promise.resolve();
  #down: Promise<void> = Promise.resolve();
  /** Something happened since it was last looked. */
  #isTouched = false;
  #isSettling = false;
  /** In a row, of telling the one above how many readers are here. */
  #failures = 0;

  constructor(options: TrunkOptions) {
    this.#options = options;
    this.log = new ReplicaLog(options.log, options.limits.ringBytes);
  }

  get isSettled(): boolean {
    return !this.#isSettling;
  }

  /** It was followed all the time that the object was out of memory. */
  wake({ epoch, head, letter, readers }: Whole, told: number): void {
    const { bus } = this.#options;
    this.#told = told;
    bus.count("above", readers);
    this.#hear(letter);
    this.log.learn(epoch, head, []);
  }

  /** Resolves when the session is here as the one above has it. Rejects with `LOG_UNAVAILABLE`. */
  async followed(): Promise<void> {
    if (this.#whole === undefined && this.#told > 0 && this.#options.host.present() !== undefined) return;
    if (this.#whole === undefined) {
      const whole = Promise.withResolvers<void>();
      this.#whole = whole;
      whole.promise.catch(() => undefined);
      this.#tellCount(true).catch((error: unknown) => this.#missed(whole, error));
    }
    const { promise } = this.#whole;
    const waiting = this.#whole;
    await within(wholeMs, promise, "LOG_UNAVAILABLE").catch((error: unknown) => {
      this.#missed(waiting, error);
      throw error;
    });
  }

  /** Resolves when its readers can be handed what was said. */
  async deliver(said: Delivery): Promise<void> {
    const taken = this.#down.then(() => this.#take(said));
    this.#down = taken.catch(() => undefined);
    await taken;
  }

  /** So many readers are told to the one above in an answer. */
  answered(readers: number): number {
    this.#told = readers;
    return readers;
  }

  /** Somebody came or went here, or something was handed on. What is to be kept is kept when nothing more happens. */
  touched(keep: () => void): void {
    this.#isTouched = true;
    if (this.#isSettling) return;
    this.#isSettling = true;
    this.#settleLater(keep);
  }

  #settleLater(keep: () => void): void {
    const waitMs = settleMs * 2 ** Math.min(this.#failures, mostPatience);
    this.#options.tree.later(() => void this.#settle(keep), waitMs);
  }

  async #settle(keep: () => void): Promise<void> {
    const { readers, host } = this.#options;
    const wasTouched = this.#isTouched;
    this.#isTouched = false;
    try {
      if (this.#told !== readers() && this.#whole === undefined) await this.#tellCount(false);
      this.#failures = 0;
    } catch (error) {
      logger.warn("a replica does not reach the object above it", {
        replica: this.#options.tree.name,
        reason: reasonOf(error),
      });
      this.#failures += 1;
      this.#isTouched = true;
    }
    if (wasTouched || this.#isTouched) {
      this.#settleLater(keep);
      return;
    }
    keep();
    this.#isSettling = false;
    host.changed();
  }

  /** Tells the one above how many readers are here; `isNew`: and that this object has been told nothing. */
  async #tellCount(isNew: boolean): Promise<void> {
    const { tree, place, readers } = this.#options;
    const told = this.#up.then(async () => {
      // Whoever waits for the whole has not joined yet.
      const count = isNew ? Math.max(1, readers()) : readers();
      this.#told = count;
      await tree.objects.parent(parentName(place)).follow(tree.name, count, isNew);
    });
    this.#up = told.catch(() => {
      this.#told = -1;
    });
    await told;
  }

  #missed(whole: Waiting, error: unknown): void {
    if (this.#whole === whole) this.#whole = undefined;
    whole.reject(error);
  }

  async #take(said: Delivery): Promise<void> {
    this.#options.bus.count("above", said.readers);
    switch (said.kind) {
      case "whole":
        await this.#takeWhole(said);
        this.#whole?.resolve();
        this.#whole = undefined;
        return;
      case "more":
        return await this.#takeMore(said);
      default:
        return assertNever(said);
    }
  }

  async #takeWhole({ epoch, head, letter }: Omit<Whole, "readers">): Promise<void> {
    const { host } = this.#options;
    const present = host.present();
    if (present !== undefined && present.state.epoch !== epoch) present.fail(new BatonError("EPOCH_CHANGED"));
    this.log.learn(epoch, head, []);
    this.#hear(letter);
    const room = await host.open();
    // Readers may have been told of an epoch that no log has yet.
    if (!room.pipeline.isKept) room.state.epoch = epoch;
    await this.#reach(room, epoch, head);
  }

  async #takeMore({ epoch, records, letters }: Extract<Delivery, { kind: "more" }>): Promise<void> {
    const room = this.#options.host.present();
    if (room === undefined) {
      // It ended, or this object did.
      if (this.#options.readers() > 0) this.followed().catch(() => undefined);
      return;
    }
    const head = records.at(-1)?.seq;
    if (head !== undefined) {
      this.log.learn(epoch, head, records);
      await this.#reach(room, epoch, head);
    }
    for (const letter of letters) this.#hear(letter);
  }

  async #reach(room: Room, epoch: string, head: number): Promise<void> {
    if (room.state.epoch === epoch) await room.pipeline.catchUp(head);
    else room.fail(new BatonError("EPOCH_CHANGED"));
  }

  #hear(letter: string): void {
    for (const message of sessionCodec.open(letter)?.messages ?? []) this.#options.bus.hear(message);
  }
}
