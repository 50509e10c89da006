import type { ClientKey } from "./session-log.ts";

/** One string for a client, different for every two clients whatever characters their names have. */
export function clientKeyText({ userId, clientId }: ClientKey): string {
  return `${clientId.length}:${clientId}${userId}`;
}
