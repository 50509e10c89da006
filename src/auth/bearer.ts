import { BatonError } from "../session/reasons.ts";

/** RFC 6750 section 2.1; the scheme's name has no case (RFC 9110 section 11.1). */
const bearerForm = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i;

/**
 * Takes the token from a call's headers: from the subprotocols of a WebSocket where there is no `Authorization`. Throws
 * `TOKEN_INVALID`, saying what to send.
 */
export function tokenFrom(headers: Headers): string {
  const authorization = headers.get("authorization");
  const subprotocols = headers.get("sec-websocket-protocol");
  if (authorization === null && subprotocols !== null) return parseBearerSubprotocol(subprotocols);
  return parseBearer(authorization);
}

/** Takes the token from the value of an `Authorization` header. Throws `TOKEN_INVALID`, saying what to send. */
export function parseBearer(authorization: string | null | undefined): string {
  if (authorization === null || authorization === undefined || authorization === "") {
    throw new BatonError("TOKEN_INVALID", "no token was sent; send Authorization: Bearer <jwt>");
  }
  const token = bearerForm.exec(authorization)?.[1];
  if (token === undefined) {
    throw new BatonError("TOKEN_INVALID", "the Authorization header is not of the form Bearer <jwt>");
  }
  return token;
}

const subprotocolPrefix = "bearer.";

/**
 * Takes the token from the value of a `Sec-WebSocket-Protocol` header, where browsers, which cannot set other headers
 * of a WebSocket, send it as the subprotocol `bearer.<jwt>` beside the one that they want to speak. Throws
 * `TOKEN_INVALID`, saying what to send.
 */
export function parseBearerSubprotocol(subprotocols: string | null | undefined): string {
  const offered = (subprotocols ?? "").split(",").map((name) => name.trim());
  const [bearer, ...more] = offered.filter((name) => name.startsWith(subprotocolPrefix));
  if (bearer === undefined) {
    throw new BatonError("TOKEN_INVALID", "no token was sent; offer the subprotocol bearer.<jwt>");
  }
  if (more.length > 0) throw new BatonError("TOKEN_INVALID", "more than one subprotocol bearer.<jwt> was offered");
  return bearer.slice(subprotocolPrefix.length);
}
