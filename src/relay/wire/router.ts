import { base64Encode } from "@bufbuild/protobuf/wire";
import { createMethodUrl } from "@connectrpc/connect/protocol";
import { Hono } from "hono";
import type { WireBindings, WireEndpoint } from "./endpoint.ts";
import { refusePath } from "./refusals.ts";

/** Every method at `/<service>/<Method>`, to be mounted at the root. Other paths of these services do not exist. */
export function createWireRoutes(endpoints: readonly WireEndpoint[]): Hono<{ Bindings: WireBindings }> {
  const app = new Hono<{ Bindings: WireBindings }>();
  for (const { method, handle } of endpoints) {
    app.all(createMethodUrl("/", method), ({ req, env }) => handle(req.raw, { ...env, streamId: createStreamId() }));
  }
  const services = new Set(endpoints.map(({ method }) => method.parent.typeName));
  for (const service of services) app.all(`/${service}/*`, ({ req, env }) => refusePath(req.raw, env));
  return app;
}

/** 72 random bits in 12 characters: no two of a relay's streams share one. */
export function createStreamId(): string {
  return base64Encode(crypto.getRandomValues(new Uint8Array(9)), "url");
}
