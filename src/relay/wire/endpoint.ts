import type { DescMethod } from "@bufbuild/protobuf";
import type { OpenBody, SendTrailers } from "./body.ts";
import type { AcceptSocket } from "./socket.ts";

/** What the runtime gives with each request, as `app.fetch(request, bindings)`. */
export interface WireBindings {
  readonly openBody: OpenBody;
  /** Absent: this listener cannot send trailers, and native gRPC is refused. */
  readonly sendTrailers?: SendTrailers;
  /** Absent: this listener cannot serve WebSockets, and they are refused. */
  readonly acceptSocket?: AcceptSocket;
}

export interface CallContext extends WireBindings {
  readonly streamId: string;
}

/** One method, over every protocol that its listener can carry. */
export interface WireEndpoint {
  readonly method: DescMethod;
  handle(request: Request, context: CallContext): Response | Promise<Response>;
}
