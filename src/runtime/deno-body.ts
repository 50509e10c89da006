import type { BodyEnd, BodySink, BodySource, OpenBody } from "../relay/wire/body.ts";

/** The response bodies of one server. */
export interface DenoBodies {
  readonly openBody: OpenBody;
  /** Cuts off those that are open. */
  cut(): void;
}

/**
 * Bodies over the web's own streams. Deno reads each in a loop of its own: what it waits for is handed on at once, and
 * while something waits for Deno the peer is behind.
 */
export function createDenoBodies(): DenoBodies {
  const open = new Set<DenoBody>();
  return {
    openBody: (source) => new ReadableStream(new DenoBody(source, open)),
    cut() {
      for (const body of open) body.cut();
    },
  };
}

class DenoBody implements UnderlyingDefaultSource<Uint8Array>, BodySink {
  readonly #source: BodySource;
  readonly #open: Set<DenoBody>;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #behind: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;

  constructor(source: BodySource, open: Set<DenoBody>) {
    this.#source = source;
    this.#open = open;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
    this.#open.add(this);
    this.#source.run(this).then((end) => this.#end(end));
  }

  pull(): void {
    this.#behind?.resolve();
    this.#behind = undefined;
  }

  cancel(): void {
    this.#over();
    this.#source.gone();
  }

  write(bytes: Uint8Array): Promise<void> | undefined {
    const controller = this.#controller;
    if (controller === undefined) throw new Error("the peer is gone");
    controller.enqueue(bytes);
    if ((controller.desiredSize ?? 0) > 0) return undefined;
    this.#behind ??= Promise.withResolvers<void>();
    return this.#behind.promise;
  }

  cut(): void {
    this.#end("reset");
    this.#source.gone();
  }

  #end(end: BodyEnd): void {
    const controller = this.#over();
    if (end === "complete") controller?.close();
    // Resets an HTTP/2 stream, cuts an HTTP/1.1 connection.
    else controller?.error();
  }

  /** Gives the controller for the last time, and lets whoever waits go on. */
  #over(): ReadableStreamDefaultController<Uint8Array> | undefined {
    const controller = this.#controller;
    this.#controller = undefined;
    this.#open.delete(this);
    this.pull();
    return controller;
  }
}
