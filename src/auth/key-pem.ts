import { importSPKI, importX509 } from "jose";
import { type ImportedKeys, importAs, keyKinds, refused, wantedKinds } from "./key-kinds.ts";
import { maxKeys, type VerificationKey } from "./keys.ts";

const eachBlock = /-----BEGIN (PUBLIC KEY|CERTIFICATE)-----[^-]+-----END \1-----/g;

/**
 * One or more PEM blocks, each a public key (SPKI) or an X.509 certificate. Of a certificate its public key counts and
 * nothing else: the operator vouches for it by configuring it, so neither its dates nor who signed it are looked at.
 */
export async function importPem(pem: string): Promise<ImportedKeys> {
  if (pem.includes("PRIVATE KEY-----")) return refused("this is a private key; the relay takes the public one");
  const blocks = [...pem.matchAll(eachBlock)];
  const isAll = pem.replaceAll(eachBlock, "").trim() === "";
  if (!isAll || blocks.length === 0 || blocks.length > maxKeys) {
    return refused(
      `public keys are 1 to ${maxKeys} PEM blocks, -----BEGIN PUBLIC KEY----- or CERTIFICATE, and nothing else, or a JWK`,
    );
  }
  const keys: VerificationKey[] = [];
  for (const [text, label] of blocks) {
    const imported = await importBlock(text, label === "CERTIFICATE" ? importX509 : importSPKI);
    if (imported.kind === "refused") return imported;
    keys.push(...imported.keys);
  }
  return { kind: "keys", keys };
}

async function importBlock(text: string, load: typeof importSPKI): Promise<ImportedKeys> {
  for (const kind of keyKinds) {
    const imported = await importAs(kind, {}, (algorithm) => load(text, algorithm));
    if (imported !== undefined) return imported;
  }
  return refused(`the PEM is not ${wantedKinds}`);
}
