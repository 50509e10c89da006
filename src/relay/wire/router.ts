import { base64Encode } from "@bufbuild/protobuf/wire";
import { createMethodUrl } from "@connectrpc/connect/protocol";
import { Hono } from "hono";
import type { OpenBody } from "./body.ts";
import { refusePath } from "./refusals.ts";
import type { StreamEndpoint } from "./stream-handler.ts";
import type { UnaryEndpoint } from "./unary.ts";

/** What the runtime gives with each request, as `app.fetch(request, bindings)`. */
export interface WireBindings {
  readonly openBody: OpenBody;
}

export interface WireRoutes {
  readonly streams: readonly StreamEndpoint[];
  readonly unary: readonly UnaryEndpoint[];
}

/** Every method at `/<service>/<Method>`, to be mounted at the root. Other paths of these services do not exist. */
export function createWireRoutes({ streams, unary }: WireRoutes): Hono<{ Bindings: WireBindings }> {
  const app = new Hono<{ Bindings: WireBindings }>();
  for (const { method, handle } of streams) {
    app.all(createMethodUrl("/", method), ({ req, env }) =>
      handle(req.raw, { streamId: createStreamId(), openBody: env.openBody }),
    );
  }
  for (const { method, handle } of unary) {
    app.all(createMethodUrl("/", method), ({ req }) => handle(req.raw, { streamId: createStreamId() }));
  }
  const services = new Set([...streams, ...unary].map(({ method }) => method.parent.typeName));
  for (const service of services) app.all(`/${service}/*`, ({ req }) => refusePath(req.raw));
  return app;
}

/** 72 random bits in 12 characters: no two of a relay's streams share one. */
export function createStreamId(): string {
  return base64Encode(crypto.getRandomValues(new Uint8Array(9)), "url");
}
