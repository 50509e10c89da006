// The part of an application's backend that knows its users: it signs the short-lived tokens that the relay checks.
//   npx bun examples/token-backend/server.ts
import process from "node:process";
import { Hono } from "hono";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { z } from "zod";

const issuer = "https://login.example";
/** Short: who is locked out here is out of the relay when the last token has ended. */
const tokenSeconds = Number(process.env.TOKEN_SECONDS ?? 300);
/** How long somebody stays logged in who refreshes. */
const loginSeconds = 8 * 60 * 60;

// A key for as long as the process lives. A real one is kept, and is followed by another under a kid of its own.
const kid = crypto.randomUUID();
const { publicKey, privateKey } = await generateKeyPair("ES256");
const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid, alg: "ES256", use: "sig" }] };

/** Who may refresh, by refresh token; each is good for one time. */
const logins = new Map<string, { readonly user: string; readonly endsAtMs: number }>();

async function grant(user: string, endsAtMs: number) {
  const token = await new SignJWT({ sessions: ["demo"], scope: "session:edit session:comment session:custom" })
    .setProtectedHeader({ alg: "ES256", kid, typ: "JWT" })
    .setIssuer(issuer)
    .setAudience("baton")
    .setSubject(user)
    .setJti(crypto.randomUUID())
    .setIssuedAt()
    .setExpirationTime(`${tokenSeconds}s`)
    .sign(privateKey);
  const refreshToken = crypto.randomUUID();
  for (const [known, login] of logins) if (login.endsAtMs < Date.now()) logins.delete(known);
  logins.set(refreshToken, { user, endsAtMs });
  return { token, refreshToken };
}

const loginSchema = z.object({ user: z.string().regex(/^[a-z]{1,32}$/) });
const refreshSchema = z.object({ refreshToken: z.uuid() });

const app = new Hono();

app.get("/.well-known/jwks.json", ({ json }) => json(jwks));

/** Stands in for a login: it believes whatever name it is told. */
app.post("/login", async ({ req, json }) => {
  const { success, data } = loginSchema.safeParse(await req.json().catch(() => undefined));
  if (!success) return json({ error: "who are you?" }, 400);
  return json(await grant(data.user, Date.now() + loginSeconds * 1_000));
});

app.post("/refresh", async ({ req, json }) => {
  const { success, data } = refreshSchema.safeParse(await req.json().catch(() => undefined));
  const login = success ? logins.get(data.refreshToken) : undefined;
  if (!success || login === undefined || login.endsAtMs < Date.now()) return json({ error: "log in again" }, 401);
  logins.delete(data.refreshToken);
  return json(await grant(login.user, login.endsAtMs));
});

// What Bun serves when it runs this file.
export default { hostname: "127.0.0.1", port: Number(process.env.PORT ?? 4000), fetch: app.fetch };
