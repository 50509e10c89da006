import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import { join } from "node:path";
import { configure, type LogRecord, reset } from "@logtape/logtape";
import type { Fetch } from "../../src/auth/jwks-fetch.ts";
import { ecdsa, forge } from "./fixtures.ts";

const folder = join(import.meta.dirname, "../support/tls");

/** A self-signed certificate for localhost, and its key: of the tests, and of nothing else. */
export const certificatePath = join(folder, "cert.pem");
export const certificate = readFileSync(certificatePath, "utf8");
export const certificateKey = readFileSync(join(folder, "key.pem"), "utf8");

export type Answer = (request: IncomingMessage, response: ServerResponse) => unknown;

/** An issuer that publishes its keys over https, and answers as a test wants it to. */
export async function startIssuer(first: Answer | object = { keys: [] }) {
  let answer = toAnswer(first);
  const requests: IncomingMessage[] = [];
  const server = createServer({ cert: certificate, key: certificateKey }, (request, response) => {
    requests.push(request);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the issuer does not listen");
  return {
    url: new URL(`https://localhost:${address.port}/keys?hidden=PINEAPPLE`),
    fetch: trustingFetch,
    requests,
    /** From now on: a JWK set, or whatever the function does. */
    answers(next: Answer | object) {
      answer = toAnswer(next);
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export type Issuer = Awaited<ReturnType<typeof startIssuer>>;

/** The platform's `fetch`, which trusts the certificate of the tests. */
export const trustingFetch: Fetch = (url, init) => fetch(url, { ...init, tls: { ca: certificate } });

const toAnswer = (value: Answer | object): Answer =>
  typeof value === "function"
    ? (...call) => void Reflect.apply(value, undefined, call)
    : (_, response) => void response.end(JSON.stringify(value));

/** A signing key with a name, its public JWK, and tokens of it. */
export function createSigner(kid?: string) {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const named = kid === undefined ? {} : { kid };
  return {
    privateKey,
    jwk: { ...publicJwk(publicKey), ...named },
    token: (claims: object) => forge(claims, { alg: "ES256", ...named }, ecdsa(privateKey)),
  };
}

export const publicJwk = (key: KeyObject): object => key.export({ format: "jwk" });

/** Gathers what is logged below `baton`, until it is stopped. */
export async function gatherLogs() {
  const records: LogRecord[] = [];
  await configure({
    reset: true,
    sinks: { gather: (record: LogRecord) => void records.push(record) },
    loggers: [
      { category: "baton", sinks: ["gather"], lowestLevel: "trace" },
      { category: ["logtape", "meta"], sinks: [], lowestLevel: "warning" },
    ],
  });
  return { records, stop: reset };
}
