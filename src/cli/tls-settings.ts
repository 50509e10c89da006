import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { z } from "zod";
import { readKeyFile } from "./key-settings.ts";

/** A certificate's file: what a listener takes, and what can be told of it. */
export interface TlsCertificate {
  readonly path: string;
  readonly pem: string;
  readonly certificate: X509Certificate;
}

export interface TlsKey {
  readonly pem: string;
  readonly key: KeyObject;
}

/** The path of a PEM file whose first certificate is the relay's own. */
export const certificateSchema = z.string().transform(async (path, context): Promise<TlsCertificate> => {
  const pem = await readKeyFile(path);
  const certificate = pem === undefined ? undefined : parse(() => new X509Certificate(pem));
  if (pem !== undefined && certificate !== undefined) return { path, pem, certificate };
  context.addIssue("is not the path of a readable PEM file of at most 64 KiB with a certificate; give one");
  return z.NEVER;
});

/** The path of a PEM file with the certificate's private key. */
export const tlsKeySchema = z.string().transform(async (path, context): Promise<TlsKey> => {
  const pem = await readKeyFile(path);
  const key = pem === undefined ? undefined : parse(() => createPrivateKey(pem));
  if (pem !== undefined && key !== undefined) return { pem, key };
  context.addIssue("is not the path of a readable PEM file of at most 64 KiB with a private key without a password");
  return z.NEVER;
});

/** The cause is not told: it may quote what was read. */
function parse<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** What no client would take, or no listener. Undefined: nothing. */
export function findCertificateFault({ certificate }: TlsCertificate, nowMs: number): string | undefined {
  const [from, until] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  if (nowMs > until) return `has expired, on ${isoDay(until)}; put a new certificate in its place`;
  if (nowMs < from)
    return `is not valid before ${isoDay(from)}; look at this machine's clock, or take another certificate`;
  return undefined;
}

export const fits = ({ certificate }: TlsCertificate, { key }: TlsKey): boolean => certificate.checkPrivateKey(key);

export const isoDay = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
