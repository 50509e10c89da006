import {
  type Attributes,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { reasonOf } from "../metrics/meters.ts";

/** Streams of which one span names the callers. */
const maxLinks = 32;

export interface SpanRequest {
  readonly name: string;
  readonly kind: SpanKind;
  readonly parent: SpanContext | undefined;
  readonly attributes: Attributes;
  readonly links?: readonly SpanContext[];
}

/** Spans of what the relay does for those who call it. It holds no span as the present one: each is told its parent. */
export class Traces {
  readonly #tracer: Tracer;

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  /** Whoever is told of it ends it. */
  start({ name, kind, parent, attributes, links = [] }: SpanRequest): Span {
    const context = parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
    return this.#tracer.startSpan(name, { kind, attributes, links: links.map((one) => ({ context: one })) }, context);
  }

  /**
   * Of a batch: a part of the trace that its first message came in, with links to those of the others. Undefined where none
   * of them is sampled.
   */
  startAppend(
    values: { readonly sessionId: string; readonly records: number; readonly bytes: number },
    records: readonly { readonly origin: { readonly trace?: SpanContext | undefined } }[],
  ): Span | undefined {
    const callers = new Map<string, SpanContext>();
    for (const { origin } of records) {
      const { trace: caller } = origin;
      if (caller === undefined || (caller.traceFlags & TraceFlags.SAMPLED) === 0) continue;
      callers.set(`${caller.traceId}${caller.spanId}`, caller);
      if (callers.size === maxLinks) break;
    }
    const [first, ...others] = callers.values();
    if (first === undefined) return undefined;
    const attributes = spanAttributes(values);
    return this.start({ name: "baton.append", kind: SpanKind.INTERNAL, parent: first, attributes, links: others });
  }
}

/** Undefined where nobody has registered a provider by now: then nothing is traced, and nothing is paid for it. */
export function openTraces(version: string | undefined): Traces | undefined {
  const tracer = trace.getTracer("baton", version);
  // The API has no question for it. Only a span of no provider has no id; this one is never ended, so nobody sees it.
  const probe = tracer.startSpan("baton.probe", { root: true }, ROOT_CONTEXT);
  return isSpanContextValid(probe.spanContext()) ? new Traces(tracer) : undefined;
}

/** Named as those of this relay. Like log lines they tell of sessions and streams, and never of tokens and texts. */
export function spanAttributes(values: Readonly<Record<string, string | number>>): Attributes {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`baton.${name}`, value]));
}

/** Does this in a span, where there are any. */
export async function inSpan<T>(
  traces: Traces | undefined,
  describe: () => SpanRequest,
  work: (span: Span | undefined) => Promise<T>,
): Promise<T> {
  if (traces === undefined) return await work(undefined);
  const span = traces.start(describe());
  try {
    return await work(span);
  } catch (error) {
    failSpan(span, error);
    throw error;
  } finally {
    span.end();
  }
}

/** The reason alone: the words of an error may be a client's. */
export function failSpan(span: Span | undefined, error: unknown): void {
  const reason = reasonOf(error);
  span?.setAttribute("baton.reason", reason).setStatus({ code: SpanStatusCode.ERROR, message: reason });
}
