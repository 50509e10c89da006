import { sealLetter, sessionCodec } from "../../../durable/bus-codec.ts";
import type { SessionLog } from "../../../durable/session-log.ts";
import { BatonError } from "../../../session/reasons.ts";
import { memberOf } from "../../presence.ts";
import type { Room } from "../../room.ts";
import type { HostPlatform } from "../host-platform.ts";
import type { BranchHost } from "./branch-host.ts";
import { Followers } from "./followers.ts";
import { decodeKept, encodeKept, type Kept } from "./kept.ts";
import { parseReplicaName } from "./replica-name.ts";
import { TreeBus } from "./tree-bus.ts";
import type { Child, Delivery, TreePlatform, Whole } from "./tree-calls.ts";
import { Trunk } from "./trunk.ts";

/**
 * The place of an object in its session's tree. The session's own object is the root: it holds whoever may write, and the
 * first readers. All others go to replicas, each of which follows the object above it and is to its readers what an
 * instance of the relay is whose log and bus are elsewhere.
 */
export class Branch {
  /** As the session that lives in the object is to use them. */
  readonly log: SessionLog;
  readonly bus: TreeBus;
  readonly sessionId: string;
  /** Undefined: this is the session's own object. */
  readonly #trunk: Trunk | undefined;
  readonly #followers: Followers;
  readonly #host: BranchHost;
  readonly #tree: TreePlatform;
  /** Readers that this object holds itself. */
  readonly #places: number;
  #epoch = "";
  #kept = "";

  constructor(platform: HostPlatform, host: BranchHost) {
    const { tree, limits, log } = platform;
    this.#host = host;
    this.#tree = tree;
    this.#followers = new Followers({
      platform: tree,
      replicaReaders: limits.replicaReaders,
      maxBytes: limits.ringBytes,
      whole: () => this.#whole(),
      readersElsewhere: () => host.readers() + this.bus.readersOf("above"),
      changed: () => this.#changed(),
    });
    const place = parseReplicaName(tree.name);
    this.sessionId = place?.sessionId ?? tree.name;
    // A replica passes on what it hears from above, and has nothing to say itself.
    this.bus = new TreeBus((message) => {
      if (place === undefined) this.#followers.tell(message);
    });
    if (place === undefined) {
      this.log = tellAppends(log, this.#followers);
      this.#places = limits.objectReaders;
    } else {
      this.#trunk = new Trunk({ place, tree, log, limits, bus: this.bus, host, readers: () => this.readers });
      this.log = this.#trunk.log;
      this.#places = limits.replicaReaders;
    }
  }

  /** Here, and at the replicas below. */
  get readers(): number {
    return this.#host.readers() + this.#followers.readers;
  }

  /** At the replicas below, as far as they told. */
  get readersBelow(): number {
    return this.#followers.readers;
  }

  /** Whether what it has to tell others, and to keep, is told and kept. */
  get isSettled(): boolean {
    return this.#followers.isSettled && this.#trunk?.isSettled !== false;
  }

  /** Whether the session is written, and kept or deleted, here. */
  get isRoot(): boolean {
    return this.#trunk === undefined;
  }

  /** Whether it is the session's own object, and has replicas. */
  get isFollowed(): boolean {
    return this.isRoot && this.#followers.all.length > 0;
  }

  /** In which epoch others were told of the session; empty: nobody was told. */
  get epoch(): string {
    return this.#epoch;
  }

  /**
   * As the object comes into memory. `links`: so many streams were left to it, as they were noted; where none were, it may
   * have ended in the middle of what it did. Of a replica, resolves with up to where all its readers have everything.
   */
  async wake(links: number): Promise<Whole | undefined> {
    const text = await this.#tree.read();
    const kept = text === undefined ? undefined : decodeKept(text);
    if (text === undefined || kept === undefined) return undefined;
    this.#kept = text;
    const { epoch, followers, mark } = kept;
    this.#epoch = epoch;
    for (const { name, readers } of followers) {
      // Whether they are still there, they say themselves; until then nobody is refused for them.
      this.#followers.restore(name, links > 0 || !this.isRoot ? readers : 0);
    }
    this.bus.count("below", this.#followers.readers);
    if (links === 0) {
      this.#followers.tellWhole();
      return undefined;
    }
    if (mark !== undefined) this.#trunk?.wake(mark, links + this.#followers.readers);
    return mark;
  }

  /** The object to which one more reader of this region has to go; undefined: there is place here. */
  placeElsewhere(region: string, sessionReaders: number, mostReaders: number): string | undefined {
    const isFull = this.#host.readers() >= this.#places;
    return isFull && sessionReaders < mostReaders ? this.#followers.choose(region) : undefined;
  }

  /** Resolves when the session can be joined here. */
  async entered(): Promise<void> {
    await this.#trunk?.followed();
  }

  /** Who follows is kept at once: a replica that nobody remembers would be told nothing any more. */
  follow(child: string, readers: number, isNew: boolean): void {
    this.#followers.follow(child, readers, isNew);
    this.#keep();
  }

  /** What the object above says. Resolves with how many readers there are here and below; 0: it is not followed any more. */
  async deliver(said: Delivery): Promise<number> {
    if (this.#trunk === undefined) throw new BatonError("INTERNAL", "a session's object follows nobody");
    if (said.kind === "more") {
      this.#followers.tellRecords(said.epoch, said.records);
      for (const letter of said.letters) this.#followers.tellLetter(letter);
    }
    await this.#trunk.deliver(said);
    if (said.kind === "whole") this.#followers.tellWhole();
    return this.#trunk.answered(this.readers);
  }

  /** Ends streams below, and tells how many. */
  async endBelow(end: (child: Child) => Promise<number>): Promise<number> {
    return await this.#followers.endStreams(end);
  }

  /** Somebody came or went here, or something was handed on. */
  touched(): void {
    this.#trunk?.touched(() => this.#keep());
  }

  #changed(): void {
    this.bus.count("below", this.#followers.readers);
    if (this.#trunk === undefined) this.#keep();
    else this.touched();
    this.#host.changed();
  }

  #keep(): void {
    if (this.#trunk !== undefined && this.readers === 0) {
      this.#kept = "";
      this.#tree.forget();
      return;
    }
    const room = this.#host.present();
    if (room !== undefined) this.#epoch = room.state.epoch;
    const kept: Kept = {
      epoch: this.#epoch,
      followers: this.#followers.all,
      ...(room !== undefined && this.#trunk !== undefined && { mark: this.#markOf(room) }),
    };
    const text = encodeKept(kept);
    if (text === this.#kept) return;
    this.#kept = text;
    this.#tree.write(text);
  }

  #markOf(room: Room): Whole {
    return { ...wholeOf(room), readers: this.bus.readersOf("above") };
  }

  async #whole(): Promise<Omit<Whole, "readers">> {
    await this.#trunk?.followed();
    return wholeOf(this.#host.present() ?? (await this.#host.open()));
  }
}

/** What those below are told of a session at first: where its log is, and who may write. */
function wholeOf({ state, roster, sessionId }: Room): Omit<Whole, "readers"> {
  const members = [...roster.entries].map(memberOf);
  const said = { kind: "roster", holder: "", number: 1, isAll: true, members, left: [], readers: 0 } as const;
  return { epoch: state.epoch, head: state.head, letter: sealLetter(sessionId, [sessionCodec.encode(said)]) };
}

/** The log of the session's object: what it takes goes to those below, in the bytes in which it was appended. */
function tellAppends(log: SessionLog, followers: Followers): SessionLog {
  return {
    ...log,
    async append(sessionId, batch) {
      const outcome = await log.append(sessionId, batch);
      if (outcome.kind === "appended") followers.tellRecords(batch.epoch, batch.records);
      return outcome;
    },
  };
}
