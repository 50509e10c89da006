import type { BatonError } from "../../session/reasons.ts";
import type { FrameForm } from "../stream.ts";

/** How a stream ends on the wire: an enveloped end behind its messages, or trailers behind its body. */
export interface EncodedEnd {
  readonly bytes?: Uint8Array<ArrayBuffer>;
  readonly trailers?: Headers;
}

/** What differs between the protocols of streams; each is a module with these exports. */
export interface WireProtocol {
  readonly protocolName: "connect" | "grpc-web" | "grpc";
  /** Of streams, one for each form that is served. */
  readonly streamContentTypes: readonly string[];
  /** Undefined: not of this protocol, or of a form that is not served. */
  matchForm(contentType: string | null): FrameForm | undefined;
  /** Undefined: no deadline was set. Throws `MALFORMED`. */
  parseDeadlineMs(headers: Headers): number | undefined;
  /** Throws `PROTOCOL_UNSUPPORTED` where the request's messages are compressed: no compression is served yet. */
  assertUncompressed(headers: Headers): void;
  responseHeaders(form: FrameForm): Headers;
  /** The end of a stream: OK, or the error with its `Fault`. */
  encodeEnd(error: BatonError | undefined): EncodedEnd;
  /** An answer instead of a stream, for what HTTP's own status says: 404, 405, 415. */
  refuse(status: number, message: string): Response;
}
