import { toBinary } from "@bufbuild/protobuf";
import { getLogger } from "@logtape/logtape";
import { DescribeSessionResponseSchema, PublishResponseSchema } from "../../gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../../session/reasons.ts";
import type { Revocation } from "../../session/revocation.ts";
import { describeRoom } from "../admin/describe-room.ts";
import { assembleRelay } from "../assemble-relay.ts";
import { type Disconnected, disconnect, endRevoked } from "../end-streams.ts";
import { publishAs } from "../publish.ts";
import type { Relay } from "../relay.ts";
import { RevocationFeed } from "../revocation-feed.ts";
import type { Room } from "../room.ts";
import { Users } from "../users.ts";
import { encodeHop, type Hello, isUp, readHop } from "./hop.ts";
import { vouchedTokens } from "./hop-principal.ts";
import { decodeCall } from "./hop-publish.ts";
import { knownError, mayBeSentOn, type Noted, readNote, refuseLink, resumeStream, takeAway } from "./host-links.ts";
import { decodeShelf, encodeShelf } from "./host-note.ts";
import type { HostLink, HostPlatform } from "./host-platform.ts";
import { HostStream } from "./host-stream.ts";
import { Branch } from "./tree/branch.ts";
import { deliverySchema } from "./tree/tree-calls.ts";

const logger = getLogger(["baton", "object"]);

/** Gateways see to how fast clients send; what has passed them is taken as it comes. */
const unlimited = { messagesPerSecond: 1e9, messagesBurst: 1e9 };

/**
 * One session, in an object that leaves memory when nothing happens and comes back with the next event. Each event finds
 * the session as the one before left it: what is durable in its log, what belongs to a stream noted with the stream's
 * link. Nothing runs between events.
 */
export class SessionHost {
  readonly #platform: HostPlatform;
  readonly #branch: Branch;
  /** Undefined: it could not come into memory, and tries again with the next event. */
  #relay: Promise<Relay> | undefined;
  /** As soon as it is there. */
  #assembled: Relay | undefined;
  readonly #streams = new Map<HostLink, HostStream>();
  #room: Room | undefined;
  #shelf = "";
  /** How many streams there were then. */
  #shelvedStreams = 0;
  #sweptAtMs = 0;
  /** As far as it is known: of an object that nobody has joined yet it is not. */
  #sessionId: string | undefined;

  /** As the object comes into memory, for the first time or again. */
  constructor(platform: HostPlatform) {
    this.#platform = platform;
    this.#branch = new Branch(platform, {
      readers: () => this.#readers(),
      present: () => this.#assembled && this.#present(this.#assembled),
      open: async () => await this.#open(await this.#awake()),
      changed: () => this.#stayAwakeIfNeeded(),
    });
    void this.#awake().catch(() => undefined);
  }

  /** Something came over a link. Resolves when all that it brings about has been done, or waits for others. */
  async message(link: HostLink, bytes: Uint8Array): Promise<void> {
    const relay = await this.#awakeFor(link);
    if (relay === undefined) return;
    const hop = readHop(bytes);
    if (typeof hop === "object" && hop.kind === "hello" && this.#sendOn(relay, link, hop.hello)) return;
    const stream = this.#streamOf(relay, link, hop);
    if (stream === undefined || hop === "unreadable") {
      // It is of another version, which a deploy is about to replace, or to bring.
      refuseLink(link, new BatonError("DRAIN"));
    } else if (hop !== undefined && isUp(hop)) {
      await stream.hear(hop, bytes.length);
      await this.#rest(relay, stream, hop.kind === "message" ? "same people" : "other people");
    }
  }

  async closed(link: HostLink): Promise<void> {
    const relay = await this.#awakeFor(link);
    const stream = this.#streams.get(link);
    this.#streams.delete(link);
    if (relay === undefined || stream === undefined) return;
    await stream.gone();
    await this.#rest(relay, undefined, "other people");
  }

  /** May come late, or twice. */
  async alarm(): Promise<void> {
    const relay = await this.#awake();
    const nowMs = relay.now();
    const room = this.#present(relay);
    if (room !== undefined) {
      room.expire(nowMs);
      room.tell(room.roster.tick(nowMs));
    }
    const sessionId = this.#sessionId;
    if (room === undefined && sessionId !== undefined) await this.#retire(relay, sessionId);
    await this.#rest(relay, undefined, "other people");
    for (const stream of this.#streams.values()) stream.note();
  }

  /** A `Publish` (`hop-publish.ts`), and its encoded response. Rejects with a `BatonError`. */
  async publish(call: Uint8Array): Promise<Uint8Array> {
    const relay = await this.#awake();
    const { request, principal, trace } = decodeCall(call);
    try {
      return toBinary(PublishResponseSchema, await publishAs(relay, request, principal, trace && { ...trace }));
    } catch (error) {
      if (error instanceof BatonError) throw error;
      logger.error("a call failed", {
        session: request.sessionId,
        error: error instanceof Error ? error.name : "unknown",
      });
      throw new BatonError("INTERNAL", undefined, { cause: error });
    } finally {
      this.#room = relay.rooms.present(request.sessionId) ?? this.#room;
      await this.#rest(relay, undefined, "other people");
      for (const stream of this.#streams.values()) {
        if (stream.joined?.participant.identity.userId === principal.userId) stream.note();
      }
    }
  }

  /** Ends streams; tells how many. */
  async disconnect(meant: Disconnected): Promise<number> {
    const relay = await this.#awake();
    const streams = disconnect(relay, meant);
    await this.#rest(relay, undefined, "other people");
    return streams + (await this.#branch.endBelow((child) => child.disconnect(meant)));
  }

  /** A replica below follows (`Parent`). */
  async follow(child: string, readers: number, isNew: boolean): Promise<void> {
    await this.#awake();
    this.#branch.follow(child, readers, isNew);
  }

  /** Of a replica: what the object above it says (`Child`). */
  async deliver(delivery: unknown): Promise<number> {
    const relay = await this.#awake();
    const readers = await this.#branch.deliver(deliverySchema.parse(delivery));
    await this.#rest(relay, undefined, "same people");
    return readers;
  }

  /** Ends the streams whose token this revokes; tells how many. */
  async endRevoked(revocation: Revocation): Promise<number> {
    const relay = await this.#awake();
    relay.revocations.known.add(revocation);
    const streams = endRevoked(relay);
    await this.#rest(relay, undefined, "other people");
    return streams + (await this.#branch.endBelow((child) => child.endRevoked(revocation)));
  }

  /** An encoded `DescribeSessionResponse`; undefined: there is no such session. */
  async describe(sessionId: string): Promise<Uint8Array | undefined> {
    const relay = await this.#awake();
    const described = await describeRoom(relay, sessionId);
    await this.#rest(relay, undefined, "same people");
    if (described?.info !== undefined) described.info.participants += this.#branch.readersBelow;
    return described && toBinary(DescribeSessionResponseSchema, described);
  }

  /** The session's history is over: it was deleted. */
  async endEpoch(sessionId: string, epoch: string): Promise<void> {
    const { rooms } = await this.#awake();
    // With the log went all that the object kept.
    this.#shelf = "";
    rooms.endEpoch(sessionId, epoch);
  }

  /** How many streams there are. */
  get streams(): number {
    return this.#room?.participants.size ?? 0;
  }

  /** Those who may only read, and whose streams are here or about to be. */
  #readers(): number {
    let readers = 0;
    for (const { isReader } of this.#streams.values()) if (isReader) readers += 1;
    return readers;
  }

  /** Whether the stream was sent to another object, since this one has no place for it. */
  #sendOn(relay: Relay, link: HostLink, hello: Hello): boolean {
    if (hello.region === undefined || !mayBeSentOn(hello) || this.#streams.has(link)) return false;
    const readers = this.#present(relay)?.readerCount ?? this.#readers();
    const object = this.#branch.placeElsewhere(hello.region, readers, relay.limits.readers);
    if (object === undefined) return false;
    link.send(encodeHop({ kind: "elsewhere", object }));
    link.close();
    return true;
  }

  async #open(relay: Relay): Promise<Room> {
    const present = this.#present(relay);
    if (present !== undefined) return present;
    const room = await relay.rooms.open(this.#branch.sessionId);
    this.#room = room;
    // Readers may have been told of an epoch that no log has yet.
    if (!room.pipeline.isKept && this.#branch.epoch !== "") room.state.epoch = this.#branch.epoch;
    return room;
  }

  #present(relay: Relay): Room | undefined {
    const [room] = relay.rooms.all;
    if (room !== undefined) {
      this.#room = room;
      this.#sessionId = room.sessionId;
    }
    return this.#room?.ended === undefined ? this.#room : undefined;
  }

  /** Known from its first message on, the hello: what comes right behind that waits for its turn. */
  #streamOf(relay: Relay, link: HostLink, hop: ReturnType<typeof readHop>): HostStream | undefined {
    const known = this.#streams.get(link);
    if (known !== undefined || typeof hop !== "object" || hop.kind !== "hello") return known;
    const stream = new HostStream(relay, link, () => this.#branch.entered());
    this.#streams.set(link, stream);
    return stream;
  }

  async #awake(): Promise<Relay> {
    this.#relay ??= this.#wake([...this.#platform.links()]);
    const relay = this.#relay;
    try {
      return await relay;
    } catch (error) {
      if (this.#relay === relay) this.#relay = undefined;
      throw error;
    }
  }

  /** Undefined: it cannot come into memory now, and the link is told why. */
  async #awakeFor(link: HostLink): Promise<Relay | undefined> {
    try {
      return await this.#awake();
    } catch (error) {
      logger.error("a session cannot come into memory", { error: error instanceof Error ? error.name : "unknown" });
      refuseLink(link, knownError(error));
      return undefined;
    }
  }

  async #wake(links: readonly HostLink[]): Promise<Relay> {
    const platform = this.#platform;
    const { limits } = platform;
    const { log, bus } = this.#branch;
    const noted = links.flatMap(readNote);
    const mark = await this.#branch.wake(noted.length);
    const relay = assembleRelay(
      { ...platform, log, bus },
      {
        tokens: vouchedTokens,
        resumeSecret: await platform.resumeSecret(),
        revocations: new RevocationFeed(platform.log),
        traces: undefined,
        users: new Users({ ...limits, ...unlimited }),
      },
    );
    this.#assembled = relay;
    const shelf = await platform.readShelf();
    this.#shelf = shelf ?? "";
    const kept = shelf === undefined ? undefined : decodeShelf(shelf);
    const { isFollowed } = this.#branch;
    const sessionId = noted[0]?.note.sessionId ?? kept?.sessionId ?? (isFollowed ? this.#branch.sessionId : undefined);
    this.#sessionId = sessionId;
    if (sessionId === undefined || (noted.length === 0 && kept?.away.length === 0 && !isFollowed)) return relay;
    const room = await this.#openRoom(relay, sessionId, noted);
    if (room === undefined) return relay;
    this.#room = room;
    for (const entry of kept?.away ?? []) room.roster.restore(entry);
    // Readers may have been told of an epoch that no log has yet.
    const [first] = noted;
    const epoch = first?.note.epoch ?? this.#branch.epoch;
    if (!room.pipeline.isKept && epoch !== "") room.state.epoch = epoch;
    const handed = this.#branch.isRoot ? room.state.head : mark?.head;
    for (const one of noted) {
      const stream = resumeStream(relay, room, one, { handed, entered: () => this.#branch.entered() });
      if (stream !== undefined) this.#streams.set(one.link, stream);
    }
    return relay;
  }

  /** Undefined: its log does not give it, and those who were in it are told so. */
  async #openRoom(relay: Relay, sessionId: string, noted: readonly Noted[]): Promise<Room | undefined> {
    try {
      return await relay.rooms.open(sessionId);
    } catch (error) {
      for (const { link } of noted) refuseLink(link, knownError(error));
      return undefined;
    }
  }

  /** What an event leaves to be done, and whether the object may leave memory behind it. */
  async #rest(relay: Relay, stream: HostStream | undefined, who: "same people" | "other people"): Promise<void> {
    const room = this.#present(relay);
    await room?.pipeline.settled();
    stream?.note();
    relay.rooms.sweep(relay.now());
    this.#forgetUsers(relay);
    this.#branch.touched();
    this.#stayAwakeIfNeeded();
    if (room === undefined) return;
    room.prune(relay.now());
    // A message may end somebody else's stream: of one who is behind, or whose token is over.
    const isOther = who === "other people" || room.participants.size !== this.#shelvedStreams;
    if (isOther && this.#branch.isRoot) this.#shelve(room, relay);
    if (room.participants.size === 0 && this.#branch.readers === 0) await this.#retire(relay, room.sessionId);
    const nextMs = room.roster.nextChangeMs;
    if (Number.isFinite(nextMs)) this.#platform.setAlarm(nextMs);
    this.#stayAwakeIfNeeded();
  }

  #stayAwakeIfNeeded(): void {
    const isNeeded = !this.#branch.isSettled || [...this.#streams.values()].some(({ mayRest }) => !mayRest);
    this.#platform.stayAwake(isNeeded);
  }

  /** Of a session where very many come and go, so that the object never sleeps. */
  #forgetUsers({ users, limits, now }: Relay): void {
    const nowMs = now();
    if (Math.abs(nowMs - this.#sweptAtMs) < limits.roomIdleMs) return;
    this.#sweptAtMs = nowMs;
    users.sweep(nowMs);
  }

  /** Deletes the session if nobody has touched it for as long as one is kept; otherwise it is looked at again then. */
  async #retire({ log, limits, now, rooms }: Relay, sessionId: string): Promise<void> {
    if (!this.#branch.isRoot) return;
    const kept = await log.describe(sessionId);
    if (kept === undefined) return;
    // What was touched just so long ago stays: of an alarm that comes to the millisecond there would be no second one.
    const dueMs = kept.lastActivityMs + limits.logAgeMs + 1;
    if (now() < dueMs) {
      this.#platform.setAlarm(dueMs);
      return;
    }
    const epoch = await log.delete(sessionId, now() - limits.logAgeMs);
    if (epoch === "") return;
    this.#shelf = "";
    logger.info("a session was deleted that nobody had touched", { session: sessionId });
    rooms.endEpoch(sessionId, epoch);
  }

  /** Who is still shown although their streams are gone. */
  #shelve(room: Room, { limits }: Relay): void {
    const { sessionId, participants } = room;
    this.#shelvedStreams = participants.size;
    const away = takeAway(room, limits.writers);
    const shelf = encodeShelf({ sessionId, away });
    if (shelf === this.#shelf) return;
    this.#shelf = shelf;
    this.#platform.writeShelf(shelf);
  }
}
