import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { sessionIdPattern } from "../../session/limits.ts";
import { BatonError } from "../../session/reasons.ts";

/** Tells a token of another form, should there be one, from this one. */
const mark = "1 ";

/** Where the next page begins: after this session. It grants nothing: what is listed, the caller's JWT says each time. */
export const encodePageToken = (lastSessionId: string): string =>
  base64Encode(new TextEncoder().encode(mark + lastSessionId), "url");

/** Throws `REQUEST_INVALID` for what no page of this prefix gave. */
export function decodePageToken(token: string, prefix: string): string {
  const text = decode(token);
  const sessionId = text.slice(mark.length);
  if (text.startsWith(mark) && sessionIdPattern.test(sessionId) && sessionId.startsWith(prefix)) return sessionId;
  throw new BatonError("REQUEST_INVALID", "page_token is the next_page_token of a call with the same prefix, or empty");
}

function decode(token: string): string {
  try {
    return new TextDecoder().decode(base64Decode(token));
  } catch {
    return "";
  }
}
