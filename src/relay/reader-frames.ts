import { fromBinary } from "@bufbuild/protobuf";
import type { LogRecord } from "../durable/session-log.ts";
import { SessionMessageSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { clientKey } from "../session/state.ts";
import type { SentPayload } from "./metrics/labels.ts";
import { type Acked, ackPayload } from "./payload.ts";
import type { ReaderSource } from "./reader-source.ts";
import type { RingEntry } from "./ring.ts";
import type { FrameForm } from "./stream.ts";
import { envelopeBytes, frameInForm } from "./wire/envelope.ts";

/** How one reader is told of a record: whole, in the form that it takes, or, where its client sent it, by an Ack. */
export class ReaderFrames {
  readonly form: FrameForm;
  /** Of its client. */
  readonly key: string;
  /** The first of its client's numbers that it is told of by an Ack; its older records come whole. Infinite = none. */
  ackFrom: number;
  readonly #source: Pick<ReaderSource, "encode">;

  constructor(options: {
    readonly form: FrameForm;
    readonly key: string;
    readonly ackFrom: number;
    readonly source: Pick<ReaderSource, "encode">;
  }) {
    this.form = options.form;
    this.key = options.key;
    this.ackFrom = options.ackFrom;
    this.#source = options.source;
  }

  /** A binary frame, as this reader takes it. */
  inForm(frame: Uint8Array): Uint8Array {
    return frameInForm(SessionMessageSchema, frame, this.form);
  }

  /** Of an entry of its own client: nothing, an Ack, or, where the client forgot that it sent it, the whole. */
  ofOwn({ seq, clientSeq, version, timestampMs, frame }: RingEntry): Uint8Array | undefined {
    if (seq === 0) return undefined;
    return this.#isAcked(clientSeq) ? this.#ack({ clientSeq, seq, version }, timestampMs) : this.inForm(frame);
  }

  /** What `ofOwn` tells of it. */
  payloadOfOwn({ clientSeq, payload }: RingEntry): SentPayload {
    return this.#isAcked(clientSeq) ? "ack" : payload;
  }

  #isAcked(clientSeq: number): boolean {
    return clientSeq >= this.ackFrom;
  }

  ofRecord({ frame }: LogRecord): Uint8Array {
    if (!Number.isFinite(this.ackFrom)) return this.inForm(frame);
    const { userId, clientId, clientSeq, seq, timestamp, payload } = fromBinary(
      SessionMessageSchema,
      frame.subarray(envelopeBytes),
    );
    const isOwn = clientKey(userId, clientId) === this.key && this.#isAcked(Number(clientSeq));
    if (!isOwn) return this.inForm(frame);
    const version = payload.case === "edit" ? payload.value.version : 0;
    return this.#ack({ clientSeq: Number(clientSeq), seq: Number(seq), version }, Number(timestamp));
  }

  /** It has its record's time: a client takes from it what the others take from the record. */
  #ack(acked: Acked, timestampMs: number): Uint8Array {
    return this.#source.encode(ackPayload(acked), this.form, timestampMs);
  }
}
