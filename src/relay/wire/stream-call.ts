import type { DescMethodStreaming } from "@bufbuild/protobuf";
import { BatonError } from "../../session/reasons.ts";
import type { FrameForm, Inbound, StreamCall, StreamHandler } from "../stream.ts";
import type { BodySource, SendTrailers } from "./body.ts";
import { admitError, type ReportError } from "./errors.ts";
import { exactlyOne } from "./inbound.ts";
import { type CallOutlet, createOutlet } from "./outlet.ts";
import type { EncodedEnd } from "./protocol.ts";

export interface CallOptions {
  /** How long an ended stream waits for a peer that is behind to take the end. */
  readonly endGraceMs: number;
  readonly report: ReportError;
}

/** What reads a call's messages is told by these when to stop, and tells by them that there is nobody any more. */
export interface CallLife {
  readonly signal: AbortSignal;
  readonly gone: () => void;
}

/** One call as it came, by whichever protocol. */
export interface CallRequest<I> {
  readonly streamId: string;
  readonly protocol: {
    readonly protocolName: StreamCall<never>["protocol"];
    encodeEnd(error: BatonError | undefined): EncodedEnd;
  };
  readonly form: FrameForm;
  readonly headers: Headers;
  readonly openInbound: (life: CallLife) => AsyncIterableIterator<I>;
  /** Aborted when the peer is gone. */
  readonly peer?: AbortSignal;
  readonly deadlineMs?: number | undefined;
  /** Undefined where the protocol ends without. */
  readonly sendTrailers?: SendTrailers | undefined;
}

/** setTimeout fires at once for more than this, 24.8 days; no stream grows so old. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * A call's way down. Everything by which its end shows becomes one abort of `call.signal`: the peer's signal, what comes
 * up breaking off, the way down let go, a write that fails, the deadline, `outlet.end`.
 */
export function openCall<M extends DescMethodStreaming>(
  method: M,
  handler: StreamHandler<M["input"]>,
  options: CallOptions,
  request: CallRequest<Inbound<M["input"]>>,
): BodySource {
  const { streamId, protocol, form, peer, deadlineMs, sendTrailers } = request;
  /** Let go once the call has it: with its headers and body it would weigh as much as the rest of a quiet stream. */
  let unserved:
    | { readonly headers: Headers; readonly messages: AsyncIterableIterator<Inbound<M["input"]>> }
    | undefined;
  const life = new AbortController();
  const { signal } = life;
  let outlet: CallOutlet | undefined;

  function over(reason: unknown): void {
    if (signal.aborted) return;
    clearTimeout(deadline);
    peer?.removeEventListener("abort", gone);
    life.abort(reason);
  }
  function gone(): void {
    outlet?.release();
    over(new DOMException("the peer is gone", "AbortError"));
  }
  function expire(): void {
    const error = new BatonError("DEADLINE");
    over(error);
    outlet?.end(error);
  }

  const deadline =
    deadlineMs === undefined || deadlineMs > maxTimerMs ? undefined : setTimeout(expire, Math.max(deadlineMs, 0));
  peer?.addEventListener("abort", gone, { once: true });
  unserved = { headers: request.headers, messages: request.openInbound({ signal, gone }) };
  if (peer?.aborted) gone();

  /** Holds nothing of the call itself, which its handler may let go. */
  function serve(call: StreamCall<M["input"]>): void {
    const end = call.outlet.end.bind(call.outlet);
    handler(call).then(
      () => end(),
      (error: unknown) => {
        const known = admitError(error, streamId);
        if (known !== error && error !== signal.reason) options.report(streamId, error);
        end(known);
      },
    );
  }

  return {
    gone,
    run(sink) {
      const ended = () => over(new DOMException("the call has ended", "AbortError"));
      outlet = createOutlet(sink, { form, protocol, sendTrailers, endGraceMs: options.endGraceMs, ended, gone });
      const call = unserved;
      unserved = undefined;
      if (signal.aborted || call === undefined) {
        // Over before its body could begin.
        outlet.end(signal.reason instanceof BatonError ? signal.reason : undefined);
        return outlet.finished;
      }
      const inbound = method.methodKind === "server_streaming" ? exactlyOne(call.messages) : call.messages;
      serve({ streamId, protocol: protocol.protocolName, headers: call.headers, inbound, outlet, signal });
      return outlet.finished;
    },
  };
}
