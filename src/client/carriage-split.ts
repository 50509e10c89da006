import type { Client } from "@connectrpc/connect";
import type { CodeReviewService, SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import type { Carriage, CarriageCall, OpenCarriage } from "./carriage.ts";
import { endFromError } from "./stream-error.ts";

/** How often a client with nothing to say tells that it lives: each time is a call. */
const livelinessMs = 60_000;
/** Messages of one `Publish`. */
const maxMessages = 256;

/** A stream down and calls up, for whoever cannot do full duplex. */
export function splitCarriage(client: Client<typeof CodeReviewService>, now: () => number): Carriage {
  return (call) => new SplitStream(client, now, call);
}

class SplitStream implements OpenCarriage {
  readonly #client: Client<typeof CodeReviewService>;
  readonly #now: () => number;
  readonly #call: CarriageCall;
  readonly #abort = new AbortController();
  #queue: SessionMessage[] = [];
  #resumeToken = "";
  #publishing = false;
  #finishing = false;
  #lastPublishMs: number;

  constructor(client: Client<typeof CodeReviewService>, now: () => number, call: CarriageCall) {
    this.#client = client;
    this.#now = now;
    this.#call = call;
    this.#lastPublishMs = now();
    void this.#read();
  }

  send(message: SessionMessage): void {
    const { payload } = message;
    // Each answer to a heartbeat would be a call of its own.
    if (payload.case === "heartbeat" && this.#now() - this.#lastPublishMs < livelinessMs) return;
    this.#queue.push(message);
    void this.#publish();
  }

  finish(): void {
    this.#finishing = true;
    void this.#publish();
  }

  cut(): void {
    this.#abort.abort();
    this.#queue = [];
  }

  get #options() {
    return { headers: { authorization: `Bearer ${this.#call.token}` }, signal: this.#abort.signal };
  }

  async #read(): Promise<void> {
    const { join, listener } = this.#call;
    if (join.payload.case !== "join") throw new TypeError("a stream begins with a Join");
    const request = { sessionId: join.sessionId, join: join.payload.value };
    try {
      for await (const message of this.#client.subscribe(request, this.#options)) {
        if (this.#abort.signal.aborted) return;
        if (message.payload.case === "welcome") this.#resumeToken = message.payload.value.resumeToken;
        listener.received(message);
        void this.#publish();
      }
      this.#end({});
    } catch (error) {
      this.#end(endFromError(error));
    }
  }

  /** One call at a time, with all that has gathered. */
  async #publish(): Promise<void> {
    if (this.#publishing || this.#resumeToken === "" || this.#abort.signal.aborted) return;
    this.#publishing = true;
    try {
      while (this.#queue.length > 0) await this.#publishOnce(this.#queue.splice(0, maxMessages));
      if (this.#finishing) this.#end({});
    } catch (error) {
      // What it carried may be in the log: the resume that follows tells.
      this.#end(endFromError(error));
    } finally {
      this.#publishing = false;
    }
  }

  async #publishOnce(messages: readonly SessionMessage[]): Promise<void> {
    const { join, listener } = this.#call;
    this.#lastPublishMs = this.#now();
    const { replies } = await this.#client.publish(
      { sessionId: join.sessionId, resumeToken: this.#resumeToken, messages: [...messages] },
      this.#options,
    );
    if (this.#abort.signal.aborted) return;
    for (const reply of replies) listener.replied(reply);
    listener.publishEnded(messages.map(({ clientSeq }) => Number(clientSeq)).filter((clientSeq) => clientSeq > 0));
  }

  #end(end: Parameters<CarriageCall["listener"]["ended"]>[0]): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    this.#call.listener.ended(end);
  }
}
