import { createTraceState, isSpanContextValid, type SpanContext } from "@opentelemetry/api";

/** W3C Trace Context 2: version, trace id, parent id, flags; versions after 00 may say more behind that. */
const traceparentForm = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** The span of the caller, if the headers of its call name one. What is malformed is as if it were not there. */
export function parseTraceparent(headers: Headers): SpanContext | undefined {
  const match = traceparentForm.exec(headers.get("traceparent") ?? "");
  if (match === null) return undefined;
  const [, version, traceId = "", spanId = "", flags = "", more] = match;
  if (version === "ff" || (version === "00" && more !== undefined)) return undefined;
  const state = headers.get("tracestate");
  const context: SpanContext = {
    traceId,
    spanId,
    // Those that are known: sampled, and random.
    traceFlags: Number.parseInt(flags, 16) & 3,
    isRemote: true,
    ...(state === null || state === "" ? {} : { traceState: createTraceState(state) }),
  };
  return isSpanContextValid(context) ? context : undefined;
}
