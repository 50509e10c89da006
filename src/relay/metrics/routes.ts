import { Hono } from "hono";
import { parseBearer } from "../../auth/bearer.ts";
import type { Metrics } from "./registry.ts";

/** Who may scrape. */
export type MetricsAccess =
  | { readonly kind: "open" }
  /** Whoever shows this token. */
  | { readonly kind: "token"; readonly token: string }
  | { readonly kind: "closed" };

/** `/metrics`, for Prometheus. */
export function createMetricsRoutes(sources: readonly Metrics[], access: MetricsAccess): Hono {
  const app = new Hono();
  app.get("/metrics", async ({ req, body, text, header }) => {
    header("Cache-Control", "no-store");
    if (access.kind === "closed") {
      return text("set BATON_METRICS_TOKEN: this relay is reached from other machines\n", 403);
    }
    if (access.kind === "token" && !(await shows(req.header("authorization"), access.token))) {
      header("WWW-Authenticate", "Bearer");
      return text("send Authorization: Bearer <BATON_METRICS_TOKEN>\n", 401);
    }
    const texts = await Promise.all(sources.map((metrics) => metrics.text()));
    return body(texts.join("\n"), 200, { "Content-Type": sources[0]?.contentType ?? "text/plain" });
  });
  return app;
}

/** Compares digests, whole, so that the time tells nothing of the token, nor of its length. */
async function shows(authorization: string | undefined, expected: string): Promise<boolean> {
  const [given, wanted] = await Promise.all([digest(bearerOf(authorization)), digest(expected)]);
  let difference = 0;
  for (const [index, byte] of given.entries()) difference |= byte ^ (wanted[index] ?? 0);
  return difference === 0;
}

async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

/** Empty where there is none: no token is. */
function bearerOf(authorization: string | undefined): string {
  try {
    return parseBearer(authorization);
  } catch {
    return "";
  }
}
