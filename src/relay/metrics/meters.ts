import { BatonError, type Reason } from "../../session/reasons.ts";
import { Counts } from "./counts.ts";
import { Histogram } from "./histogram.ts";
import {
  appendOutcomes,
  ends,
  joinOutcomes,
  type ReaderStep,
  type ReceivedPayload,
  readerSteps,
  reasonNames,
  rotationOutcomes,
  type SentPayload,
} from "./labels.ts";

/** Messages of one kind, and their bytes, envelopes with them. */
export interface Tally {
  messages: number;
  bytes: number;
}

const milliseconds = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000];
const inSeconds = (times: readonly number[]) => times.map((ms) => ms / 1000);

/**
 * What one relay counts as it goes: plain numbers, which a scrape reads. What can be looked up then (who is there, how far
 * behind) is not counted here.
 */
export class Meters {
  readonly received: Readonly<Record<ReceivedPayload, Tally>> = {
    edit: newTally(),
    comment: newTally(),
    custom: newTally(),
    cursor: newTally(),
    presence: newTally(),
    heartbeat: newTally(),
    join: newTally(),
    tokenRotation: newTally(),
    other: newTally(),
  };
  readonly sent: Readonly<Record<SentPayload, Tally>> = {
    edit: newTally(),
    comment: newTally(),
    custom: newTally(),
    cursor: newTally(),
    presence: newTally(),
    record: newTally(),
    conflated: newTally(),
    snapshot: newTally(),
    welcome: newTally(),
    ack: newTally(),
    heartbeat: newTally(),
    tokenStatus: newTally(),
    fault: newTally(),
    goAway: newTally(),
  };
  /** Handed to outlets, each with one message or many. */
  writes = 0;
  readonly joins = new Counts(joinOutcomes);
  readonly joinRefusals = new Counts(reasonNames);
  readonly publishes = new Counts(ends);
  /** Messages that were refused while their stream, or their call, went on. */
  readonly faults = new Counts(reasonNames);
  readonly streamEnds = new Counts(ends);
  readonly readerSteps = new Counts(readerSteps);
  /** Epochs that began because the store had lost records. */
  tailsLost = 0;
  readonly rotations = new Counts(rotationOutcomes);
  readonly appends = new Counts(appendOutcomes);
  readonly appendSeconds = new Histogram(inSeconds(milliseconds));
  /** Of batches that the log took. */
  readonly batchRecords = new Histogram([1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
  readonly batchBytes = new Histogram([256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576]);
  /** From where a batch is in the log to where all who keep up have been written to. */
  readonly fanoutSeconds = new Histogram([0.00005, ...inSeconds(milliseconds.slice(0, 12))]);

  receive(payload: ReceivedPayload, bytes: number): void {
    count(this.received[payload], 1, bytes);
  }

  send(payload: SentPayload, messages: number, bytes: number): void {
    count(this.sent[payload], messages, bytes);
  }

  /** A reader has come to this step. */
  stepped(step: ReaderStep): void {
    this.readerSteps.add(step);
  }

  fault(reason: string | undefined): void {
    const known = reasonNames.find((name) => name === reason);
    if (known !== undefined) this.faults.add(known);
  }
}

/** The reason of an error; whatever is not the relay's own is a fault of the relay. */
export function reasonOf(error: unknown): Reason {
  return error instanceof BatonError ? error.reason : "INTERNAL";
}

const newTally = (): Tally => ({ messages: 0, bytes: 0 });

function count(tally: Tally, messages: number, bytes: number): void {
  tally.messages += messages;
  tally.bytes += bytes;
}
