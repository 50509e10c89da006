import type { BodyEnd, BodySink, BodySource } from "../relay/wire/body.ts";

/**
 * What fills a `ReadableStream` of the web: the underlying source of it, and the sink of a body. The runtime reads it in a
 * loop of its own: what it waits for is handed on at once, and while something waits for the runtime the peer is behind.
 */
export class WebBody implements BodySink {
  readonly #source: BodySource;
  readonly #ended: () => void;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #behind: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;

  /** `ended` is told when nothing more goes into it. */
  constructor(source: BodySource, ended: () => void = () => undefined) {
    this.#source = source;
    this.#ended = ended;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
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

  /** Cuts it off: whoever reads it sees no end. */
  cut(): void {
    this.#end("reset");
    this.#source.gone();
  }

  #end(end: BodyEnd): void {
    const controller = this.#over();
    if (end === "complete") controller?.close();
    // Resets an HTTP/2 stream, cuts an HTTP/1.1 connection.
    else controller?.error(new Error("the peer did not take the end"));
  }

  /** Gives the controller for the last time, and lets whoever waits go on. */
  #over(): ReadableStreamDefaultController<Uint8Array> | undefined {
    const controller = this.#controller;
    this.#controller = undefined;
    this.#ended();
    this.pull();
    return controller;
  }
}
