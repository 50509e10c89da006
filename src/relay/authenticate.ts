import { tokenFrom } from "../auth/bearer.ts";
import type { Principal } from "../auth/principal.ts";
import type { Relay } from "./relay.ts";

/** Who calls, by the token in the call's headers. */
export async function authenticate(relay: Pick<Relay, "tokens" | "now">, headers: Headers): Promise<Principal> {
  return await relay.tokens.verify(tokenFrom(headers), relay.now());
}
