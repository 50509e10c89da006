/**
 * `baton/auth`: the keys that a relay checks tokens with, and a way to sign tokens for trying it out.
 *
 * @module
 */
export { type ImportedKeys, importPublicKeys, importSecret } from "../auth/key-import.ts";
export { type Algorithm, createKeySet, type KeySource, type VerificationKey } from "../auth/keys.ts";
export { type DevelopmentClaims, signDevelopmentToken } from "../auth/sign.ts";
