import { sealLetter, sessionCodec } from "../../../durable/bus-codec.ts";
import type { BusMessage } from "../../../durable/session-bus.ts";
import type { LogRecord } from "../../../durable/session-log.ts";
import { Follower } from "./follower.ts";
import { childName } from "./replica-name.ts";
import type { Child, TreePlatform, Whole } from "./tree-calls.ts";

/** Children that an object has in one region: enough for all readers that a session may have, one level below it. */
const childrenPerRegion = 16;

export interface FollowersOptions {
  readonly platform: TreePlatform;
  /** Readers that a replica holds itself. */
  readonly replicaReaders: number;
  /** Of records that wait for one of them. */
  readonly maxBytes: number;
  /** What holds of the session now. */
  readonly whole: () => Promise<Omit<Whole, "readers">>;
  /** Readers at this object and above it. */
  readonly readersElsewhere: () => number;
  /** Somebody follows or follows no more, has more readers or fewer, or has taken everything. */
  readonly changed: () => void;
}

/** The objects below one. */
export class Followers {
  readonly #options: FollowersOptions;
  readonly #followers = new Map<string, Follower>();
  /** Readers that were sent to a child, and that it has not counted yet. */
  readonly #sent = new Map<string, number>();
  /** The last record that they are told, or about to be. */
  #tip = { epoch: "", head: 0 };

  constructor(options: FollowersOptions) {
    this.#options = options;
  }

  get readers(): number {
    let readers = 0;
    for (const follower of this.#followers.values()) readers += follower.readers;
    return readers;
  }

  get isSettled(): boolean {
    return [...this.#followers.values()].every(({ isSettled }) => isSettled);
  }

  /** Each with how many readers it has. */
  get all(): readonly { readonly name: string; readonly readers: number }[] {
    return [...this.#followers].map(([name, { readers }]) => ({ name, readers }));
  }

  /** As it was before this object was out of memory: they have been told everything. */
  restore(name: string, readers: number): void {
    this.#followers.set(name, this.#create(name, readers));
  }

  /** `isNew`: it has been told nothing yet. */
  follow(name: string, readers: number, isNew: boolean): void {
    const known = this.#followers.get(name);
    this.#counted(name, readers - (known?.readers ?? 0));
    // It has been quiet for a while: who is not there by now does not come.
    if (!isNew) this.#sent.delete(name);
    if (readers === 0) this.#followers.delete(name);
    else if (known !== undefined && !isNew) known.count(readers);
    else {
      const follower = known ?? this.#create(name, readers);
      this.#followers.set(name, follower);
      follower.follow(readers);
    }
    this.#options.changed();
  }

  /** Each is told all that holds. */
  tellWhole(): void {
    for (const follower of this.#followers.values()) follower.tellWhole();
  }

  tellRecords(epoch: string, records: readonly LogRecord[]): void {
    const last = records.at(-1);
    if (last === undefined) return;
    this.#tip = { epoch, head: last.seq };
    for (const follower of this.#followers.values()) follower.tellRecords(epoch, records);
  }

  tellLetter(letter: string): void {
    for (const follower of this.#followers.values()) follower.tellLetter(letter);
  }

  tell(message: BusMessage): void {
    if (this.#followers.size > 0)
      this.tellLetter(sealLetter(this.#options.platform.name, [sessionCodec.encode(message)]));
  }

  /** At all of them; rejects where one cannot be reached. */
  async endStreams(end: (child: Child) => Promise<number>): Promise<number> {
    const { platform } = this.#options;
    const ended = await Promise.all([...this.#followers.keys()].map((name) => end(platform.objects.child(name))));
    return ended.reduce((sum, streams) => sum + streams, 0);
  }

  /**
   * Where one more reader of this region goes: to the first child that has place, so that there are no more objects than
   * are needed; where none has, to any, which sends it on.
   */
  choose(region: string): string {
    const { platform, replicaReaders } = this.#options;
    const children = Array.from({ length: childrenPerRegion }, (_, index) => childName(platform.name, region, index));
    const any = children[Math.floor(platform.random() * children.length)];
    const chosen = children.find((name) => this.#readersOf(name) < replicaReaders) ?? any;
    if (chosen === undefined) throw new Error("an object has no children");
    this.#sent.set(chosen, (this.#sent.get(chosen) ?? 0) + 1);
    return chosen;
  }

  #readersOf(name: string): number {
    return (this.#followers.get(name)?.readers ?? 0) + (this.#sent.get(name) ?? 0);
  }

  #counted(name: string, more: number): void {
    const sent = (this.#sent.get(name) ?? 0) - Math.max(0, more);
    if (sent > 0) this.#sent.set(name, sent);
    else this.#sent.delete(name);
  }

  #create(name: string, readers: number): Follower {
    const { platform, maxBytes, changed, readersElsewhere } = this.#options;
    const follower: Follower = new Follower(readers, {
      child: () => platform.objects.child(name),
      later: platform.later,
      maxBytes,
      whole: () => this.#whole(),
      readersElsewhere: () => readersElsewhere() + this.readers - follower.readers,
      changed: (more) => {
        this.#counted(name, more);
        if (follower.isGone && this.#followers.get(name) === follower) this.#followers.delete(name);
        changed();
      },
    });
    return follower;
  }

  /** Of a record that is in the log already, and not yet in the state. */
  async #whole(): Promise<Omit<Whole, "readers">> {
    const whole = await this.#options.whole();
    const { epoch, head } = this.#tip;
    return epoch === whole.epoch ? { ...whole, head: Math.max(head, whole.head) } : whole;
  }
}
