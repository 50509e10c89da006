import {
  create,
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import type { StreamResponse, Transport, UnaryResponse } from "@connectrpc/connect";

/** What a client that is not connect-es does, so that connect-es's clients can be put on top of it. */
export interface Calls {
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    headers: Headers,
    request: MessageShape<I>,
    signal: AbortSignal,
  ): Promise<MessageShape<O>>;
  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    headers: Headers,
    requests: AsyncIterable<MessageShape<I>>,
    signal: AbortSignal,
  ): AsyncIterable<MessageShape<O>>;
}

export function transportOver(calls: Calls): Transport {
  return {
    async unary<I extends DescMessage, O extends DescMessage>(
      method: DescMethodUnary<I, O>,
      signal: AbortSignal | undefined,
      _timeoutMs: number | undefined,
      header: HeadersInit | undefined,
      input: MessageInitShape<I>,
    ): Promise<UnaryResponse<I, O>> {
      const request = create(method.input, input);
      const message = await calls.unary(method, new Headers(header), request, signal ?? never);
      return { stream: false, service: method.parent, method, header: new Headers(), trailer: new Headers(), message };
    },
    async stream<I extends DescMessage, O extends DescMessage>(
      method: DescMethodStreaming<I, O>,
      signal: AbortSignal | undefined,
      _timeoutMs: number | undefined,
      header: HeadersInit | undefined,
      input: AsyncIterable<MessageInitShape<I>>,
    ): Promise<StreamResponse<I, O>> {
      async function* requests(): AsyncGenerator<MessageShape<I>> {
        for await (const one of input) yield create(method.input, one);
      }
      const message = calls.stream(method, new Headers(header), requests(), signal ?? never);
      return { stream: true, service: method.parent, method, header: new Headers(), trailer: new Headers(), message };
    },
  };
}

const never = new AbortController().signal;

/** What comes by events, for somebody who reads one after another. */
export class Arrivals<T> implements AsyncIterable<T> {
  readonly #waiting: T[] = [];
  #over: { readonly error: unknown } | undefined;
  #wake: () => void = () => undefined;

  push(one: T): void {
    this.#waiting.push(one);
    this.#wake();
  }

  /** Behind what has come: an error, or undefined for the end. */
  end(error?: unknown): void {
    this.#over ??= { error };
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      while (this.#waiting.length > 0) yield* this.#waiting.splice(0, 1);
      if (this.#over !== undefined) {
        if (this.#over.error === undefined) return;
        throw this.#over.error;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
