import type { BodyEnd, BodySink, BodySource } from "../relay/wire/body.ts";

/**
 * A response body over workerd's streams. What waits for the runtime is handed on at once while the peer keeps up; while
 * something waits the peer is behind.
 */
export const openWorkerBody = (source: BodySource): ReadableStream<Uint8Array> =>
  new ReadableStream(new WorkerBody(source));

class WorkerBody implements UnderlyingSource<Uint8Array>, BodySink {
  readonly #source: BodySource;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #behind: PromiseWithResolvers<void> | undefined;

  constructor(source: BodySource) {
    this.#source = source;
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

  #end(end: BodyEnd): void {
    const controller = this.#over();
    if (end === "complete") controller?.close();
    else controller?.error(new Error("the peer did not take the end"));
  }

  /** Gives the controller for the last time, and lets whoever waits go on. */
  #over(): ReadableStreamDefaultController<Uint8Array> | undefined {
    const controller = this.#controller;
    this.#controller = undefined;
    this.pull();
    return controller;
  }
}
