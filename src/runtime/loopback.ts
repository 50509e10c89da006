import { isIPv4 } from "node:net";

/** Reached from this machine alone. What is not surely so, counts as reached by others. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}
