import type { Ack, SessionMessage } from "../../gen/codereview/v1/codereview_pb.ts";
import type { Acknowledgement, ClientDocument, Problem } from "./document.ts";
import { LogPosition } from "./log-position.ts";
import { matchesRecord } from "./own-record.ts";

/** Puts the log's records to a document, one after the other, and none out of its place. */
export class LogFollower {
  readonly position = new LogPosition();
  clientId: string;
  userId = "";
  readonly #document: ClientDocument;

  constructor(clientId: string, document: ClientDocument) {
    this.clientId = clientId;
    this.#document = document;
  }

  /** A record in its place of the order; this client's own, where it is still pending, acks it. */
  apply(message: SessionMessage): Problem {
    const isPending = this.#isOwn(message) && this.#document.outbox.sent(Number(message.clientSeq)) !== undefined;
    return this.#take(message, isPending);
  }

  /** `isEarly`: nothing can have a place yet. */
  acknowledge(ack: Ack, timestampMs: number, isEarly: boolean): Problem {
    const [clientSeq, seq] = [Number(ack.clientSeq), Number(ack.seq)];
    const { lastSeq } = this.position;
    const { outbox } = this.#document;
    if (seq === 0 || seq > lastSeq + 1) {
      // It is in the log; where, is told in the stream's order.
      outbox.markDurable(clientSeq);
      return undefined;
    }
    if (seq <= lastSeq) return outbox.sent(clientSeq) && "a pending message is acked in the past";
    if (isEarly) return "an ack came before what was to come first";
    const { userId } = this;
    const problem = this.#document.acknowledge({ clientSeq, seq, version: ack.version, userId, timestampMs });
    if (problem === undefined) this.position.lastSeq = seq;
    return problem;
  }

  /**
   * Applies records that were read from the log after a stream had ended. Another stream may count on under the same
   * client id, so a record of the right number is this client's only if it is what it sent. False = they do not follow.
   */
  settle(tail: Iterable<SessionMessage>): boolean {
    const { outbox } = this.#document;
    for (const record of tail) {
      const [first] = outbox.entries;
      const isPending =
        first !== undefined &&
        this.#isOwn(record) &&
        first.clientSeq === Number(record.clientSeq) &&
        first.clientSeq === outbox.acked + 1 &&
        matchesRecord(first, record, (path) => this.#document.file(path));
      if (this.#take(record, isPending) !== undefined) return false;
    }
    return true;
  }

  #take(record: SessionMessage, isPending: boolean): Problem {
    const seq = Number(record.seq);
    const { lastSeq } = this.position;
    if (seq !== lastSeq + 1) return `record ${seq} came after ${lastSeq}`;
    const document = this.#document;
    const problem = isPending ? document.acknowledge(ackOfRecord(record)) : document.applyRecord(record);
    if (problem !== undefined) return problem;
    // Of a time that this client has forgotten: its count goes on from there.
    if (this.#isOwn(record) && document.outbox.pendingFrom === 0) document.outbox.skipTo(Number(record.clientSeq));
    this.position.lastSeq = seq;
    return undefined;
  }

  #isOwn({ userId, clientId }: SessionMessage): boolean {
    return clientId === this.clientId && userId === this.userId;
  }
}

/** A record that is this client's own message, sent whole, as the Ack that it stands for. */
function ackOfRecord({ clientSeq, seq, userId, timestamp, payload }: SessionMessage): Acknowledgement {
  return {
    clientSeq: Number(clientSeq),
    seq: Number(seq),
    version: payload.case === "edit" ? payload.value.version : 0,
    userId,
    timestampMs: Number(timestamp),
  };
}
