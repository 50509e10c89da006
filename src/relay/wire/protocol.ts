import type { ConnectError } from "@connectrpc/connect";
import type { BatonError } from "../../session/reasons.ts";
import type { FrameForm } from "../stream.ts";
import type { Decompress } from "./compression.ts";

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
  /** How the request's messages are compressed; undefined: they are not. Throws `PROTOCOL_UNSUPPORTED`. */
  parseCompression(headers: Headers): Decompress | undefined;
  responseHeaders(form: FrameForm): Headers;
  /** The end of a stream: OK, or the error with its `Fault`. */
  encodeEnd(error: BatonError | undefined): EncodedEnd;
  /** An answer instead of a stream, for what HTTP's own status says: 403, 404, 405, 415. */
  refuse(status: number, error: ConnectError): Response;
}
