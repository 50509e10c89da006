import { fromBinary } from "@bufbuild/protobuf";
import { SessionMessageSchema } from "../gen/codereview/v1/codereview_pb.ts";
import type { OriginalView, Told } from "../session/original/view.ts";
import { concat } from "./concat.ts";
import type { RelayContext } from "./context.ts";
import type { Outlet } from "./stream.ts";
import { encodeFrame } from "./wire/envelope.ts";
import { createEnvelopeReader } from "./wire/envelope-reader.ts";

/** Bytes of one write, but for a line that is longer. */
const pieceBytes = 64 * 1024;
/** Lines that are looked at for one piece: some milliseconds, after which others get their turn. */
const pieceSteps = 4_096;
/** Of the first piece, which is made at once, and in one turn for all the clients of a room. */
const firstSteps = 64;

/**
 * The way down to a client of the original contract: takes what its room says, in this contract's binary form, and writes
 * what it is told of that. One frame may be told in a hundred thousand lines. They are made piece by piece as the peer
 * takes them, so a slow peer costs what its view of the session costs, and one piece.
 */
export class OriginalOutlet implements Outlet {
  readonly form = "binary";
  tookPieceAtMs = 0;
  readonly #inner: Outlet;
  readonly #view: OriginalView;
  readonly #context: Pick<RelayContext, "now" | "defer">;
  readonly #envelopes = createEnvelopeReader(Number.MAX_SAFE_INTEGER);
  #isEnded = false;

  constructor(inner: Outlet, view: OriginalView, context: Pick<RelayContext, "now" | "defer">) {
    this.#inner = inner;
    this.#view = view;
    this.#context = context;
  }

  write(frames: Uint8Array): Promise<void> | undefined {
    if (this.#isEnded) return undefined;
    const told = this.#view.tell(this.#decode(frames));
    const { bytes, isLast } = this.#piece(told, firstSteps);
    const behind = bytes === undefined ? undefined : this.#inner.write(bytes);
    return isLast ? behind : this.#writeRest(told, behind);
  }

  end(error?: Parameters<Outlet["end"]>[0]): void {
    this.#isEnded = true;
    this.#inner.end(error);
  }

  async #writeRest(told: Iterator<Told>, behind: Promise<void> | undefined): Promise<void> {
    for (let pending = behind; ; ) {
      await pending;
      await new Promise<void>((resolve) => this.#context.defer(resolve));
      if (this.#isEnded) return;
      this.tookPieceAtMs = this.#context.now();
      const { bytes, isLast } = this.#piece(told, pieceSteps);
      pending = bytes === undefined ? undefined : this.#inner.write(bytes);
      if (isLast) return await pending;
    }
  }

  #decode(frames: Uint8Array) {
    this.#envelopes.push(frames);
    const messages = [];
    for (let data = this.#envelopes.take(); data !== undefined; data = this.#envelopes.take()) {
      messages.push(fromBinary(SessionMessageSchema, data));
    }
    return messages;
  }

  #piece(told: Iterator<Told>, maxSteps: number): { readonly bytes: Uint8Array | undefined; readonly isLast: boolean } {
    const frames: Uint8Array[] = [];
    let isLast = false;
    for (let bytes = 0, steps = 0; bytes < pieceBytes && steps < maxSteps; steps++) {
      const next = told.next();
      if (next.done === true) {
        isLast = true;
        break;
      }
      if (next.value === undefined) continue;
      const frame = encodeFrame(SessionMessageSchema, next.value, this.#inner.form);
      frames.push(frame);
      bytes += frame.length;
    }
    return { bytes: frames.length === 0 ? undefined : concat(frames), isLast };
  }
}
