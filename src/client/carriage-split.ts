import { toBinary } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import {
  type CodeReviewService,
  type SessionMessage,
  SessionMessageSchema,
  TokenStatus_State as TokenState,
} from "../gen/codereview/v1/codereview_pb.ts";
import type { Carriage, CarriageCall, CarriageEnd, OpenCarriage } from "./carriage.ts";
import { endFromError } from "./stream-error.ts";
import { tokenRotation } from "./token-message.ts";

/** A client with nothing to say tells that it lives every fourth heartbeat of the relay: each time is a call. */
const livelinessFactor = 4;
const assumedHeartbeatMs = 15_000;
/** Of one `Publish`. */
const maxMessages = 256;
/** What one request may hold is what one message may; a relay that did not say takes this at least. */
const assumedMessageBytes = 64 * 1024;
/** Of that, for the request's own fields: a session's name, a resume token, the lengths of the messages. */
const requestBytes = 8 * 1024;

/** A stream down and calls up, for whoever cannot do full duplex. */
export function splitCarriage(client: Client<typeof CodeReviewService>, now: () => number): Carriage {
  return (call) => new SplitStream(client, now, call);
}

class SplitStream implements OpenCarriage {
  readonly #client: Client<typeof CodeReviewService>;
  readonly #now: () => number;
  readonly #call: CarriageCall;
  readonly #abort = new AbortController();
  #token: string;
  /** Offered, and not yet taken by the relay: until then the calls go on under the old one. */
  #offered: string | undefined;
  #queue: SessionMessage[] = [];
  #resumeToken = "";
  #batchBytes = assumedMessageBytes - requestBytes;
  #livelinessMs = assumedHeartbeatMs * livelinessFactor;
  #publishing = false;
  #finishing = false;
  #lastPublishMs: number;

  constructor(client: Client<typeof CodeReviewService>, now: () => number, call: CarriageCall) {
    this.#client = client;
    this.#now = now;
    this.#call = call;
    this.#token = call.token;
    this.#lastPublishMs = now();
    void this.#read();
  }

  send(message: SessionMessage): void {
    // Each answer to a heartbeat would be a call of its own.
    if (message.payload.case === "heartbeat" && this.#now() - this.#lastPublishMs < this.#livelinessMs) return;
    this.#queue.push(message);
    void this.#publish();
  }

  rotate(token: string): void {
    this.#offered = token;
    this.send(tokenRotation(token));
  }

  finish(): void {
    this.#finishing = true;
    // Before its Welcome nothing was said that could be answered.
    if (this.#resumeToken === "") this.#end({});
    else void this.#publish();
  }

  cut(): void {
    this.#abort.abort();
    this.#queue = [];
  }

  get #options() {
    return { headers: { authorization: `Bearer ${this.#token}` }, signal: this.#abort.signal };
  }

  async #read(): Promise<void> {
    const { join, listener } = this.#call;
    try {
      if (join.payload.case !== "join") throw new TypeError("a stream begins with a Join");
      const request = { sessionId: join.sessionId, join: join.payload.value };
      for await (const message of this.#client.subscribe(request, this.#options)) {
        if (this.#abort.signal.aborted) return;
        this.#note(message);
        listener.received(message);
        void this.#publish();
      }
      this.#end({});
    } catch (error) {
      this.#end(endFromError(error));
    }
  }

  #note({ payload }: SessionMessage): void {
    if (payload.case === "welcome") {
      this.#resumeToken = payload.value.resumeToken;
      const { limits } = payload.value;
      this.#livelinessMs = (limits?.heartbeatIntervalMs || assumedHeartbeatMs) * livelinessFactor;
      this.#batchBytes = (limits?.maxMessageBytes || assumedMessageBytes) - requestBytes;
    }
    if (payload.case === "tokenStatus" && payload.value.state === TokenState.ACCEPTED) {
      this.#token = this.#offered ?? this.#token;
      this.#offered = undefined;
    }
  }

  /** One call at a time, with all that has gathered. */
  async #publish(): Promise<void> {
    if (this.#publishing || this.#resumeToken === "" || this.#abort.signal.aborted) return;
    this.#publishing = true;
    try {
      while (this.#queue.length > 0) await this.#publishOnce(this.#takeBatch());
      if (this.#finishing) this.#end({});
    } catch (error) {
      // What it carried may be in the log: the resume that follows tells.
      this.#end(endFromError(error));
    } finally {
      this.#publishing = false;
    }
  }

  /** As much as one request may hold; one message at least, which the relay refuses by itself if it is too large. */
  #takeBatch(): readonly SessionMessage[] {
    let count = 0;
    let bytes = 0;
    for (const message of this.#queue) {
      bytes += toBinary(SessionMessageSchema, message).byteLength;
      if (count === maxMessages || (count > 0 && bytes > this.#batchBytes)) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  async #publishOnce(messages: readonly SessionMessage[]): Promise<void> {
    const { join, listener } = this.#call;
    this.#lastPublishMs = this.#now();
    const { replies } = await this.#client.publish(
      { sessionId: join.sessionId, resumeToken: this.#resumeToken, messages: [...messages] },
      this.#options,
    );
    if (this.#abort.signal.aborted) return;
    for (const reply of replies) {
      this.#note(reply);
      listener.replied(reply);
    }
    listener.publishEnded(messages.map(({ clientSeq }) => Number(clientSeq)).filter((clientSeq) => clientSeq > 0));
  }

  #end(end: CarriageEnd): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    this.#call.listener.ended(end);
  }
}
