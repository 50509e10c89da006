/** Where a Redis is, and as whom to go there. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** Undefined: the user `default`. */
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
}

/** Of `redis://[[user]:password@]host[:port][/database]`, or `rediss:` with TLS; undefined: it is no such URL. */
export function parseRedisUrl(text: string): RedisAddress | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "redis:" && url.protocol !== "rediss:") || url.hostname === "") {
    return undefined;
  }
  const database = /^\/?([0-9]{0,9})$/.exec(url.pathname)?.[1];
  if (database === undefined || url.search !== "" || url.hash !== "") return undefined;
  try {
    return {
      host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: url.port === "" ? 6379 : Number(url.port),
      tls: url.protocol === "rediss:",
      username: url.username === "" ? undefined : decodeURIComponent(url.username),
      password: url.password === "" ? undefined : decodeURIComponent(url.password),
      database: Number(database),
    };
  } catch {
    // A % that begins no escape.
    return undefined;
  }
}
