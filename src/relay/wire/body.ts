/** Where the bytes of one response go. */
export interface BodySink {
  /**
   * Takes the bytes, which are not changed afterwards, and sends them off. Undefined: the peer keeps up. A promise: the
   * bytes were taken, but wait; it resolves when they are off, or the peer is gone. A throw or a rejection: it is gone.
   */
  write(bytes: Uint8Array): Promise<unknown> | undefined;
}

/** `reset`: cut off, where a peer did not take the end in time. */
export type BodyEnd = "complete" | "reset";

/** What fills a response's body. */
export interface BodySource {
  /** Called at most once, as soon as bytes can be taken. When it resolves, the body ends so. It never rejects. */
  run(sink: BodySink): Promise<BodyEnd>;
  /** Tells that the peer is gone; any number of times, at any time. */
  gone(): void;
}

/**
 * What a runtime brings: a body that the source fills. Where a runtime has no use for a body (`node:http2`), it may keep
 * the source and run it once it has sent the headers.
 */
export type OpenBody = (source: BodySource) => BodyInit | null;

/**
 * Sends the trailers behind the response's body. Called at most once, before the body ends. Trailers of a body that
 * had no bytes may go with the headers: gRPC reads a status in either place.
 */
export type SendTrailers = (trailers: Headers) => void;
