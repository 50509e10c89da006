import { create, toBinary } from "@bufbuild/protobuf";
import type { Principal } from "../../auth/principal.ts";
import { HeartbeatSchema, type SessionMessage, SessionMessageSchema } from "../../gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../../session/reasons.ts";
import { refuse } from "../../session/refusal.ts";
import { clientKey } from "../../session/state.ts";
import { type TokenTimes, tokenTimes } from "../../session/token-clock.ts";
import { receivedPayload } from "../metrics/labels.ts";
import type { Dialect } from "../participant.ts";
import { faultPayload } from "../payload.ts";
import type { Rate } from "../rate.ts";
import type { StreamCall } from "../stream.ts";
import { endOf, remind, type TimedStream } from "../stream-times.ts";
import { Downlink } from "./downlink.ts";
import { EchoedOutlet } from "./echoed-outlet.ts";
import type { Gateway } from "./gateway.ts";
import { GatewayLink, type GatewayLinkListener } from "./gateway-link.ts";
import type { Hello, HopUp } from "./hop.ts";
import { ReceiveCredits, SendCredits } from "./hop-credits.ts";
import { withVoucher } from "./hop-principal.ts";

/** How exact a gateway's times are: what ends to the millisecond is looked at with each message as well. */
const longestTickMs = 1_000;

/** How long a client waits for its session's object at most; one that is asked by very many at once takes seconds. */
const longestJoinMs = 30_000;

/** A client's stream between its client and its session's object. */
export class CarriedStream implements TimedStream {
  readonly carriage: Hello["carriage"];
  readonly dialect: Dialect;
  readonly rate: Rate;
  readonly joinedAtMs: number;
  /** Resolves when it is over, whoever ended it. */
  readonly ended: Promise<void>;
  endsAtMs: number | undefined;
  lastBeatMs: number;
  toldExpiring = false;
  receivedBytes = 0;
  readonly #gateway: Gateway;
  readonly #hello: Hello;
  readonly #link: GatewayLink;
  readonly #down: Downlink;
  readonly #echoed: EchoedOutlet | undefined;
  readonly #upCredits = new SendCredits();
  readonly #downCredits = new ReceiveCredits((bytes) => this.#say({ kind: "took", bytes }));
  readonly #resolveEnded: () => void;
  #principal: Principal;
  #tokenTimes: TokenTimes;
  /** Its object has taken it in. */
  #isJoined = false;
  #lastHeardMs: number;
  #blockedMsThen = 0;
  /** What its client last said to have applied. */
  #confirmed = 0n;
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Of its Welcome, where its client's calls bring it along. */
  #resumeToken = "";
  /** Its user's streams count it. */
  #isCounted = false;
  /** Its object said a good end, behind which its link closes; what came before is still being written. */
  #isEnding = false;
  #isOver = false;

  constructor(
    gateway: Gateway,
    { outlet, signal }: Pick<StreamCall<never>, "outlet" | "signal">,
    hello: Hello,
    dialect: Dialect,
  ) {
    const { limits, users } = gateway;
    const nowMs = gateway.now();
    const { principal, carriage } = hello;
    this.#gateway = gateway;
    this.#hello = hello;
    this.carriage = carriage;
    this.dialect = dialect;
    this.rate = users.of(principal.userId, nowMs).streamRate(nowMs);
    this.joinedAtMs = nowMs;
    this.lastBeatMs = nowMs;
    this.#lastHeardMs = nowMs;
    this.#principal = principal;
    this.#tokenTimes = tokenTimes(principal, nowMs, limits.tokenSkewMs);
    this.#link = new GatewayLink(gateway.objects, {
      hear: (hop) => this.#hear(hop),
      closed: () => this.#linkClosed(),
      failed: (error) => this.#over(error),
    });
    const isBlind = hello.protocol === "websocket" && !gateway.socketsTell;
    this.#echoed = isBlind ? new EchoedOutlet(outlet, gateway.now, limits.heartbeatMs) : undefined;
    this.#down = new Downlink(
      this.#echoed ?? outlet,
      gateway,
      (bytes) => this.#downCredits.took(bytes),
      (error) => this.end(error),
    );
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#resolveEnded = resolve;
    signal.addEventListener("abort", () => this.#gone(signal), { once: true });
    if (signal.aborted) this.#gone(signal);
  }

  get reader(): Downlink {
    return this.#down;
  }

  get principal(): Principal {
    return this.#principal;
  }

  get tokenTimes(): TokenTimes {
    return this.#tokenTimes;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Takes it to its session's object. Rejects with `USER_LIMIT`, or where the object cannot be reached. */
  async open(): Promise<void> {
    const { users, now, limits } = this.#gateway;
    const { sessionId, principal } = this.#hello;
    if (this.#isOver) return;
    const user = users.of(principal.userId, now());
    user.assertStream();
    // From here on, since others of this user may come while the object is reached.
    user.visit(sessionId, now());
    user.began(sessionId);
    this.#isCounted = true;
    this.#timer = setInterval(() => void this.#tick(), Math.min(longestTickMs, Math.max(20, limits.heartbeatMs / 8)));
    this.#say({ kind: "hello", hello: this.#hello });
    try {
      await this.#link.open(sessionId);
    } catch (error) {
      this.#over(error instanceof BatonError ? error : new BatonError("LOG_UNAVAILABLE"));
      throw error;
    }
  }

  /** Its client said something; so many bytes of it came on this stream. */
  heard(bytes: number): void {
    this.#lastHeardMs = this.#gateway.now();
    this.#blockedMsThen = this.#down.blockedMs;
    this.receivedBytes += bytes;
  }

  /**
   * For how long nothing was heard of its client. Whoever sends by `Publish` may reach other gateways: the object tells.
   */
  silentMs(nowMs: number): number {
    return nowMs - this.#lastHeardMs - (this.#down.blockedMs - this.#blockedMsThen);
  }

  /** One message of the client's. What the gateway can answer does not reach the object, which may sleep. */
  async send(message: SessionMessage, bytes: number): Promise<void> {
    const { tokens, meters, now } = this.#gateway;
    const { payload } = message;
    if (this.#assertInTime() !== undefined) return;
    meters.receive(receivedPayload(payload.case), bytes);
    if (payload.case === "heartbeat") this.#echoed?.echoed(payload.value.echo);
    const retryAfterMs = this.dialect === "original" ? await this.#untilItMaySend() : this.rate.take(now());
    if (retryAfterMs > 0) {
      const refusal = refuse("RATE_LIMITED", `rate ${this.#gateway.limits.messagesPerSecond}/s`, retryAfterMs);
      return this.#down.tell(faultPayload(refusal, Number(message.clientSeq)));
    }
    if (this.dialect === "contract" && payload.case === "heartbeat") return this.#answerHeartbeat(message);
    if (payload.case === "tokenRotation") {
      return await this.#hand(await withVoucher(tokens, message, payload.value.token, now()));
    }
    await this.#hand(message);
  }

  /** Its client has closed its half. */
  finish(): void {
    this.#say({ kind: "finish" });
  }

  /** The gateway ends it. */
  end(error: BatonError): void {
    if (this.#isOver) return;
    this.#say({ kind: "leave", error });
    this.#over(error);
  }

  #gone(signal: AbortSignal): void {
    const reason: unknown = signal.reason;
    if (this.#isOver) return;
    const error = reason instanceof BatonError ? reason : undefined;
    this.#say({ kind: "leave", error });
    this.#over(error);
  }

  async #hand(message: SessionMessage): Promise<void> {
    const body = toBinary(SessionMessageSchema, message);
    this.#say({ kind: "message", message: body });
    await this.#upCredits.sent(body.length);
  }

  async #answerHeartbeat({ payload, ...message }: SessionMessage): Promise<void> {
    if (payload.case !== "heartbeat") return;
    const { sentAt, echo, receivedSeq } = payload.value;
    if (echo === 0n && sentAt !== 0n) {
      const receivedBytes = BigInt(this.receivedBytes);
      this.#down.tell({
        case: "heartbeat",
        value: { sentAt: BigInt(this.#gateway.now()), echo: sentAt, receivedBytes },
      });
    }
    if (receivedSeq === 0n || receivedSeq === this.#confirmed) return;
    this.#confirmed = receivedSeq;
    // Whether that can be, the object knows; it has been awake since, or there would be nothing new.
    const value = create(HeartbeatSchema, { receivedSeq });
    await this.#hand(create(SessionMessageSchema, { ...message, payload: { case: "heartbeat", value } }));
  }

  /** It knows no limits, and a refusal would end it: it is read no faster than it may send. */
  async #untilItMaySend(): Promise<number> {
    for (;;) {
      const waitMs = this.rate.take(this.#gateway.now());
      if (waitMs === 0 || this.#isOver) return 0;
      await new Promise<void>((resolve) => setTimeout(resolve, Math.min(waitMs, longestTickMs)));
    }
  }

  #hear(hop: Parameters<GatewayLinkListener["hear"]>[0]): void {
    if (this.#isOver || this.#assertInTime() !== undefined) return;
    if (hop === "unreadable") {
      this.end(new BatonError("DRAIN"));
      return;
    }
    switch (hop?.kind) {
      case "frames":
        this.#down.frames(hop.frames);
        break;
      case "took":
        this.#upCredits.took(hop.bytes);
        break;
      case "joined": {
        const { sessionId } = this.#hello;
        const { userId } = this.#principal;
        const { clientId, resumeToken } = hop;
        this.#isJoined = true;
        const identity = { sessionId, userId, clientId, key: clientKey(userId, clientId) };
        this.#down.joined(identity);
        if (this.carriage === "split" && resumeToken !== "") {
          this.#resumeToken = resumeToken;
          this.#gateway.subscribers.add(resumeToken, identity, this);
        }
        break;
      }
      case "heard":
        this.heard(0);
        break;
      case "renewed":
        this.#principal = hop.principal;
        this.#tokenTimes = tokenTimes(hop.principal, this.#gateway.now(), this.#gateway.limits.tokenSkewMs);
        this.toldExpiring = false;
        break;
      case "end":
        if (hop.error === undefined) void this.#endWell();
        else this.#over(hop.error);
        break;
      default:
        break;
    }
  }

  #linkClosed(): void {
    if (!this.#isEnding) this.#over(new BatonError("LOG_UNAVAILABLE"));
  }

  async #endWell(): Promise<void> {
    this.#isEnding = true;
    await this.#down.flushed();
    this.#over(undefined);
  }

  /** Nothing is taken or delivered after its token is over, to the millisecond. */
  #assertInTime(): BatonError | undefined {
    if (this.#gateway.now() < this.#tokenTimes.endsAtMs) return undefined;
    const error = new BatonError("TOKEN_EXPIRED");
    this.end(error);
    return error;
  }

  async #tick(): Promise<void> {
    const { revocations, limits, now } = this.#gateway;
    if (this.#assertInTime() !== undefined) return;
    // Before it is there, its client is not read: that it is silent is not its own doing.
    if (!this.#isJoined && now() - this.joinedAtMs >= longestJoinMs) return this.end(new BatonError("LOG_UNAVAILABLE"));
    const ends = endOf(limits, this, now());
    if (ends !== undefined) return this.end(new BatonError(ends));
    remind(limits, this, now());
    if (revocations.isDue(now())) await revocations.poll(now());
    if (revocations.known.isRevoked(this.#principal)) this.end(new BatonError("TOKEN_REVOKED"));
  }

  #say(hop: HopUp): void {
    this.#link.say(hop);
  }

  #over(error: BatonError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearInterval(this.#timer);
    const { users, now, meters, subscribers } = this.#gateway;
    subscribers.delete(this.#resumeToken, this);
    if (this.#isCounted) {
      users.of(this.#hello.principal.userId, now()).ended(now(), this.#hello.sessionId);
      users.sweep(now());
    }
    if (this.#link.wasOpen) meters.streamEnds.add(error?.reason ?? "OK");
    this.#link.close();
    this.#upCredits.release();
    this.#down.end(error);
    this.#resolveEnded();
  }
}
