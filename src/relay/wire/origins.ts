import { cors } from "@connectrpc/connect";
import type { MiddlewareHandler } from "hono";
import type { WireBindings } from "./endpoint.ts";
import { refuseOrigin } from "./refusals.ts";

/** The headers that pages may send: those of the protocols, of tokens, and of compression. */
const requestHeaders = [...cors.allowedHeaders, "Authorization", "Grpc-Encoding"];
const knownRequestHeaders = new Set(requestHeaders.map((name) => name.toLowerCase()));
/** What pages may read: how a call ended, and which encodings may be sent. */
const responseHeaders = [...cors.exposedHeaders, "Accept-Encoding", "Connect-Accept-Encoding", "Grpc-Accept-Encoding"];

/** Two hours, which is the longest that Chromium remembers. */
const preflightSeconds = 7_200;

const method = "POST";

/**
 * Which web pages may call. A request without `Origin` comes from no page, and passes. One with it passes if the origin is
 * on the list, letter by letter, or the relay's own; else it is refused before anything looks at it. Tokens are the only
 * credentials: no answer allows others, so a page that is let in can do nothing in its visitor's name.
 *
 * Not hono's `cors`: it lets requests of every origin through to the handlers, and tells each what a listed one may do.
 */
export function guardOrigins(allowedOrigins: readonly string[]): MiddlewareHandler<{ Bindings: WireBindings }> {
  const allowed = new Set(allowedOrigins);
  return async (context, next) => {
    const { raw } = context.req;
    const origin = raw.headers.get("origin");
    const isAllowed = origin !== null && allowed.has(origin);
    if (origin !== null && !isAllowed && !isOwn(origin, raw.url)) {
      context.res = refuseOrigin(raw, context.env);
    } else if (raw.method === "OPTIONS" && raw.headers.has("access-control-request-method")) {
      context.res = answerPreflight(raw, isAllowed);
    } else {
      await next();
    }
    // A WebSocket has no headers for pages, and what answers it may not be touched.
    if (context.res.status === 101) return;
    const { headers } = context.res;
    headers.append("vary", "origin");
    if (!isAllowed || raw.method === "OPTIONS") return;
    headers.set("access-control-allow-origin", origin);
    headers.set("access-control-expose-headers", responseHeaders.join(", "));
  };
}

/** Where TLS ends before the relay, its pages are https, and it sees http. */
function isOwn(origin: string, url: string): boolean {
  const { protocol, host } = new URL(url);
  return origin === `${protocol}//${host}` || origin === `https://${host}`;
}

/** What is not allowed is not told apart: such an answer allows nothing. */
function answerPreflight({ headers }: Request, isAllowed: boolean): Response {
  const names = headers.get("access-control-request-headers") ?? "";
  const asked = names.split(",").map((name) => name.trim().toLowerCase());
  const isKnown = asked.every((name) => name === "" || knownRequestHeaders.has(name));
  const answer = new Headers({ vary: "access-control-request-method, access-control-request-headers" });
  if (isAllowed && isKnown && headers.get("access-control-request-method") === method) {
    answer.set("access-control-allow-origin", headers.get("origin") ?? "");
    answer.set("access-control-allow-methods", method);
    answer.set("access-control-allow-headers", requestHeaders.join(", "));
    answer.set("access-control-max-age", String(preflightSeconds));
  }
  return new Response(null, { status: 204, headers: answer });
}
